"""A small simulated sky, run through every stage on both databases, and the web over it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
import uvicorn
from fastapi.testclient import TestClient

from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.simulation.ztf import write_simulation
from alerce_dagster.stages.places import expand
from alerce_dagster.storage import Stores, schema
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database
from alerce_dagster.web.access import SECONDS_PER_QUERY, Access
from alerce_dagster.web.app import create_app
from tests.stages.conftest import night_of, run_night

NIGHTS = ("2024-03-01", "2024-03-02")


@pytest.fixture(scope="session")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packets of some nights, one archive each."""
    folder = tmp_path_factory.mktemp("sky")
    write_simulation(folder, n_alerts=160, n_objects=70, nights=2, seed=3, start=date(2024, 3, 1), archive=True)
    return folder


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def written(request: pytest.FixtureRequest, sky: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """The stores with both nights in them, for the whole session: tests of the web add nothing but decisions."""
    folder = tmp_path_factory.mktemp("web")
    url = f"sqlite:///{folder / 'alerce.db'}"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_url")
        engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE IF EXISTS test_web WITH (FORCE)")
            connection.exec_driver_sql("CREATE DATABASE test_web")
        engine.dispose()
        url = sa.make_url(server).set(database="test_web").render_as_string(hide_password=False)
    stores = Stores(Database(url), Archive(str(folder / "archive")))
    schema.upgrade(stores.database)
    classifier = StampClassifier.load(threads=1)
    for night, place in zip(NIGHTS, sorted(expand(str(sky))), strict=True):
        run_night(night_of(stores, night=night), [Path(place)], classifier)
    yield stores
    stores.database.engine.dispose()


@pytest.fixture(scope="session")
def access(written: Stores) -> Access:
    """Reading as the web reads; writes need a token."""
    reader = Database(written.database.url.render_as_string(hide_password=False), seconds_per_query=SECONDS_PER_QUERY)
    return Access(Stores(reader, written.archive), written.database, token="secret")


@pytest.fixture(scope="session")
def client(access: Access) -> Iterator[TestClient]:
    """The application without a network; a fault of the program is an exception here, not a 500."""
    with TestClient(create_app(access)) as opened:
        yield opened


@contextmanager
def running(access: Access) -> Iterator[str]:
    """A real server on loopback; yields its URL."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(access), host="127.0.0.1", port=0, log_level="critical", timeout_graceful_shutdown=1)
    )
    started = threading.Event()
    begin = server.startup

    async def startup(sockets=None) -> None:
        await begin(sockets)
        started.set()

    server.startup = startup
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="session")
def served_web(access: Access) -> Iterator[str]:
    """The web on loopback."""
    with running(access) as url:
        yield url
