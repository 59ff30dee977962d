"""Light curves with known truth, as batches."""

import numpy as np
import pyarrow as pa

from alerce_dagster.lightcurves.features import FEATURES, Batch, compute, from_magnitudes
from alerce_dagster.lightcurves.features.batch import OBJECT_COLUMNS


def seasons(rng: np.random.Generator, days: float, n: int) -> np.ndarray:
    """n nights of observing seasons of 235 d a year over `days`, MJD."""
    t = 58200.0 + np.floor(rng.uniform(0, days, 4 * n)) + rng.uniform(0.15, 0.5, 4 * n)
    t = t[(t - 58200.0) % 365.25 < 235][:n]
    return np.sort(t)


def of_magnitudes(*objects: dict[str, tuple], difference: bool = False) -> Batch:
    """A batch; each object maps a band to (mjd, mag, err)."""
    rows: dict[str, list] = {name: [] for name in ("oid", "band", "mjd", "mag", "magerr")}
    for k, bands in enumerate(objects):
        rows["oid"].append(f"o{k}")
        rows["band"].append([band for band, (t, _, _) in bands.items() for _ in range(len(t))])
        for name, place in (("mjd", 0), ("mag", 1), ("magerr", 2)):
            rows[name].append([float(x) for values in bands.values() for x in values[place]])
    lists = pa.list_(pa.float64())
    kinds = {"oid": pa.string(), "band": pa.list_(pa.string()), "mjd": lists, "mag": lists, "magerr": lists}
    return from_magnitudes(pa.table({name: pa.array(rows[name], kind) for name, kind in kinds.items()}), difference)


def of_fluxes(*objects: dict[str, tuple], forced: tuple[np.ndarray, ...] = ()) -> Batch:
    """A batch of difference fluxes (µJy) without apparent magnitudes; `forced` marks forced photometry."""
    owner = np.concatenate([np.full(len(t), k) for k, bands in enumerate(objects) for t, _, _ in bands.values()])
    band = np.concatenate([np.full(len(t), "gr".index(b)) for bands in objects for b, (t, _, _) in bands.items()])
    t, y, e = (np.concatenate([values[i] for bands in objects for values in bands.values()]) for i in range(3))
    marks = np.concatenate(forced) if forced else np.zeros(t.size, bool)
    order = np.lexsort((t, owner))
    nothing = np.full(t.size, np.nan)
    n = len(objects)
    return Batch(
        oids=np.array([f"o{k}" for k in range(n)], dtype=object),
        objects={name: np.full(n, np.nan) for name in OBJECT_COLUMNS},
        starts=np.searchsorted(owner[order], np.arange(n + 1)),
        mjd=t[order],
        band=band[order].astype(np.int8),
        mag=nothing,
        mag_err=nothing,
        flux=y[order],
        flux_err=e[order],
        forced=marks[order],
        ref_distance=nothing,
        ref_sharp=nothing,
        ref_chi=nothing,
        limit_starts=np.zeros(n + 1, np.int64),
        limit_mjd=np.empty(0),
        limit_band=np.empty(0, np.int8),
        limit_mag=np.empty(0),
    )


def features_of(batch: Batch) -> dict[str, np.ndarray]:
    """Columns by name."""
    return dict(zip(FEATURES, compute(batch, threads=1).T, strict=True))
