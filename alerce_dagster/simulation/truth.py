"""The truth of a simulation: what every object is. For tests, training and evaluation; packets say nothing of it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from alerce_dagster.simulation.packets import World
from alerce_dagster.simulation.populations.taxonomy import CLASSES, STAMP_CLASSES
from alerce_dagster.simulation.sky import Objects
from alerce_dagster.surveys.tables import FLOAT, INT, TEXT, column

TRUTH = pa.schema(
    [
        column("oid", TEXT, "", "the object"),
        column("class_name", TEXT, "", "what it is, of nineteen classes"),
        column("stamp_class", TEXT, "", "what its cutouts show: AGN, SN, VS, asteroid or bogus"),
        column("subclass", TEXT, "", "what of its class"),
        column("ra", FLOAT, "deg", "true right ascension"),
        column("dec", FLOAT, "deg", "true declination"),
        column("redshift", FLOAT, "", "of what lies outside the Galaxy"),
        column("period", FLOAT, "d", "of a variable star"),
        column("explosion_mjd", FLOAT, "d", "of a supernova, a nova or a disruption; the peak of a lensing event"),
        column("host_offset", FLOAT, "arcsec", "from the centre of the host galaxy, for explosions"),
        column("reference_mag", FLOAT, "mag", "r magnitude of the host or the quiet source"),
        column("body", INT, "", "Solar System body; one body is several objects"),
        column("n_alerts", INT, "", "alerts of it in the simulation"),
    ]
)


def truth(world: World, alerts: np.ndarray) -> pa.Table:
    """One row (schema TRUTH) per object of a world; every object there has an alert."""
    n = world.things.kind.size
    return truth_of(world.things, world.names, np.bincount(world.thing[alerts], minlength=n))


def truth_of(things: Objects, oids: Sequence[str], n_alerts: np.ndarray) -> pa.Table:
    """One row (schema TRUTH) per object."""
    columns = {
        "oid": oids,
        "class_name": [CLASSES[kind] for kind in things.kind],
        "stamp_class": [STAMP_CLASSES[stamp] for stamp in things.stamp],
        "subclass": things.subclass.tolist(),
        "ra": np.round(things.ra, 7),
        "dec": np.round(things.dec, 7),
        "redshift": pa.array(np.round(things.redshift, 6), from_pandas=True),
        "period": pa.array(np.round(things.period, 9), from_pandas=True),
        "explosion_mjd": pa.array(np.round(things.start, 6), from_pandas=True),
        "host_offset": pa.array(np.where(things.of("SN"), np.round(things.offset, 4), np.nan), from_pandas=True),
        "reference_mag": np.round(things.ref_mag[:, 1], 4),
        "body": pa.array(things.body, mask=things.body < 0),
        "n_alerts": n_alerts,
    }
    return pa.table(columns, schema=TRUTH)
