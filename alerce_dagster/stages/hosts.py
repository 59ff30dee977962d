"""Stage hosts: the most probable host galaxy of every object that had an alert, and its distance.

Said of every object, on the condition that it is a transient outside the Galaxy. The ledger's version of this stage
contains the snapshots of the catalogues of galaxies, so new galaxies make the night work again. Without any there is
nothing to do.
"""

import json

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.catalogs.hosts import associate
from alerce_dagster.catalogs.schemas import TRANSIENTS
from alerce_dagster.stages import VERSIONS, Night, batches
from alerce_dagster.storage import Stores, ledger, tables
from alerce_dagster.storage.database import REPLACE, rare, to_arrow

STAGE = "hosts"
_KEPT = 5  # candidates told beside the host
_PLACES = pa.schema([*TRANSIENTS, ("healpix", pa.int64())])


def version(galaxies: GalaxyCatalogues) -> str:
    """The ledger's version of this stage."""
    return f"{VERSIONS[STAGE]} {galaxies.version}"


def make_hosts(night: Night, galaxies: GalaxyCatalogues) -> ledger.Entry:
    """Find the hosts of the objects of the night's batches that have not been looked for among these galaxies."""
    total = night.entry(STAGE, version(galaxies))
    todo = batches.pending(night, STAGE, version(galaxies))
    n_alerts = sum(batch.n_packets for batch in todo)
    for batch in todo:
        entry = night.entry(STAGE, version(galaxies), batch.batch_id)
        entry.n_in = entry.n_out = batch.n_packets
        rows = None
        if galaxies.catalogues:
            with night.stores.database.reading() as connection:
                alert, survey = tables.alert, night.survey.name
                mine = sa.select(alert.c.oid).where(
                    alert.c.survey == survey, rare(connection, alert.c.batch_id == batch.batch_id)
                )
                objects = read_transients(night.stores, connection, survey, sorted(set(connection.scalars(mine))))
            rows = find_hosts(objects, galaxies, survey, night.run_id)
            entry.details.update(_counted(rows))
        with night.stores.database.writing() as connection:
            if rows is not None:
                night.stores.database.write(connection, tables.host, rows, REPLACE)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def read_transients(stores: Stores, connection: Connection, survey: str, oids: list[str]) -> pa.Table:
    """Objects in schema TRANSIENTS with `healpix`; the magnitude is the brightest difference magnitude of any band."""
    object_, stat = tables.object_, tables.magstat
    brightest: dict[str, float] = {}
    chosen = sa.select(stat.c.oid, stat.c.mag_min).where(stat.c.survey == survey, stat.c.mag_min.is_not(None))
    for oid, mag in stores.database.select_by(connection, chosen, stat.c.oid, oids):
        brightest[oid] = min(mag, brightest.get(oid, np.inf))
    columns = [object_.c[name] for name in ("oid", "ra", "dec", "ra_err", "dec_err", "healpix")]
    found = stores.database.select_by(
        connection, sa.select(*columns).where(object_.c.survey == survey), object_.c.oid, oids
    )
    rows = []
    for oid, ra, dec, ra_err, dec_err, cell in found:
        error = None if ra_err is None or dec_err is None else float(np.sqrt((ra_err**2 + dec_err**2) / 2))
        rows.append((oid, ra, dec, error, brightest.get(oid), cell))
    return to_arrow(rows, _PLACES)


def find_hosts(objects: pa.Table, galaxies: GalaxyCatalogues, survey: str, run_id: str) -> pa.Table:
    """Rows of the table host for objects as `read_transients` gives them."""
    ra, dec = objects["ra"].to_numpy(), objects["dec"].to_numpy()
    depth, completeness = galaxies.depth(objects["healpix"].to_numpy())
    hosts, ranked = associate(objects.select(TRANSIENTS.names), galaxies.candidates(ra, dec), depth, completeness)
    names = ("catalog", "catalog_id", "probability", "separation")
    told: dict[int, list[dict]] = {}
    for row, *values in zip(ranked["row"].to_pylist(), *[ranked[name].to_pylist() for name in names], strict=True):
        if len(told.setdefault(row, [])) < _KEPT:
            catalog, catalog_id, probability, separation = values
            told[row].append(
                {
                    "catalog": catalog,
                    "catalog_id": catalog_id,
                    "probability": round(probability, 6),
                    "separation": round(separation, 3),
                }
            )
    n = objects.num_rows
    constants = {"survey": survey, "snapshots": json.dumps(galaxies.snapshots), "run_id": run_id}
    candidates = [json.dumps(told[row]) if row in told else None for row in range(n)]
    hosts = hosts.append_column("candidates", pa.array(candidates, pa.string()))
    for name, value in constants.items():
        hosts = hosts.append_column(name, pa.repeat(pa.scalar(value), n))
    return hosts


def _counted(hosts: pa.Table) -> dict[str, int]:
    probability = hosts["probability"].fill_null(0.0).to_numpy()
    return {
        "objects": hosts.num_rows,
        "with a host (over 0.5)": int((probability > 0.5).sum()),
        "with a redshift": hosts.num_rows - hosts["redshift"].null_count,
        "implausible luminosity": sum(name.startswith("too") for name in hosts["luminosity"].to_pylist()),
    }
