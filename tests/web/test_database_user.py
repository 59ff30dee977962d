"""The user of PostgreSQL that the documentation makes can do what the web does, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from alerce_dagster.errors import StoreError
from alerce_dagster.storage import Stores, schema, tables
from alerce_dagster.storage.database import Database
from alerce_dagster.web.access import Access
from alerce_dagster.web.app import create_app

DOCUMENT = Path(__file__).parents[2] / "docs" / "web.md"


@pytest.fixture
def user_url(written: Stores) -> Iterator[str]:
    """The URL of that user, made by the statements in the documentation."""
    if written.database.is_sqlite:
        pytest.skip("SQLite has no users")
    commands = DOCUMENT.read_text(encoding="utf-8").partition("```sql\n")[2].partition("```")[0]
    engine = sa.create_engine(written.database.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for command in commands.strip().split(";"):
            if command.strip():
                connection.exec_driver_sql(command)
    url = written.database.url.set(username="alerce_web", password="...")
    yield url.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP OWNED BY alerce_web")
        connection.exec_driver_sql("DROP ROLE alerce_web")
    engine.dispose()


def test_it_reads_everything_and_writes_decisions_alone(user_url: str, written: Stores) -> None:
    reader, writer = Database(user_url, seconds_per_query=10), Database(user_url)
    schema.require(writer)
    with TestClient(create_app(Access(Stores(reader, written.archive), writer, token="secret"))) as client:
        oid = client.get("/api/v1/objects").json()["items"][0]["oid"]
        assert client.get(f"/api/v1/objects/{oid}/provenance").status_code == 200
        decision = {"oid": oid, "verdict": "skip", "person": "Ada"}
        headers = {"Authorization": "Bearer secret"}
        assert client.post("/api/v1/decisions", json=decision, headers=headers).status_code == 201
    for table in (tables.object_, tables.triage):
        with pytest.raises(StoreError, match="permission denied"), writer.writing() as connection:
            connection.execute(table.delete())
    reader.engine.dispose()
    writer.engine.dispose()
