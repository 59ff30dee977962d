"""Labels that people gave on SN Hunter: who, when, and the alert that they looked at; and its cutouts for training.

A decision is a label where it says what the thing is: `bogus`, or `candidate`, which agrees with the class whose list
the person was looking at. `known` and `skip` say nothing of the class. Of each person the newest decision counts, and
where people disagree there is no label.

These labels are real but not a fair sample: people were shown what the classifier already believed in.
"""

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from alerce_dagster.classifiers.evidence import STAMP_CLASS_OF
from alerce_dagster.classifiers.labelled_stamps import LabelledStamps, labelled_stamps
from alerce_dagster.classifiers.preparation import usable
from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES
from alerce_dagster.stages.answer_messages import SUPERNOVA
from alerce_dagster.storage import Stores, queries, tables
from alerce_dagster.storage.database import to_arrow
from alerce_dagster.storage.triage import decisions
from alerce_dagster.surveys import get_survey
from alerce_dagster.surveys.packets import read_container
from alerce_dagster.surveys.tables import ALERTS

EVERY_DECISION = 10_000_000

HUMAN_LABELS = pa.schema(
    [
        pa.field("oid", pa.string(), False),
        pa.field("candid", pa.int64(), False, {"description": "alert whose cutouts were looked at"}),
        pa.field("label", pa.string(), False, {"description": "class of the stamp classifier"}),
        pa.field("origin", pa.string(), False, {"description": "always human"}),
        pa.field("people", pa.list_(pa.string()), False, {"description": "who said so"}),
        pa.field("decided_at", pa.timestamp("us", "UTC"), False, {"description": "the newest of their decisions"}),
    ]
)


def human_labels(stores: Stores, survey: str) -> pa.Table:
    """One row of HUMAN_LABELS for each object that people agree on, in order of oid."""
    with stores.database.reading() as connection:
        newest_first = decisions(connection, survey, limit=EVERY_DECISION)
    newest: dict[tuple[str, str], dict] = {}
    for row in newest_first:
        newest.setdefault((row["oid"], row["person"]), row)
    said: dict[str, list[dict]] = {}
    for (oid, _), row in newest.items():
        if _label(row) and row["candid"] is not None:
            said.setdefault(oid, []).append(row)
    rows = []
    for oid, of_object in sorted(said.items()):
        labels = {_label(row) for row in of_object}
        last = of_object[0]
        if len(labels) == 1:
            people = sorted(row["person"] for row in of_object)
            common = {"oid": oid, "candid": last["candid"], "label": _label(last), "origin": "human"}
            rows.append(common | {"people": people, "decided_at": last["decided_at"]})
    return pa.Table.from_pylist(rows, schema=HUMAN_LABELS)


def _label(row: dict) -> str | None:
    if row["verdict"] == "bogus":
        return "bogus"
    if row["verdict"] == "candidate":
        name = row["class_name"] or SUPERNOVA
        return name if name in STAMP_CLASSES else STAMP_CLASS_OF.get(name)
    return None


def human_stamps(stores: Stores, survey: str, labels: pa.Table) -> LabelledStamps:
    """The alerts of `labels` (HUMAN_LABELS) with their cutouts out of the archive, as a labelled set.

    Alerts whose cutouts are missing are left out and counted.
    """
    alert = tables.alert
    chosen = sa.select(*[alert.c[name] for name in ALERTS.names]).where(alert.c.survey == survey)
    with stores.database.reading() as connection:
        candids = labels["candid"].to_pylist()
        alerts = to_arrow(stores.database.select_by(connection, chosen, alert.c.candid, candids), ALERTS)
    label_of = dict(zip(candids, labels["label"].to_pylist(), strict=True))
    alerts = alerts.sort_by("candid")
    found = alerts["candid"].to_pylist()
    packets = [read_container(queries.packet(stores, survey, candid))[0] for candid in found]
    images = get_survey(survey).cutouts(packets).images
    seen = usable(images).all(axis=1)
    kept = np.flatnonzero(seen)
    classes = np.array([STAMP_CLASSES.index(label_of[found[i]]) for i in kept], dtype=np.int64)
    missing = len(candids) - len(kept)
    left_out = {"human label without cutouts": missing} if missing else {}
    return labelled_stamps(images[kept], alerts.take(pa.array(kept)), classes, left_out)
