"""Cross-match of 10,000 positions: this project's index and astropy's `match_coordinates_sky`, in turns, one core.

Catalogues are synthetic: an even sky north of -32 degrees with a dense band along the galactic plane; six in ten
positions have a counterpart within an arcsecond.
"""

import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from alerce_dagster.catalogs.card import Card
from alerce_dagster.catalogs.catalogue import Catalogue, open_catalogue
from alerce_dagster.catalogs.index import write_index

N_ALERTS = 10_000
RADIUS = 1.5
_BAND = 2_000_000  # rows written at a time


def sky(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n positions in degrees, 40 % of them within some degrees of the galactic plane."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    ra = rng.uniform(0, 360, n)
    dec = np.degrees(np.arcsin(rng.uniform(np.sin(np.radians(-32)), 1, n)))
    dense = n * 2 // 5
    galactic = SkyCoord(l=rng.uniform(0, 360, dense) * u.deg, b=rng.normal(0, 5, dense) * u.deg, frame="galactic").icrs
    north = galactic.dec.deg > -32
    ra[:dense][north], dec[:dense][north] = galactic.ra.deg[north], galactic.dec.deg[north]
    return ra, dec


def make(folder: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Write a catalogue of n rows as the builder does, with its index only, and return positions to match."""
    rng = np.random.default_rng(n)
    ra, dec = sky(n, rng)
    order = np.argsort(dec)
    ra, dec = ra[order], dec[order]
    schema = pa.schema([("ra", pa.float64()), ("dec", pa.float64()), ("id", pa.int64())])
    # Bands end between zones.
    edges = np.searchsorted(dec, np.floor(dec[:: min(_BAND, n)] * 360) / 360)
    edges = np.unique([0, *edges[1:].tolist(), n])
    bands = (pa.table([ra[a:b], dec[a:b], np.arange(a, b)], schema=schema) for a, b in itertools.pairwise(edges))
    write_index(folder / "index" / "main", n, bands, schema)
    np.save(folder / "coverage.npy", np.empty((0, 2), np.int64))
    Card("bench", "", n, (), 0.1, RADIUS, 0.0, 0.0).write(folder)
    some = rng.choice(n, N_ALERTS * 6 // 10, replace=False)
    alert_ra, alert_dec = sky(N_ALERTS, rng)
    alert_ra[: len(some)] = (ra[some] + rng.normal(0, 0.3 / 3600, len(some))) % 360
    alert_dec[: len(some)] = np.clip(dec[some] + rng.normal(0, 0.3 / 3600, len(some)), -90, 90)
    mixed = rng.permutation(N_ALERTS)
    return alert_ra[mixed], alert_dec[mixed]


def timed(function, times: int) -> tuple[float, float, object]:
    """Median and smallest CPU milliseconds of `times` calls, and the last result."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        result = function()
        taken.append(1000 * (time.process_time() - start))
    return float(np.median(taken)), min(taken), result


def against_astropy(folder: Path, catalogue: Catalogue, ra: np.ndarray, dec: np.ndarray) -> dict:
    """The same nearest neighbours, and the time both take once everything is warm."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord, match_coordinates_sky

    positions = np.array(catalogue.parts[0][0].positions)
    theirs = SkyCoord(positions[:, 0] * u.deg, positions[:, 1] * u.deg)

    def usual():
        return match_coordinates_sky(SkyCoord(ra * u.deg, dec * u.deg), theirs)

    start = time.process_time()
    usual()  # builds the tree
    first = time.process_time() - start
    catalogue.match(ra, dec, RADIUS)
    astropy_ms, _, (nearest, distance, _) = timed(usual, 3)
    ours_ms, ours_best, found = timed(lambda: catalogue.match(ra, dec, RADIUS), 15)
    first_match = found.filter(pa.array(found["rank"].to_numpy() == 1))
    ids = catalogue.parts[0][0].take(nearest.astype(np.int64))["id"].to_numpy()
    mine = np.full(len(ra), -1)
    mine[first_match["position"].to_numpy()] = first_match["catalog_id"].to_numpy()
    assert np.array_equal(mine, np.where(distance.arcsec <= RADIUS, ids, -1))
    return {
        "astropy_ms": round(astropy_ms, 1),
        "astropy_first_call_s": round(first, 1),
        "ours_ms": round(ours_ms, 2),
        "ours_best_ms": round(ours_best, 2),
        "times_faster": round(astropy_ms / ours_ms, 1),
        "matches": found.num_rows,
    }


def opening(folder: Path) -> float:
    """CPU milliseconds to open a catalogue, in a process that has everything imported."""
    open_catalogue(folder)
    taken = []
    for _ in range(9):
        start = time.process_time()
        open_catalogue(folder)
        taken.append(1000 * (time.process_time() - start))
    return float(np.median(taken))


def pages_of_a_second_worker(folder: Path) -> dict:
    """A second process reads the whole index: how much of it is its own, and how much shared (/proc, KiB)."""
    code = f"""
import re
from pathlib import Path
from alerce_dagster.catalogs.catalogue import open_catalogue
index = open_catalogue(Path({str(folder)!r})).parts[0][0]
index.positions.sum()
text = Path("/proc/self/smaps").read_text()
part = text[text.index("positions.npy"):]
print([int(re.search(name + r":\\s+(\\d+)", part)[1]) for name in ("Rss", "Private_Dirty", "Pss")])
"""
    index = open_catalogue(folder).parts[0][0]
    index.positions.sum()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rss, own, proportional = json.loads(result.stdout)
    return {"index_mb": round(rss / 1024), "written_to_mb": round(own / 1024), "share_mb": round(proportional / 1024)}


def run(sizes: list[int]) -> dict:
    """Each size; astropy is measured at the one nearest five million."""
    found: dict = {"alerts": N_ALERTS, "radius_arcsec": RADIUS, "sizes": []}
    compared = min(sizes, key=lambda n: abs(n - 5_000_000))
    for n in sizes:
        with tempfile.TemporaryDirectory(prefix="alerce-bench-") as name:
            folder = Path(name)
            ra, dec = make(folder, n)
            catalogue = open_catalogue(folder)
            catalogue.match(ra, dec, RADIUS)
            match_ms, best_ms, matches = timed(lambda c=catalogue, a=ra, d=dec: c.match(a, d, RADIUS), 25)
            case = {
                "rows": n,
                "open_ms": round(opening(folder), 2),
                "match_ms": round(match_ms, 2),
                "best_ms": round(best_ms, 2),
                "us_per_alert": round(1000 * match_ms / N_ALERTS, 3),
                "matches": matches.num_rows,
            }
            if n == compared:
                case |= against_astropy(folder, catalogue, ra, dec) | pages_of_a_second_worker(folder)
            found["sizes"].append(case)
            del catalogue
    found["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return found


if __name__ == "__main__":
    print(json.dumps(run([int(n) for n in sys.argv[1:]] or [1_000_000, 5_000_000, 50_000_000])))
