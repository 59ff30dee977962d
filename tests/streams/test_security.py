"""Being let in as surveys ask for it: SCRAM over TLS, and client certificates; and what is said when it goes wrong."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from alerce_dagster.errors import StreamError
from alerce_dagster.streams.cluster import Cluster
from alerce_dagster.streams.publishing import Publisher
from alerce_dagster.streams.reading import Reader
from alerce_dagster.streams.spans import Span
from alerce_dagster.streams.topics import available_spans, read_patterns
from tests.assets.test_stream_sensor import tick
from tests.kafka import ApacheKafka, Broker, apache_kafka, free_port
from tests.streams.conftest import send

NAME = "ALERCE_ZTF_KAFKA"
_EXTRA = """
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.crt
listener.name.ssl.ssl.client.auth=required
"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server's and a client's certificate."""
    folder = tmp_path_factory.mktemp("papers")
    new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    try:
        openssl(folder, *new, "/CN=test authority", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt")
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for who in ("server", "client"):
        openssl(folder, *new, f"/CN={who}", "-keyout", f"{who}.key", "-out", f"{who}.csr")
        sign = ["x509", "-req", "-in", f"{who}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
        openssl(folder, *sign, "-days", "2", "-extfile", "names", "-out", f"{who}.crt")
    (folder / "server.pem").write_text((folder / "server.key").read_text() + (folder / "server.crt").read_text())
    return folder


@pytest.fixture(scope="module")
def guarded(kafka: Broker, papers: Path) -> Iterator[ApacheKafka]:
    """A broker that asks who one is; its first message waits in the topic `alerts`."""
    if not kafka.real:
        pytest.skip(f"needs Apache Kafka, and this is {kafka.kind}")
    secure = {"SASL_SSL": free_port(), "SSL": free_port()}
    user = ("--add-scram", "SCRAM-SHA-512=[name=alice,password=right]")
    with apache_kafka(extra=_EXTRA.format(folder=papers), format_options=user, secure=secure) as broker:
        broker.create_topic("alerts")
        send(broker, "alerts", [b"hello"])
        yield broker


@pytest.fixture
def environment(home: Path, monkeypatch: pytest.MonkeyPatch, guarded: ApacheKafka, papers: Path):
    """Set what is to be set, and get the cluster."""

    def set_it(protocol: str, **values: str) -> Cluster:
        monkeypatch.setenv(NAME, f"127.0.0.1:{guarded.secure[protocol]}")
        for name, value in values.items():
            monkeypatch.setenv(f"{NAME}_{name}", value)
        cluster = Cluster.from_environment(NAME)
        assert cluster is not None
        assert "right" not in repr(cluster)
        return cluster

    return set_it


def look(cluster: Cluster) -> list[Span]:
    return available_spans(cluster, read_patterns("alerts"), {})


def test_scram_over_tls(environment, papers: Path) -> None:
    cluster = environment("SASL_SSL", USER="alice", PASSWORD="right", CA=str(papers / "ca.crt"))
    assert look(cluster) == [Span("alerts", 0, 0, 1)]
    with Reader(cluster, [Span("alerts", 0, 0, 1)]) as reader:
        [portion] = reader.portions()
    assert [message.value for message in portion.messages] == [b"hello"]
    assert Publisher(cluster, "guarded").last is None


def test_a_client_certificate(environment, papers: Path) -> None:
    mine = {"CERTIFICATE": str(papers / "client.crt"), "KEY": str(papers / "client.key")}
    cluster = environment("SSL", CA=str(papers / "ca.crt"), **mine)
    assert look(cluster) == [Span("alerts", 0, 0, 1)]


def test_a_wrong_password(environment, papers: Path) -> None:
    cluster = environment("SASL_SSL", USER="alice", PASSWORD="wr0ng-secret", CA=str(papers / "ca.crt"))
    with pytest.raises(StreamError, match="wrong user or password; check ALERCE_ZTF_KAFKA_USER") as error:
        look(cluster)
    assert "wr0ng-secret" not in str(error.value)
    with pytest.raises(StreamError, match="wrong user or password"):
        Reader(cluster, [Span("alerts", 0, 0, 1)])


def test_a_password_that_is_set_right_at_the_server(
    environment, papers: Path, guarded, home: Path, monkeypatch
) -> None:
    """The sensor says what is wrong, tick after tick, and goes on by itself once the user may come in."""
    environment("SASL_SSL", USER="bob", PASSWORD="bobs-secret", CA=str(papers / "ca.crt"))
    monkeypatch.setenv("ALERCE_ZTF_TOPICS", "alerts")
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            said = tick(instance)
            assert "wrong user or password; check ALERCE_ZTF_KAFKA_USER" in said
            assert "bobs-secret" not in said
        secret = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        admin = AdminClient({"bootstrap.servers": guarded.address})
        new = UserScramCredentialUpsertion("bob", secret, b"bobs-secret")
        admin.alter_user_scram_credentials([new])["bob"].result(30)
        [request] = tick(instance)
    assert request.run_config["ops"]["ztf__alerts"]["config"]["offsets"][0]["topic"] == "alerts"


def test_an_authority_that_is_not_known(environment) -> None:
    with pytest.raises(StreamError, match="TLS handshake fails; check ALERCE_ZTF_KAFKA_CA"):
        look(environment("SASL_SSL", USER="alice", PASSWORD="right"))


def test_no_client_certificate(environment, papers: Path) -> None:
    with pytest.raises(StreamError, match="check ALERCE_ZTF_KAFKA_CERTIFICATE"):
        look(environment("SSL", CA=str(papers / "ca.crt")))
