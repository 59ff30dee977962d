"""Watch lists, hosts and broker objects: CPU seconds warm, and astropy's for the same positions in the same run."""

import json
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from astropy.coordinates import SkyCoord

from alerce_dagster.catalogs.hosts import associate
from alerce_dagster.catalogs.schemas import MEMBERS
from alerce_dagster.reporting.matching import WATCHED, Targets, match
from alerce_dagster.reporting.watchlists import TARGETS, WatchList
from alerce_dagster.storage import identity, schema
from alerce_dagster.storage.database import Database
from tests.catalogs.made_hosts import made_hosts

N_ALERTS, N_TARGETS = 10_000, 100_000


def cpu(work: Callable[[], object], times: int = 5) -> float:
    """Least CPU seconds of some calls, after one that is not counted."""
    work()
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def positions(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Random places on the northern sky and some of the southern one, in degrees."""
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-0.5, 1, n)))


def watch_lists(rng: np.random.Generator) -> dict:
    """All alerts of a batch against a list, beside astropy with its tree already built."""
    (ra, dec), (target_ra, target_dec) = positions(rng, N_ALERTS), positions(rng, N_TARGETS)
    ra[::3], dec[::3] = target_ra[: len(ra[::3])], target_dec[: len(ra[::3])] + 0.5 / 3600
    columns = {
        "candid": np.arange(N_ALERTS),
        "oid": ["o"] * N_ALERTS,
        "ra": ra,
        "dec": dec,
        "mag": np.full(N_ALERTS, 18),
    }
    alerts = pa.table([pa.array(columns.get(f.name, [None] * N_ALERTS), f.type) for f in WATCHED], schema=WATCHED)
    rows = {"target": [str(i) for i in range(N_TARGETS)], "ra": target_ra, "dec": target_dec}
    table = pa.table({**rows, "radius": np.full(N_TARGETS, 1.5)}, schema=TARGETS)
    targets, own = Targets(table), WatchList("bench", "positions")
    here, there = SkyCoord(ra, dec, unit="deg"), SkyCoord(target_ra, target_dec, unit="deg")
    _, separation, _ = here.match_to_catalog_sky(there)
    assert match(own, targets, alerts).num_rows >= (separation.arcsec <= 1.5).sum() > 3000
    mine, other = cpu(lambda: match(own, targets, alerts)), cpu(lambda: here.match_to_catalog_sky(there))
    return {
        "watch: sort 100,000 targets [ms]": round(1000 * cpu(lambda: Targets(table)), 1),
        "watch: 10,000 alerts [ms]": round(1000 * mine, 1),
        "watch: astropy, tree built [ms]": round(1000 * other, 1),
        "watch: times faster": round(other / mine, 1),
    }


def hosts() -> dict:
    """10,000 transients with the galaxies within a minute of arc."""
    made = made_hosts(1, N_ALERTS, 21.0, 0.95)
    taken = cpu(lambda: associate(made.transients, made.candidates, 21.0, 0.95), 3)
    return {
        "hosts: candidates of 10,000 objects": made.candidates.num_rows,
        "hosts: 10,000 objects [ms]": round(1000 * taken, 1),
    }


def broker_objects(rng: np.random.Generator) -> dict:
    """A batch of 10,000 objects of one survey alone, and of a second one on top."""
    ra, dec = positions(rng, N_ALERTS)
    nothing = np.full(N_ALERTS, 60_000.0)
    found = {}
    with tempfile.TemporaryDirectory(prefix="alerce-bench-") as folder:
        database = Database(f"sqlite:///{folder}/alerce.db")
        schema.upgrade(database)
        for survey in ("ztf", "lsst"):
            oids = [f"{survey}{i}" for i in range(N_ALERTS)]
            members = pa.table([[survey] * N_ALERTS, oids, ra, dec, nothing, nothing], schema=MEMBERS)
            with database.writing() as connection:
                start = time.process_time()
                identity.update(database, connection, members, (), "bench")
                taken = time.process_time() - start
            found[f"identity: 10,000 objects of {survey} [ms]"] = round(1000 * taken, 1)
        database.engine.dispose()
    return found


if __name__ == "__main__":
    generator = np.random.default_rng(1)
    print(json.dumps(watch_lists(generator) | hosts() | broker_objects(generator)))
