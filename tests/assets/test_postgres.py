"""Everything on PostgreSQL: the broker's database and Dagster's own storage, as deploy/dagster-postgres.yaml says."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.test_run import command
from tests.faults.night import BAD, check_complete, make_night, outcome, stores_at

PACKETS = 12
pytestmark = pytest.mark.postgres


@pytest.fixture
def dagster_postgres(postgres_url: str) -> Iterator[str]:
    """URL of an empty database for Dagster's own storage."""
    name = f"dagster_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = sa.make_url(postgres_url).set(drivername="postgresql+psycopg2", database=name)
    yield url.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


def test_a_night_twice_on_postgres(home: Path, fresh_postgres: str, dagster_postgres: str, tmp_path: Path) -> None:
    folder = make_night(tmp_path / "in", PACKETS)
    on_sqlite = tmp_path / "sqlite"
    result = command("run", str(folder), "--no-progress", ALERCE_HOME=str(on_sqlite))
    assert result.returncode == 0, result.stderr
    expected = outcome(stores_at(on_sqlite))

    (home / "dagster").mkdir(parents=True)
    deployed = Path(__file__).parents[2] / "deploy" / "dagster-postgres.yaml"
    shutil.copyfile(deployed, home / "dagster" / "dagster.yaml")
    places = {"ALERCE_DATABASE_URL": fresh_postgres, "DAGSTER_DATABASE_URL": dagster_postgres}
    for _ in range(2):
        result = command("run", str(folder), "--no-progress", **places)
        assert result.returncode == 0, result.stderr
        stores = stores_at(home, fresh_postgres)
        check_complete(stores, PACKETS, len(BAD))
        assert outcome(stores) == expected
        stores.database.engine.dispose()
    assert not list(home.rglob("*.db"))
    engine = sa.create_engine(dagster_postgres)
    with engine.connect() as connection:
        statuses = connection.execute(sa.text("SELECT status FROM runs")).scalars().all()
    engine.dispose()
    assert statuses == ["SUCCESS", "SUCCESS"]


def test_dagster_storage_that_does_not_answer(home: Path, fresh_postgres: str, tmp_path: Path) -> None:
    (home / "dagster").mkdir(parents=True)
    deployed = Path(__file__).parents[2] / "deploy" / "dagster-postgres.yaml"
    shutil.copyfile(deployed, home / "dagster" / "dagster.yaml")
    folder = make_night(tmp_path / "in", 1)
    url = "postgresql+psycopg2://someone:secret@127.0.0.1:1/dagster"
    result = command("run", str(folder), "--no-progress", DAGSTER_DATABASE_URL=url)
    assert result.returncode == 4
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "Dagster's own state" in result.stderr
    assert "check host and port in DAGSTER_DATABASE_URL" in result.stderr
    assert "secret" not in result.stderr
