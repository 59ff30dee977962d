"""A night and what comes of it when nothing goes wrong."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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


class Disk:
    """A small disk of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._filler = place / "filler"

    def leave(self, free: int) -> None:
        """Fill it up until `free` bytes are left."""
        self._filler.unlink(missing_ok=True)
        with self._filler.open("wb") as file:
            state = os.statvfs(self.place)
            os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_bsize - free))

    def make_space(self) -> None:
        """Remove the filler."""
        self._filler.unlink()

    def mount(self, options: str) -> None:
        """Mount it again, with other options."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    place = tmp_path / "disk"
    place.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root on Linux")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield Disk(place)
    subprocess.run(["umount", "-l", str(place)], check=True)
