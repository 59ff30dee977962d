"""Stores that cannot be used: one line that says what to do, and afterwards nothing is missing."""

import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.test_run import command
from tests.faults.conftest import Disk, look
from tests.faults.night import Outcome


def one_line(result: subprocess.CompletedProcess) -> str:
    """The one line of a command that could not do its work."""
    assert result.returncode in (1, 4), (result.returncode, result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    return result.stderr.strip()


def test_full_disk_for_the_archive(home: Path, disk: Disk, run: Callable, undisturbed: Outcome) -> None:
    """Without a byte left, and with so few that a packet file breaks off in its middle."""
    archive = {"ALERCE_ARCHIVE_URL": str(disk.place / "archive")}
    for free in (0, 64 << 10):
        disk.leave(free)
        assert "the disk is full; free some space" in one_line(run(**archive))
        left = [file for file in disk.place.rglob("*") if file.is_file() and file.name != "filler"]
        assert left == []
    disk.make_space()
    (home / "archive").symlink_to(disk.place / "archive")
    assert run(**archive).returncode == 0
    assert look(home) == undisturbed


def test_full_disk_for_the_database(home: Path, disk: Disk, run: Callable, undisturbed: Outcome) -> None:
    """Before its tables are made, and after."""
    url = f"sqlite:///{disk.place / 'alerce.db'}"
    for free in (0, 100 << 10, 200 << 10):
        disk.leave(free)
        assert "full" in one_line(run(ALERCE_DATABASE_URL=url))
    disk.make_space()
    assert run(ALERCE_DATABASE_URL=url).returncode == 0
    assert look(home, url) == undisturbed


@pytest.mark.parametrize("free", [0, 64 << 10, 256 << 10])
def test_full_disk_for_dagster(home: Path, disk: Disk, run: Callable, undisturbed: Outcome, free: int) -> None:
    """Where only Dagster keeps its own state: with no room for it, and with too little for its tables."""
    dagster_home = {"DAGSTER_HOME": str(disk.place / "dagster")}
    disk.leave(free)
    line = one_line(run(**dagster_home))
    assert str(disk.place / "dagster") in line
    assert "full" in line or "space" in line.lower()
    disk.make_space()
    assert run(**dagster_home).returncode == 0
    assert look(home) == undisturbed


def test_full_disk_for_everything(disk: Disk, run: Callable, undisturbed: Outcome) -> None:
    """Whichever store it is that meets the end of the disk first: that depends on how much is left."""
    home = disk.place / "home"
    said = []
    for free in (0, 200 << 10, 900 << 10, 1200 << 10, 1500 << 10, 1800 << 10):
        disk.leave(free)
        result = run(ALERCE_HOME=str(home))
        if result.returncode:
            said.append(one_line(result))
            assert "full" in said[-1] or "space" in said[-1].lower(), said[-1]
    assert said
    disk.make_space()
    result = run(ALERCE_HOME=str(home))
    assert result.returncode == 0, result.stderr
    assert look(home) == undisturbed


def test_full_disk_for_a_download(disk: Disk, night: Path, tmp_path: Path, undisturbed: Outcome, served) -> None:
    """What arrives of a nightly archive cannot be kept: that is no fault of its packets."""
    import tarfile

    with tarfile.open(served.folder / "ztf_public_20200115.tar.gz", "w:gz") as archive:
        for file in sorted(night.iterdir()):
            archive.add(file, f"{night.name}/{file.name}")
    home = disk.place / "home"
    stores = {
        "ALERCE_HOME": str(home),
        "ALERCE_DATABASE_URL": f"sqlite:///{tmp_path}/alerce.db",
        "ALERCE_ARCHIVE_URL": str(tmp_path / "archive"),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
    }
    arguments = ("run", served.url + "ztf_public_20200115.tar.gz", "--no-progress")
    disk.leave(100 << 10)
    assert "free some space" in one_line(command(*arguments, **stores))
    disk.make_space()
    result = command(*arguments, **stores)
    assert result.returncode == 0, result.stderr
    found = look(tmp_path)
    assert found.products == undisturbed.products
    # An empty packet is known by its source, which is another one here.
    assert [row[0] for row in found.quarantine if row[3]] == [row[0] for row in undisturbed.quarantine if row[3]]


def test_read_only_archive(home: Path, disk: Disk, run: Callable, undisturbed: Outcome) -> None:
    archive = {"ALERCE_ARCHIVE_URL": str(disk.place / "archive")}
    disk.mount("ro")
    assert "read-only; make it writable or set ALERCE_ARCHIVE_URL" in one_line(run(**archive))
    disk.mount("rw")
    assert run(**archive).returncode == 0
    (home / "archive").symlink_to(disk.place / "archive")
    assert look(home) == undisturbed


def test_read_only_database(home: Path, disk: Disk, run: Callable, undisturbed: Outcome) -> None:
    """Before there is one, and when there is one."""
    url = f"sqlite:///{disk.place / 'alerce.db'}"
    disk.mount("ro")
    said = "check that its folder exists and that you may write there"
    assert said in one_line(run(ALERCE_DATABASE_URL=url))
    disk.mount("rw")
    assert command("db", "upgrade", ALERCE_DATABASE_URL=url).returncode == 0
    disk.mount("ro")
    assert said in one_line(run(ALERCE_DATABASE_URL=url))
    disk.mount("rw")
    assert run(ALERCE_DATABASE_URL=url).returncode == 0
    assert look(home, url) == undisturbed


def test_read_only_dagster_home(disk: Disk, home: Path, run: Callable) -> None:
    dagster_home = {"DAGSTER_HOME": str(disk.place / "dagster")}
    assert run(**dagster_home).returncode == 0
    disk.mount("ro")
    line = one_line(run(**dagster_home))
    assert "read-only" in line
    assert str(disk.place) in line


def test_folders_without_permission(home: Path, tmp_path: Path, run: Callable) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for settings in (
        {"ALERCE_ARCHIVE_URL": str(closed / "archive")},
        {"ALERCE_DATABASE_URL": f"sqlite:///{closed}/alerce.db"},
        {"DAGSTER_HOME": str(closed / "dagster")},
        {"ALERCE_HOME": str(closed / "home")},
    ):
        one_line(run(**settings))


def test_database_locked_by_another_writer(home: Path, run: Callable, undisturbed: Outcome) -> None:
    """Longer than the run is willing to wait; ?timeout= in the URL says how long that is."""
    url = f"sqlite:///{home / 'alerce.db'}?timeout=0.1"
    for prepare in (lambda: home.mkdir(), lambda: command("db", "upgrade")):
        prepare()
        with closing(sqlite3.connect(home / "alerce.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert "is locked by another process; wait for it to end" in one_line(run(ALERCE_DATABASE_URL=url))
    assert run(ALERCE_DATABASE_URL=url).returncode == 0
    assert look(home) == undisturbed


@pytest.mark.postgres
def test_postgres_that_refuses(home: Path, fresh_postgres: str, run: Callable, undisturbed: Outcome) -> None:
    """A role without rights, a database that is not there; then with the right role the night is complete."""
    url = sa.make_url(fresh_postgres)
    assert command("db", "upgrade", ALERCE_DATABASE_URL=fresh_postgres).returncode == 0
    role = f"guest_{url.database}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    try:
        guest = url.set(username=role, password="secret").render_as_string(hide_password=False)
        assert "grant this user the right" in (line := one_line(run(ALERCE_DATABASE_URL=guest)))
        assert "secret" not in line
        with engine.connect() as connection:  # it may look, and no more
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        assert "grant this user the right" in one_line(run(ALERCE_DATABASE_URL=guest))
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")
        engine.dispose()
    missing = url.set(database="nowhere").render_as_string(hide_password=False)
    assert '"nowhere" does not exist; create it' in one_line(run(ALERCE_DATABASE_URL=missing))
    assert run(ALERCE_DATABASE_URL=fresh_postgres).returncode == 0
    assert look(home, fresh_postgres) == undisturbed


@pytest.mark.postgres
def test_postgres_with_a_wrong_password(home: Path, fresh_postgres: str) -> None:
    engine = sa.create_engine(fresh_postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        rules = Path(connection.exec_driver_sql("SHOW hba_file").scalar_one())
        if not os.access(rules, os.W_OK):
            pytest.skip("the test server's access rules cannot be changed from here")
        before = rules.read_text()
        role = f"guest_{sa.make_url(fresh_postgres).database}"
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
        try:
            rules.write_text(f"host all {role} all scram-sha-256\n{before}")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
            url = sa.make_url(fresh_postgres).set(username=role, password="secret")
            line = one_line(command("status", ALERCE_DATABASE_URL=url.render_as_string(hide_password=False)))
            assert "wrong user or password; check ALERCE_DATABASE_URL" in line
            assert "secret" not in line
        finally:
            rules.write_text(before)
            connection.exec_driver_sql("SELECT pg_reload_conf()")
            connection.exec_driver_sql(f"DROP ROLE {role}")
    engine.dispose()
