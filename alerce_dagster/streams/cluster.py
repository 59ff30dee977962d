"""A Kafka cluster as the environment describes it, and its faults in one sentence.

For a cluster called ALERCE_ZTF_KAFKA (what a survey sends) or ALERCE_STREAMS_KAFKA (what this broker sends):

============================  ==========================================================================
Variable                      Meaning
============================  ==========================================================================
ALERCE_ZTF_KAFKA              host:port, several with commas; unset: no such stream
ALERCE_ZTF_KAFKA_USER         user of SASL authentication, with ..._PASSWORD
ALERCE_ZTF_KAFKA_MECHANISM    SCRAM-SHA-512 (default), SCRAM-SHA-256 or PLAIN
ALERCE_ZTF_KAFKA_CA           file of the authority that signed the brokers' certificates (default: system's)
ALERCE_ZTF_KAFKA_CERTIFICATE  client certificate (PEM), with ..._KEY and, if it has one, ..._KEY_PASSWORD
ALERCE_ZTF_KAFKA_PROTOCOL     SASL_SSL with a user, SSL with a CA or certificate, else PLAINTEXT
============================  ==========================================================================
"""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from alerce_dagster.errors import StreamError

_FILES = {"CA": "ssl.ca.location", "CERTIFICATE": "ssl.certificate.location", "KEY": "ssl.key.location"}
_SECONDS = 5.0


@dataclass(frozen=True)
class Cluster:
    """Where a cluster is and how to be let in; passwords are never shown."""

    name: str
    """The environment variable that names it."""

    brokers: str
    security: dict[str, str] = field(default_factory=dict, repr=False, hash=False, compare=False)

    @classmethod
    def from_environment(cls, name: str) -> "Cluster | None":
        """The cluster called `name`, or None where the environment has none.

        Raises
        ------
        StreamError
            When a user has no password, or a file that is named is not there.
        """
        brokers = os.environ.get(name)
        if not brokers:
            return None
        given = {key: value for key in _KEYS if (value := os.environ.get(f"{name}_{key}"))}
        security = {"security.protocol": given.get("PROTOCOL") or _protocol(given)}
        if "USER" in given:
            if "PASSWORD" not in given:
                raise StreamError(f"{name}_USER is set and {name}_PASSWORD is not; set both or neither")
            security["sasl.mechanism"] = given.get("MECHANISM", "SCRAM-SHA-512")
            security["sasl.username"], security["sasl.password"] = given["USER"], given["PASSWORD"]
        for key, setting in _FILES.items():
            if key in given:
                if not os.access(given[key], os.R_OK):
                    raise StreamError(f"{name}_{key} names {given[key]}, which is not there or may not be read")
                security[setting] = given[key]
        if "KEY_PASSWORD" in given:
            security["ssl.key.password"] = given["KEY_PASSWORD"]
        return cls(name, brokers, security)

    def config(self, **settings: Any) -> dict[str, Any]:
        """Settings of a librdkafka client; dots are written as double underscores."""
        more = {key.replace("__", "."): value for key, value in settings.items()}
        # What librdkafka prints is said again, once, by the error.
        return {"bootstrap.servers": self.brokers, "log_level": 0} | self.security | more


_KEYS = ("USER", "PASSWORD", "MECHANISM", "PROTOCOL", "KEY_PASSWORD", *_FILES)


def _protocol(given: dict[str, str]) -> str:
    if "USER" in given:
        return "SASL_SSL"
    return "SSL" if {"CA", "CERTIFICATE"} & set(given) else "PLAINTEXT"


class Faults:
    """What a client reports behind one's back; the calls themselves say only that time ran out."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._heard: deque[KafkaError] = deque(maxlen=8)

    def hear(self, error: KafkaError) -> None:
        """The client's `error_cb`."""
        self._heard.append(error)

    @contextmanager
    def explained(self, doing: str, client: Any = None) -> Iterator[None]:
        """Turn the client's exceptions into one sentence.

        Raises
        ------
        StreamError
            For any KafkaException in the block.
        """
        self._heard.clear()
        try:
            yield
        except KafkaException as error:
            if client is not None and hasattr(client, "poll"):
                client.poll(0)  # lets it call `hear`
            raise self.error(doing, error.args[0]) from error

    def error(self, doing: str, error: KafkaError) -> StreamError:
        """The error that says what is wrong, and what to do."""
        codes = {cause.code() for cause in (*self._heard, error)}
        self._heard.clear()
        said = next((advice for code, advice in _ADVICE.items() if code in codes), error.str())
        if KafkaError._TRANSPORT in codes and "SSL" in self._cluster.security.get("security.protocol", ""):
            said += "; if it hangs up at once, check {name}_CERTIFICATE and {name}_PROTOCOL"
        return StreamError(f"{doing} ({self._cluster.brokers}): {said.format(name=self._cluster.name)}")


# The first that fits is said: what tells most comes before "nothing answers".
_ADVICE = {
    KafkaError._AUTHENTICATION: "wrong user or password; check {name}_USER, {name}_PASSWORD and {name}_MECHANISM",
    KafkaError.SASL_AUTHENTICATION_FAILED: "wrong user or password; check {name}_USER and {name}_PASSWORD",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user may not use that topic; have it allowed",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "this user may not do that; have it allowed",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "this user may not publish with that transactional id",
    KafkaError._SSL: "the TLS handshake fails; check {name}_CA, {name}_CERTIFICATE and {name}_PROTOCOL",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "there is no such topic; it may come when the survey makes it",
    KafkaError._UNKNOWN_TOPIC: "there is no such topic; it may come when the survey makes it",
    KafkaError._UNKNOWN_PARTITION: "there is no such partition",
    KafkaError._RESOLVE: "that host is unknown; check {name}",
    KafkaError._ALL_BROKERS_DOWN: "nothing answers there; it is tried again, check {name} and the network meanwhile",
    KafkaError._TRANSPORT: "nothing answers there; it is tried again, check {name} and the network meanwhile",
    KafkaError._TIMED_OUT: "no answer in time; it is tried again, check {name} and the network meanwhile",
}
