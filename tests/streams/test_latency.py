"""Latencies of known moments, to the second."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from alerce_dagster.assets.plots import cumulative
from alerce_dagster.stages.alerts import ingest_portion
from alerce_dagster.storage import Stores, latency, outbox, tables
from alerce_dagster.streams.reading import Message, Portion
from alerce_dagster.streams.spans import Span
from alerce_dagster.streams.wire import Schemas, read_messages
from tests.stages.conftest import night_of
from tests.zpackets import JD0, NIGHT, alert, packet

START = datetime(2020, 1, 15, 8, 0, tzinfo=UTC)


def test_every_step_of_every_alert(stores: Stores) -> None:
    """Three alerts, distributed 10, 20 and 30 s after their exposure, go through in one batch."""
    night = night_of(stores)
    sent = [START + timedelta(seconds=10 * (n + 1)) for n in range(3)]
    messages = [
        Message("t", 0, n, round(sent[n].timestamp() * 1000), packet(alert(n, jd=JD0 + 8 / 24))) for n in range(3)
    ]
    portion = Portion(messages, [Span("t", 0, 0, 3)])
    [entry] = ingest_portion(night, portion, lambda m: read_messages(m, Schemas(None)))
    with stores.database.reading() as connection:
        before = latency.percentiles(latency.latencies(latency.moments(connection, "ztf", night.night)))
    assert set(before) == {"exposed to distributed", "distributed to stored"}
    assert before["exposed to distributed"][50] == pytest.approx(20, abs=1e-3)
    with stores.database.writing() as connection:
        outbox.put(connection, "ztf", night.night, "object_updates", entry.batch_id, "m", [outbox.Outgoing(b"", b"")])
        outbox.mark_published(connection, 10, START + timedelta(seconds=60))
        connection.execute(tables.ledger.update().values(finished_at=START + timedelta(seconds=40)))
        classified = {"stage": "classifications", "finished_at": START + timedelta(seconds=45)}
        row = connection.execute(tables.ledger.select()).mappings().one()
        connection.execute(tables.ledger.insert().values(**(dict(row) | classified | {"entry": 99})))
    with stores.database.reading() as connection:
        found = latency.latencies(latency.moments(connection, "ztf", date.fromisoformat(NIGHT)))
    assert found["distributed to stored"] == pytest.approx([30, 20, 10], abs=1e-3)
    assert found["stored to classified"] == pytest.approx([5, 5, 5], abs=1e-3)
    assert found["classified to published"] == pytest.approx([15, 15, 15], abs=1e-3)
    assert found["distributed to published"] == pytest.approx([50, 40, 30], abs=1e-3)
    assert latency.percentiles(found)["distributed to published"] == pytest.approx({50: 40, 95: 49, 99: 49.8}, abs=1e-2)


def test_a_night_that_came_in_files_has_no_latencies(stores: Stores) -> None:
    with stores.database.reading() as connection:
        found = latency.latencies(latency.moments(connection, "ztf", date.fromisoformat(NIGHT)))
    assert latency.percentiles(found) == {}


def test_the_plot_has_a_line_for_each_step() -> None:
    import base64

    picture = cumulative({"a": np.array([0.1, 1, 10]), "b": np.array([5.0]), "c": np.array([])}, "seconds")
    svg = base64.b64decode(picture.partition("base64,")[2].rstrip(")")).decode()
    assert svg.count("<polyline") == 2
    assert cumulative({"a": np.array([])}, "seconds") == "no values"
