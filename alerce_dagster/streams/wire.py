"""A message's bytes to packets: an Avro container (ZTF, ATLAS), or Confluent's wire format (LSST).

Confluent's format is a zero byte, the schema's number (4 bytes, big-endian) and one datum. The schema is looked up in a
folder of NUMBER.avsc files or in a schema registry, and the packet is archived as a container of its own, so that
nothing behind this module knows the difference.
"""

import json
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from alerce_dagster.errors import StreamError
from alerce_dagster.streams.reading import Message
from alerce_dagster.surveys.avro_schema import AvroSchema, SchemaError, compile_schema
from alerce_dagster.surveys.packets import Packet, PacketError, check_body, read_container, wrap_datum
from alerce_dagster.surveys.sources import SourcedPacket, is_url

_HEAD = struct.Struct(">bI")
_TIMEOUT = 10.0


@dataclass
class Schemas:
    """Schemas by number, from a folder or a registry; each is fetched once.

    `place` is None where no place is set: then a message that needs one is set aside with the advice to set it.
    """

    place: str | None
    setting: str = "ALERCE_ZTF_SCHEMAS"
    _known: dict[int, AvroSchema] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, survey: str) -> "Schemas":
        """The place that ALERCE_<SURVEY>_SCHEMAS names; a registry's user is ..._USER, with ..._PASSWORD."""
        setting = f"ALERCE_{survey.upper()}_SCHEMAS"
        return cls(os.environ.get(setting) or None, setting)

    def find(self, number: int) -> AvroSchema:
        """The schema of that number.

        Raises
        ------
        PacketError
            When there is none of that number, or it cannot be used.
        StreamError
            When the registry does not answer.
        """
        if number not in self._known:
            try:
                self._known[number] = compile_schema(self._text(number))
            except SchemaError as error:
                raise PacketError(f"schema {number} at {self.place} cannot be used: {error}") from error
        return self._known[number]

    def _text(self, number: int) -> bytes:
        if self.place is None:
            raise PacketError(f"a Kafka message with schema number {number}, and {self.setting} is not set")
        if is_url(self.place):
            return self._ask_registry(self.place, number)
        try:
            return (Path(self.place) / f"{number}.avsc").read_bytes()
        except OSError as error:
            raise PacketError(f"schema {number} is not at {self.place}; put {number}.avsc there") from error

    def _ask_registry(self, url: str, number: int) -> bytes:
        import requests

        user = os.environ.get(f"{self.setting}_USER")
        login = (user, os.environ.get(f"{self.setting}_PASSWORD", "")) if user else None
        try:
            answer = requests.get(f"{url.rstrip('/')}/schemas/ids/{number}", auth=login, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise StreamError(f"the schema registry {url} does not answer; it is tried again") from error
        if answer.status_code == 404:
            raise PacketError(f"schema {number} is unknown to the registry {url}")
        if answer.status_code in (401, 403):
            raise StreamError(f"the schema registry {url} refuses this user; check {self.setting}_USER and _PASSWORD")
        try:
            answer.raise_for_status()
            return json.loads(answer.content)["schema"].encode()
        except (requests.RequestException, ValueError, KeyError, AttributeError) as error:
            raise StreamError(f"the schema registry {url} gives no schema {number}: {error}") from error


def packets_of(data: bytes, schemas: Schemas) -> list[Packet]:
    """The packets of one message.

    Raises
    ------
    PacketError
        When the bytes are not readable packets.
    StreamError
        When the registry does not answer.
    """
    if not data.startswith(b"\x00"):
        return read_container(data)
    if len(data) < _HEAD.size:
        raise PacketError(f"a Kafka message of {len(data)} bytes is too short for a schema number")
    _, number = _HEAD.unpack_from(data)
    schema = schemas.find(number)
    body = data[_HEAD.size :]
    packet = Packet(body, schema, wrap_datum(body, schema))
    check_body(packet)
    return [packet]


def read_messages(messages: Iterable[Message], schemas: Schemas) -> Iterator[tuple[Message, SourcedPacket]]:
    """The packets of each message, or the reason why it has none; no message passes without an item."""
    for message in messages:
        try:
            packets = packets_of(message.value, schemas)
            if not packets:
                raise PacketError("the container holds no record")
        except PacketError as error:
            yield message, SourcedPacket(message.source, None, str(error), message.value)
            continue
        for number, packet in enumerate(packets):
            source = message.source if len(packets) == 1 else f"{message.source}#{number}"
            yield message, SourcedPacket(source, packet, None, packet.container)
