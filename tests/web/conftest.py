"""A small simulated sky, run through every stage on both databases, and the web over it."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
import uvicorn
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, sync_playwright

from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.simulation.ztf import write_simulation
from alerce_dagster.stages.places import expand
from alerce_dagster.storage import Stores, schema, tables
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
def library(written: Stores, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Two catalogues: galaxies with redshifts, two at each of three objects, and one lone star far from everything."""
    folder = tmp_path_factory.mktemp("catalogs")
    columns = tables.object_.c
    with written.database.reading() as connection:
        places = connection.execute(sa.select(columns.ra, columns.dec).order_by(columns.oid).limit(3)).all()
    made = Library(folder)
    galaxies = {
        "id": [2**60 + k for k in range(6)],
        "ra": [ra for ra, _ in places for _ in range(2)],
        "dec": [dec + step / 3600 for _, dec in places for step in (0.5, 2.0)],
        "redshift": [0.01, 0.02, 0.03, None, 0.05, 0.06],
        "n_obs": pa.array(range(6), pa.int32()),
    }
    star = {"id": ["lone"], "ra": [123.0], "dec": [-88.0], "mag": [12.5]}
    for name, rows in (("galaxies", galaxies), ("star", star)):
        pq.write_table(pa.table(rows), folder / f"{name}.parquet")
        made.add(name, open_source([folder / f"{name}.parquet"]), Wanted(), Recipe(radius=5.0))
    return made


@pytest.fixture(scope="session")
def access(written: Stores, library: Library) -> Access:
    """Reading as the web reads; writes need a token."""
    reader = Database(written.database.url.render_as_string(hide_password=False), seconds_per_query=SECONDS_PER_QUERY)
    return Access(Stores(reader, written.archive), written.database, token="secret", library=library)


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


@pytest.fixture(scope="module")
def browser(access: Access) -> Iterator[Browser]:
    """Chromium, closed behind each module: while it is open, nothing else in the process can use asyncio."""
    if not access.writer.is_sqlite:
        pytest.skip("a browser sees the same pages on PostgreSQL; that they are made there, test_api shows")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine; install the package chromium to run this test")
    with sync_playwright() as playwright:
        # Chromium's sandbox needs a user of its own; in a container tests run as root.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def open_web(access: Access) -> Iterator[str]:
    """The web with writes open to this machine."""
    with running(Access(access.stores, access.writer, open_writes=True)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, open_web: str) -> Iterator[Page]:
    """A page on which any fault of a script or a refused resource fails the test."""
    faults: list[str] = []
    context = browser.new_context(base_url=open_web, viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield opened
    context.close()
    assert faults == []
