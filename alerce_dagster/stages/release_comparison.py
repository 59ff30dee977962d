"""A field of a data release beside the alert stream: what each sees of the sources that catalogues name, and whether
their magnitudes agree.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.pairs import SortedPositions
from alerce_dagster.classifiers.labelled_light_curves import CLASS_OF
from alerce_dagster.releases.comparison import Agreement, Seen, alerts_against_release, seen_by_class
from alerce_dagster.stages.labels import TYPE_COLUMNS, finest
from alerce_dagster.storage import tables
from alerce_dagster.storage.cones import Cone, cone_ranges
from alerce_dagster.storage.database import Database

_COVERED = 60.0  # arcsec: a place with a light curve this near is within the release's coverage
_AT_THE_SOURCE = 0.5  # arcsec: an alert this near to its reference source is the source's
_FILTERS = {"g": 1, "r": 2, "i": 3}


def compare(
    database: Database, library: Library, folder: Path, survey: str = "ztf"
) -> tuple[list[Seen], list[Agreement]]:
    """Compare the products of a field in `folder` with the survey's stored objects and alerts.

    Raises
    ------
    StoreError
        When a catalogue is damaged.
    """
    variability = pq.read_table(folder / "variability" / "dataset", columns=["ra", "dec", "variable"])
    ra, dec = (variability[name].to_numpy() for name in ("ra", "dec"))
    field = _footprint(ra, dec)
    label, at_ra, at_dec = labelled_sources(library, field)
    covered = np.zeros(len(label), bool)
    covered[SortedPositions(ra, dec).within(at_ra, at_dec, _COVERED).query] = True
    alerts = _alerts(database, survey, field)
    objects = (alerts["object_ra"].to_numpy(), alerts["object_dec"].to_numpy())
    seen = seen_by_class(label, at_ra, at_dec, variability, objects, covered)

    names = ["ra", "dec", "filterid", "mean_mag", "ensemble"]
    recalibrated = pq.read_table(folder / "recalibrated" / "dataset", columns=names)
    at_source = alerts.filter(pa.compute.less(alerts["ref_distance"], _AT_THE_SOURCE))
    bands = np.array([_FILTERS.get(band, 0) for band in at_source["band"].to_pylist()])
    magnitudes = at_source["ref_mag"].to_numpy(zero_copy_only=False).astype(float)
    at_ra, at_dec = (at_source[name].to_numpy() for name in ("object_ra", "object_dec"))
    return seen, alerts_against_release(recalibrated, at_ra, at_dec, bands, magnitudes)


def labelled_sources(library: Library, field: Cone) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class (of the 15), RA and Dec (degrees) of the sources in a cone that a catalogue of the library names.

    A source of two catalogues counts once for each class that they give it.
    """
    found: dict[tuple[str, float, float], None] = {}
    for name in library.names():
        rows = library.open(name).near(np.array([field.ra]), np.array([field.dec]), field.radius)
        for column in set(TYPE_COLUMNS) & set(rows.column_names):
            for kind, ra, dec in zip(*(rows[c].to_pylist() for c in (column, "ra", "dec")), strict=True):
                of_ours = CLASS_OF["15"].get(finest(kind) or "") if isinstance(kind, str) else None
                if of_ours:
                    found[of_ours, round(ra, 4), round(dec, 4)] = None
    label, ra, dec = zip(*found, strict=True) if found else ((), (), ())
    return np.array(label, dtype=object), np.array(ra, float), np.array(dec, float)


def _footprint(ra: np.ndarray, dec: np.ndarray) -> Cone:
    """The cone around all positions (degrees)."""
    unit = np.radians(ra), np.radians(dec)
    xyz = np.stack([np.cos(unit[1]) * np.cos(unit[0]), np.cos(unit[1]) * np.sin(unit[0]), np.sin(unit[1])])
    middle = xyz.mean(axis=1)
    middle /= np.linalg.norm(middle)
    farthest = 2 * np.arcsin(np.linalg.norm(xyz - middle[:, None], axis=0).max() / 2)
    at = np.degrees([np.arctan2(middle[1], middle[0]) % (2 * np.pi), np.arcsin(middle[2])])
    return Cone(float(at[0]), float(at[1]), float(np.degrees(farthest) * 3600 + _COVERED))


def _alerts(database: Database, survey: str, field: Cone) -> pa.Table:
    """Of each object in the cone the newest alert of each band, with the object's place."""
    object_, alert = tables.object_, tables.alert
    cells = cone_ranges(field)
    inside = sa.or_(*[object_.c.healpix.between(first, last) for first, last in cells])
    same = (alert.c.survey == object_.c.survey) & (alert.c.oid == object_.c.oid)
    chosen = (
        sa.select(object_.c.oid, object_.c.ra, object_.c.dec, alert.c.band, alert.c.ref_distance, alert.c.ref_mag)
        .select_from(object_.join(alert, same))
        .where(object_.c.survey == survey, inside)
        .order_by(alert.c.mjd)
    )
    with database.reading() as connection:
        newest = {(row.oid, row.band): tuple(row[1:]) for row in connection.execute(chosen)}
    names = ("object_ra", "object_dec", "band", "ref_distance", "ref_mag")
    kinds = (pa.float64(), pa.float64(), pa.string(), pa.float64(), pa.float64())
    columns = zip(*newest.values(), strict=True) if newest else ((),) * len(names)
    return pa.table({name: pa.array(list(of), kind) for name, of, kind in zip(names, columns, kinds, strict=True)})
