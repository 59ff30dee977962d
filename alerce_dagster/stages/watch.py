"""Stage watch_matches: alerts that somebody's list asks for, stored with the messages about them; and sending these.

E-mails and webhooks are sent here (`deliver`); Kafka messages go out with all others, from the outbox.
"""

from functools import lru_cache

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.reporting.delivery import DeliveryError, send
from alerce_dagster.reporting.matching import WATCHED, Targets, match
from alerce_dagster.stages import VERSIONS, Night, batches
from alerce_dagster.stages.classifications import CLASSIFIER
from alerce_dagster.storage import ledger, outbox, tables, watch
from alerce_dagster.storage.database import Database, rare, to_arrow
from alerce_dagster.storage.ledger import Batch, Entry
from alerce_dagster.storage.outbox import Outgoing
from alerce_dagster.streams.messages import encode

STAGE = "watch_matches"


def make_watch_matches(night: Night) -> Entry:
    """Match all lists with the night's batches that have no entry yet. Nothing is sent here: see `deliver`."""
    total = night.entry(STAGE)
    todo = batches.pending(night, STAGE, VERSIONS[STAGE])
    n_alerts = sum(batch.n_packets for batch in todo)
    database = night.stores.database
    for batch in todo:
        with database.reading() as connection:
            lists = watch.lists(connection)
            alerts = _alerts(night, connection, batch) if lists else WATCHED.empty_table()
            found = {own.name: match(own, _targets(database, own.name, key), alerts) for own, key in lists}
        entry = night.entry(STAGE, batch_id=batch.batch_id)
        entry.n_in = entry.n_out = batch.n_packets
        with database.writing() as connection:
            for own, _ in lists:
                rows = [row | {"run_id": night.run_id} for row in found[own.name].to_pylist()]
                new = watch.record(connection, own, night.survey.name, batch.batch_id, rows)
                entry.details[f"matches of {own.name}"] = new
                if new and night.publishes:
                    _publish(connection, batch, own.name, rows)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def deliver(database: Database, *, failed: bool = False) -> dict[str, int]:
    """Send the messages that wait (with `failed`, those given up as well); returns how many were sent and failed.

    A place that cannot be reached is left alone until the next time: one dead server must not hold up a night. Each
    message is marked before it is sent and after. Should the process die in between, it is sent again after some
    minutes, under the same key.
    """
    counts = {"sent": 0, "not_sent": 0}
    dead: set[tuple[str, str]] = set()
    with database.reading() as connection:
        keys = watch.due(connection, failed=failed)
    for key in keys:
        if (key["watch_list"], key["channel"]) in dead:
            counts["not_sent"] += 1
            continue
        with database.writing() as connection:
            taken = watch.take(connection, key, failed=failed)
        if taken is None:
            continue
        error = None
        try:
            send(key["channel"], *taken)
        except DeliveryError as failure:
            error = str(failure)
            dead.add((key["watch_list"], key["channel"]))
        with database.writing() as connection:
            watch.settle(connection, key, error)
        counts["sent" if error is None else "not_sent"] += 1
    return counts


def _publish(connection: Connection, batch: Batch, name: str, rows: list[dict]) -> None:
    """Lay the matches in the outbox: on Kafka each list has its topic."""
    shared = {"watch_list": name, "survey": batch.survey, "classifier_name": CLASSIFIER}
    records = [row | shared | {"classifier_version": row["model"]} for row in rows]
    messages = [Outgoing(row["oid"].encode(), encode("watch_match", row)) for row in records]
    outbox.put(connection, batch.survey, batch.night, f"watch_{name}", batch.batch_id, VERSIONS[STAGE], messages)


def _alerts(night: Night, connection: Connection, batch: Batch) -> pa.Table:
    """A batch's alerts in schema WATCHED."""
    alert, answer = tables.alert, tables.object_class
    same = (answer.c.survey == alert.c.survey) & (answer.c.oid == alert.c.oid) & (answer.c.classifier == CLASSIFIER)
    columns = [(answer if name in ("class_name", "probability", "model") else alert).c[name] for name in WATCHED.names]
    chosen = sa.select(*columns).select_from(alert.outerjoin(answer, same))
    chosen = chosen.where(alert.c.survey == night.survey.name, rare(connection, alert.c.batch_id == batch.batch_id))
    return to_arrow(connection.execute(chosen.order_by(alert.c.file_row)), WATCHED)


@lru_cache(maxsize=64)
def _targets(database: Database, name: str, content_hash: str) -> Targets:
    """The targets of a list, sorted once per process; another content has another hash."""
    with database.reading() as connection:
        return Targets(watch.targets(connection, name))
