"""Dagster's own files, as a kill or a full disk may leave them while they are being made."""

from contextlib import closing
from pathlib import Path

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
