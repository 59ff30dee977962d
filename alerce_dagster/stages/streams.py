"""Stage streams: results into the outbox with the results themselves, and from the outbox to Kafka.

What is laid in the outbox here is fixed at that moment: an object that changes later gives another message.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import date

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.classifiers import taxonomy
from alerce_dagster.errors import StreamError
from alerce_dagster.lightcurves.tables import OBJECTS
from alerce_dagster.stages import Night
from alerce_dagster.storage import Stores, filters, ledger, outbox, tables
from alerce_dagster.storage.database import rare, to_arrow
from alerce_dagster.storage.ledger import Batch
from alerce_dagster.storage.outbox import Outgoing
from alerce_dagster.streams.cluster import Cluster
from alerce_dagster.streams.filters import Filter, passes
from alerce_dagster.streams.messages import encode
from alerce_dagster.streams.publishing import Fenced, Note, Publisher, Sent
from alerce_dagster.surveys import get_survey
from alerce_dagster.surveys.tables import ALERTS

MESSAGES_PER_SENDING = 20_000
_PAUSE = 15.0
_OBJECT_NAMES = {
    "n_det": "ndet", "first_mjd": "firstmjd", "last_mjd": "lastmjd", "delta_mjd": "deltajd", "ra": "meanra",
    "dec": "meandec", "ra_err": "sigmara", "dec_err": "sigmadec", "n_det_history": "ndethist",
    "n_cov_history": "ncovhist",
}  # fmt: skip
"""Names of an object's columns in ALeRCE's messages, where they differ from ours."""

_ANSWERS = {
    "stamp_class": pa.string(), "stamp_probabilities": pa.string(), "stamp_reason": pa.string(),
    "class_name": pa.string(), "probabilities": pa.string(),
    "stamp_probability": pa.float64(), "probability": pa.float64(),
}  # fmt: skip
_TOLD = frozenset([*OBJECTS.names, *_ANSWERS, "candid", "mjd"])
"""What messages tell of an alert and its object; filters may ask for more."""


def put_results(night: Night, connection: Connection, batch: Batch, classifier: str, model: str) -> None:
    """Lay a batch's results in the outbox, in the transaction that stores them."""
    live = filters.live(connection)
    rows = products(night, connection, batch, classifier, None if live else _TOLD)
    shared = {
        "survey": night.survey.name,
        "run_id": night.run_id,
        "classifier_name": classifier,
        "classifier_version": model,
    }

    def put(topic: str, version: str, out: Iterable[Outgoing]) -> None:
        outbox.put(connection, night.survey.name, batch.night, topic, batch.batch_id, version, list(out))

    records = [row | shared for row in rows.to_pylist()]
    put(f"stamp_classifier_{batch.night:%Y%m%d}", model, _stamp_classifications(records))
    put("object_updates", model, _object_updates(records))
    for user_filter in live:
        kept = [record for record, good in zip(records, passes(user_filter.expression, rows), strict=True) if good]
        named = {"filter_name": user_filter.name, "filter_version": user_filter.version}
        messages = (_message("filter_match", _named(record) | named) for record in kept)
        put(user_filter.topic, f"{model} {user_filter.version}", messages)


def products(
    night: Night, connection: Connection, batch: Batch, classifier: str, names: frozenset[str] | None = None
) -> pa.Table:
    """What filters and messages may speak of: one row per alert of a batch, in the order of its file.

    With `names` only these columns, and no p_CLASS.

    The object's columns by their names, of the alert those that an object has not, the alert's own answer
    (stamp_class, stamp_probability), the object's (class_name, probability), and of the object p_CLASS for each class.
    """
    alert, object_, answer, whole = tables.alert, tables.object_, tables.classification, tables.object_class
    found = {
        "stamp_class": answer.c.class_name,
        "stamp_probability": answer.c.probability,
        "stamp_probabilities": sa.cast(answer.c.probabilities, sa.Text),
        "stamp_reason": answer.c.reason,
        "class_name": whole.c.class_name,
        "probability": whole.c.probability,
        "probabilities": sa.cast(whole.c.probabilities, sa.Text),
    }
    fields = [field for field in _fields() if names is None or field.name in names]
    columns = [
        (object_.c[f.name] if f.name in OBJECTS.names else alert.c[f.name]) if f.name not in found else found[f.name]
        for f in fields
    ]
    same_object = (object_.c.survey == alert.c.survey) & (object_.c.oid == alert.c.oid)
    same_alert = (answer.c.survey == alert.c.survey) & (answer.c.candid == alert.c.candid)
    same_answer = (whole.c.survey == alert.c.survey) & (whole.c.oid == alert.c.oid)
    joined = (
        alert.join(object_, same_object)
        .outerjoin(answer, same_alert & (answer.c.classifier == classifier))
        .outerjoin(whole, same_answer & (whole.c.classifier == classifier))
    )
    chosen = (
        sa.select(*columns)
        .select_from(joined)
        .where(alert.c.survey == night.survey.name, rare(connection, alert.c.batch_id == batch.batch_id))
        .order_by(alert.c.file_row)
    )
    table = to_arrow(connection.execute(chosen), pa.schema(fields))
    return table if names is not None else _with_class_columns(table)


def _fields() -> list[pa.Field]:
    """Columns of `products`, without those of the single classes."""
    stored = [*OBJECTS, *[field for field in ALERTS if field.name not in OBJECTS.names]]
    return [field.remove_metadata() for field in stored] + [pa.field(name, kind) for name, kind in _ANSWERS.items()]


def check_filter(expression: str) -> None:
    """Raise InputError when a filter cannot be computed: on a table without rows, with every column there may be."""
    numbers = [pa.field(f"p_{name}", pa.float64()) for name in taxonomy.STAMP_CLASSES]
    passes(expression, pa.schema([*_fields(), *numbers]).empty_table())


def try_filter(stores: Stores, survey: str, day: date, classifier: str, user_filter: Filter) -> tuple[int, list[str]]:
    """How many alerts of a night a filter has seen, and the objects of those it lets through, one for each alert."""
    night = Night(stores, get_survey(survey), day, run_id="")
    n_alerts, passed = 0, []
    with stores.database.reading() as connection:
        for batch in ledger.batches(connection, survey, day):
            rows = products(night, connection, batch, classifier)
            n_alerts += rows.num_rows
            passed += rows["oid"].filter(passes(user_filter.expression, rows)).to_pylist()
    return n_alerts, passed


def _with_class_columns(table: pa.Table) -> pa.Table:
    decoded = [json.loads(text) if text else {} for text in table["probabilities"].to_pylist()]
    for name in sorted(set().union(*decoded)):
        table = table.append_column(f"p_{name}", pa.array([each.get(name) for each in decoded], pa.float64()))
    return table


def _stamp_classifications(records: list[dict]) -> Iterator[Outgoing]:
    for record in records:
        if record["stamp_class"] is not None:
            own = {
                "objectId": record["oid"],
                "probabilities": json.loads(record["stamp_probabilities"]),
                "class_name": record["stamp_class"],
                "reason": record["stamp_reason"],
            }
            yield _message("stamp_classifier", record | own)


def _object_updates(records: list[dict]) -> Iterator[Outgoing]:
    latest: dict[str, dict] = {}
    for record in records:
        before = latest.get(record["oid"])
        if before is None or (record["mjd"], record["candid"]) > (before["mjd"], before["candid"]):
            latest[record["oid"]] = record
    for record in latest.values():
        yield _message("object_updates", _named(record))


def _named(record: dict) -> dict:
    """The record with ALeRCE's names for what has one."""
    return record | {theirs: record[ours] for ours, theirs in _OBJECT_NAMES.items()}


def _message(schema: str, record: dict) -> Outgoing:
    return Outgoing(record["oid"].encode(), encode(schema, record))


class Outlet:
    """Where results go: makes its publisher when there is something to send, and a new one after any fault.

    A new one reads Kafka's own note of what was sent last, so that nobody need know how far the old one came.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self._name = cluster, name
        self._publisher: Publisher | None = None
        self._not_before = 0.0
        self._one_at_a_time = threading.RLock()

    def publish(self, stores: Stores) -> int:
        """Send all that waits in the outbox, in order; returns the number of messages.

        Raises
        ------
        StreamError
            When Kafka does not answer, or what it says was sent is not what this database has sent.
        """
        with self._one_at_a_time:
            return self._publish(stores)

    def _publish(self, stores: Stores) -> int:
        n_sent = 0
        while True:
            with stores.database.reading() as connection:
                parcels = outbox.waiting(connection, MESSAGES_PER_SENDING)
            if not parcels:
                return n_sent
            try:
                if self._publisher is None:
                    self._publisher = Publisher(self._cluster, self._name)
                    _trust_note(stores, self._publisher.last)
                    continue
                messages = [Sent(p.topic, m.key, m.value, m.headers) for p in parcels for m in p.messages]
                when = self._publisher.send(messages, parcels[-1].position, parcels[-1].digest)
            except Fenced:  # whoever took over looks into the outbox after us
                self._publisher = None
                return n_sent
            except BaseException:
                self._publisher = None
                raise
            with stores.database.writing() as connection:
                outbox.mark_published(connection, parcels[-1].position, when)
            n_sent += len(messages)

    def publish_if_it_answers(self, stores: Stores) -> None:
        """Send what waits; a cluster that does not answer is asked again after a while."""
        if time.monotonic() < self._not_before:
            return
        try:
            self.publish(stores)
        except StreamError:
            self._not_before = time.monotonic() + _PAUSE


def _trust_note(stores: Stores, note: Note | None) -> None:
    """Mark what Kafka says has gone out: a publisher died between its commit and its mark."""
    if note is None:
        return
    with stores.database.writing() as connection:
        digest = outbox.digest_of(connection, note.position)
        if digest != note.digest:
            raise StreamError(
                f"Kafka's note says parcel {note.position} of the outbox was published, and this database has another "
                "there: it is not the database that published last; set ALERCE_STREAMS_NAME to a new name for it"
            )
        outbox.mark_published(connection, note.position, note.when)
