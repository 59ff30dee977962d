"""What TNS knows at the place, or under the name, of a night's objects: matched with the local copy.

Not a stage of the ledger: the copy changes by the hour, and a match is replaced as a whole whenever it is asked for.
"""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from alerce_dagster.reporting import tns_objects
from alerce_dagster.reporting.tns import Client
from alerce_dagster.reporting.tns_objects import Copy
from alerce_dagster.stages import Night
from alerce_dagster.stages.light_curves import constant
from alerce_dagster.storage import tables
from alerce_dagster.storage.database import APPEND, to_arrow

_PLACES = pa.schema([("oid", pa.string()), ("ra", pa.float64()), ("dec", pa.float64())])
_OBJECTS_AT_ONCE = 5_000


def refresh(client: Client, folder: Path) -> Copy:
    """Fetch TNS's public objects and make them the copy in use; what was in use stays until the new one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "tns_public_objects.csv.zip"
    client.public_objects(file)
    objects = tns_objects.read(file)
    tns_objects.keep(objects, folder)
    return Copy.of(objects)


def make_tns_matches(night: Night, copy: Copy | None) -> Counter[str]:
    """Match all objects with an alert in the night; counts of objects, matches and, of these, names that agree.

    Without a copy nothing is matched and nothing that was matched before is touched.
    """
    survey, database = night.survey.name, night.stores.database
    alert, object_, table = tables.alert, tables.object_, tables.tns_match
    tonight = sa.select(alert.c.oid).where(alert.c.survey == survey, alert.c.night == night.night)
    chosen = sa.select(object_.c.oid, object_.c.ra, object_.c.dec).where(
        object_.c.survey == survey, object_.c.oid.in_(tonight)
    )
    with database.reading() as connection:
        places = to_arrow(connection.execute(chosen.order_by(object_.c.oid)), _PLACES)
    counts = Counter({"objects": places.num_rows})
    if copy is None:
        return counts
    found = copy.match(places)
    values = {"survey": survey, "snapshot": copy.snapshot, "run_id": night.run_id}
    for name, value in values.items():
        found = found.append_column(name, constant(value, found.num_rows))
    found = found.rename_columns([{"name": "tns_name"}.get(name, name) for name in found.column_names])
    oids = places["oid"].to_pylist()
    with database.writing() as connection:
        for start in range(0, len(oids), _OBJECTS_AT_ONCE):
            part = oids[start : start + _OBJECTS_AT_ONCE]
            connection.execute(table.delete().where(table.c.survey == survey, table.c.oid.in_(part)))
        kept = found.select([c.name for c in table.columns if c.name in found.column_names])
        database.write(connection, table, kept, APPEND)
    counts["matches"] = found.num_rows
    counts["objects that TNS knows"] = len(set(found["oid"].to_pylist()))
    counts["under the same name"] = sum(found["same_name"].to_pylist())
    return counts
