"""Fixtures every test may use."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alerce_dagster.storage import Stores, schema
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database
from tests.kafka import Broker, running_broker
from tests.served import Served, serving

_BROKER = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The shared folder of real packets, light curves and labels; tests that ask for it skip where it is absent."""
    folder = Path(os.environ.get("ALERCE_REAL_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set ALERCE_REAL_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL server: the one ALERCE_TEST_POSTGRES names, else one started here from its own binaries."""
    if url := os.environ.get("ALERCE_TEST_POSTGRES"):
        yield url
        return
    from tests.postgres import running_server

    with running_server() as url:
        yield url


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker on this machine; make topics with names of your own. The summary of the tests says which it was."""
    with running_broker() as broker:
        request.config.stash[_BROKER] = broker.kind
        if hasattr(request.config, "workeroutput"):
            request.config.workeroutput["kafka"] = broker.kind
        yield broker


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over from a worker of pytest-xdist which Kafka it had."""
    if kind := getattr(node, "workeroutput", {}).get("kafka"):
        node.config.stash[_BROKER] = kind


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which Kafka the tests ran against."""
    if kind := config.stash.get(_BROKER, None):
        terminalreporter.write_line(f"Kafka in these tests: {kind}")


@pytest.fixture(scope="session")
def apache_kafka(kafka: Broker) -> Broker:
    """A broker that keeps everything and knows transactions; tests that ask for it skip on the stand-in."""
    if not kafka.real:
        pytest.skip(f"needs Apache Kafka, and this is {kafka.kind}")
    return kafka


@pytest.fixture
def fresh_postgres(postgres_url: str) -> Iterator[str]:
    """URL of an empty database of its own on the test server."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'alerce.db'}"
    return request.getfixturevalue("fresh_postgres")


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    """Empty stores with the newest schema."""
    opened = Stores(Database(database_url), Archive(str(tmp_path / "archive")))
    schema.upgrade(opened.database)
    yield opened
    opened.database.engine.dispose()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ALERCE_HOME of its own, and nothing else from the environment."""
    for name in [name for name in os.environ if name.startswith("ALERCE_") and "TEST" not in name] + ["DAGSTER_HOME"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALERCE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A web server on this machine, and the folder it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as running:
        yield running
