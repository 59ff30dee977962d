"""What the stages ask of SQLite for a batch, explained: none of it grows with what is stored already."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from alerce_dagster.storage import Stores
from tests.stages.conftest import night_of, run_night
from tests.zpackets import alert, write_packets

LARGE = {"object", "object_class", "alert", "detection", "classification", "non_detection", "forced_photometry"}


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'alerce.db'}"


def test_no_stage_reads_a_whole_survey(stores: Stores, classifier, tmp_path: Path) -> None:
    records = [alert(n, f"ZTF20object{n % 5}", day=0.3 + n / 50, ra=15.0 * (n % 5)) for n in range(10)]
    asked: dict[str, tuple] = {}

    @sa.event.listens_for(stores.database.engine, "before_cursor_execute")
    def listen(_connection, _cursor, statement, values, _context, many) -> None:
        if statement.startswith(("SELECT", "WITH")) and not many:
            asked[statement] = values

    run_night(night_of(stores), [write_packets(tmp_path / "in", records)], classifier)
    sa.event.remove(stores.database.engine, "before_cursor_execute", listen)
    assert len(asked) > 20
    whole = []
    with stores.database.reading() as connection:
        for statement, values in asked.items():
            for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values):
                step = row[3]
                table = step.split()[1] if step.startswith(("SCAN", "SEARCH")) else ""
                if table in LARGE and (step.startswith("SCAN") or step.endswith("(survey=?)")):
                    whole.append(f"{step}: {statement}")
    assert whole == []
