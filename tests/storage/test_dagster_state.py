"""Dagster's own files, as a kill or a full disk may leave them while they are being made."""

from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from alerce_dagster.resources.dagster_sqlite import EventLog


def test_half_made_event_log_is_completed(tmp_path: Path) -> None:
    """The file is there, with one of its tables and no mark that it is whole."""
    whole = EventLog(str(tmp_path / "whole"))
    path = Path(whole.get_db_path())
    with closing(sa.create_engine(f"sqlite:///{path}").connect()) as connection:
        tables = set(sa.inspect(connection).get_table_names())
    (tmp_path / "half").mkdir()
    half = tmp_path / "half" / path.name
    with sa.create_engine(f"sqlite:///{half}").begin() as connection:
        SqlEventLogStorageTable.create(connection)
    log = EventLog(str(tmp_path / "half"))
    with closing(sa.create_engine(f"sqlite:///{half}").connect()) as connection:
        assert set(sa.inspect(connection).get_table_names()) == tables
    assert log.all_asset_keys() == []


def test_a_whole_event_log_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sensor opens it in a thread of its own, and Alembic, which makes it, is not for two threads at once."""
    EventLog(str(tmp_path))
    monkeypatch.setattr(EventLog, "_init_db", lambda _: pytest.fail("made again"))
    assert EventLog(str(tmp_path)).all_asset_keys() == []
