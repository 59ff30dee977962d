"""A night and what comes of it when nothing goes wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_run import command
from tests.faults.night import BAD, Outcome, check_complete, make_night, outcome, stores_at

PACKETS = 24


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packets, some of them bad."""
    return make_night(tmp_path_factory.mktemp("night") / "in", PACKETS)


@pytest.fixture(scope="session")
def undisturbed(night: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the stores hold after one undisturbed run."""
    home = tmp_path_factory.mktemp("undisturbed")
    result = command("run", str(night), "--no-progress", ALERCE_HOME=str(home))
    assert result.returncode == 0, result.stderr
    return look(home)


def look(home: Path, database_url: str | None = None) -> Outcome:
    """The complete night in these stores; what is there must hold together."""
    stores = stores_at(home, database_url)
    try:
        check_complete(stores, PACKETS, len(BAD))
        return outcome(stores)
    finally:
        stores.database.engine.dispose()


@pytest.fixture
def run(night: Path) -> Callable:
    """Run the night in a process of its own."""

    def run_it(**environment: str):
        return command("run", str(night), "--no-progress", **environment)

    return run_it
