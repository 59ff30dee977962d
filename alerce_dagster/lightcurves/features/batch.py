"""Light curves of many objects as flat arrays: what every feature is computed from.

Observations of one object follow one another, ordered in time; `starts[i]:starts[i + 1]` are those of object i. The
same holds of upper limits and `limit_starts`. A value that is missing is NaN. Nothing here knows of files or stores.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

BANDS = ("g", "r", "i")  # band codes 0, 1, 2; features use g and r
G, R, I = 0, 1, 2  # noqa: E741

# Per-object columns, all float64, NaN where not known.
OBJECT_COLUMNS = {
    "ra": "right ascension, degrees (ICRS)",
    "dec": "declination, degrees (ICRS)",
    "w1": "AllWISE W1, mag (Vega)",
    "w2": "AllWISE W2, mag (Vega)",
    "w3": "AllWISE W3, mag (Vega)",
    "w4": "AllWISE W4, mag (Vega)",
    "ps1_g": "Pan-STARRS1 g of the nearest source, mag (AB)",
    "ps1_r": "Pan-STARRS1 r of the nearest source, mag (AB)",
    "ps1_i": "Pan-STARRS1 i of the nearest source, mag (AB)",
    "ps1_z": "Pan-STARRS1 z of the nearest source, mag (AB)",
    "ps1_star_score": "star (1) or galaxy (0) score of that source",
    "ps1_distance": "distance to that source, arcsec",
}


@dataclass(frozen=True)
class Batch:
    """Light curves of n objects with m observations and k upper limits in all.

    Attributes
    ----------
    oids : (n,) array of str
    objects : dict of (n,) float64 arrays, one per name of OBJECT_COLUMNS
    starts : (n + 1,) int64
    mjd : (m,) float64, days, heliocentric where the position is known
    band : (m,) int8, index into BANDS, -1 for any other band
    mag, mag_err : (m,) float64, apparent magnitude (reference plus difference); NaN where it is not defined
    flux, flux_err : (m,) float64, signed difference flux, µJy
    forced : (m,) bool, forced photometry rather than a detection
    ref_distance : (m,) float64, arcsec to the nearest source of the reference image
    ref_sharp, ref_chi : (m,) float64, DAOPhot shape of that source
    limit_starts : (n + 1,) int64
    limit_mjd, limit_mag : (k,) float64
    limit_band : (k,) int8
    """

    oids: np.ndarray
    objects: dict[str, np.ndarray]
    starts: np.ndarray
    mjd: np.ndarray
    band: np.ndarray
    mag: np.ndarray
    mag_err: np.ndarray
    flux: np.ndarray
    flux_err: np.ndarray
    forced: np.ndarray
    ref_distance: np.ndarray
    ref_sharp: np.ndarray
    ref_chi: np.ndarray
    limit_starts: np.ndarray
    limit_mjd: np.ndarray
    limit_band: np.ndarray
    limit_mag: np.ndarray

    def __len__(self) -> int:
        return len(self.oids)

    def owners(self) -> np.ndarray:
        """The object of each observation, (m,) int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def limit_owners(self) -> np.ndarray:
        """The object of each upper limit, (k,) int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.limit_starts))


OBSERVATION_COLUMNS = (
    *("mjd", "band", "mag", "mag_err", "flux", "flux_err", "forced", "ref_distance", "ref_sharp", "ref_chi"),
)
LIMIT_COLUMNS = ("limit_mjd", "limit_band", "limit_mag")
assert {f.name for f in fields(Batch)} == {
    *("oids", "objects", "starts", "limit_starts"),
    *OBSERVATION_COLUMNS,
    *LIMIT_COLUMNS,
}


def select(batch: Batch, rows: np.ndarray) -> Batch:
    """The objects at `rows` (indices or a mask), in that order."""
    rows = np.arange(len(batch))[rows]
    observations, starts = _ranges(batch.starts, rows)
    limits, limit_starts = _ranges(batch.limit_starts, rows)
    return Batch(
        oids=batch.oids[rows],
        objects={name: values[rows] for name, values in batch.objects.items()},
        starts=starts,
        limit_starts=limit_starts,
        **{name: getattr(batch, name)[observations] for name in OBSERVATION_COLUMNS},
        **{name: getattr(batch, name)[limits] for name in LIMIT_COLUMNS},
    )


def truncate(batch: Batch, days: float) -> Batch:
    """Every light curve as it was known `days` after its first detection; earlier rows stay.

    Forced photometry before the first detection is kept. An object without detections keeps nothing.
    """
    end = first_detections(batch) + days
    keep = batch.mjd <= end[batch.owners()]
    keep_limits = batch.limit_mjd <= end[batch.limit_owners()]
    return replace(
        batch,
        starts=_kept_starts(batch.starts, keep),
        limit_starts=_kept_starts(batch.limit_starts, keep_limits),
        **{name: getattr(batch, name)[keep] for name in OBSERVATION_COLUMNS},
        **{name: getattr(batch, name)[keep_limits] for name in LIMIT_COLUMNS},
    )


def first_detections(batch: Batch) -> np.ndarray:
    """Time of each object's first detection (not forced photometry), (n,) MJD; NaN without one."""
    first = np.full(len(batch), np.inf)
    detected = ~batch.forced
    np.fmin.at(first, batch.owners()[detected], batch.mjd[detected])
    return np.where(np.isfinite(first), first, np.nan)


def n_detections(batch: Batch) -> np.ndarray:
    """Detections in g and r of each object, (n,) int64."""
    counted = ~batch.forced & ((batch.band == G) | (batch.band == R))
    return np.bincount(batch.owners()[counted], minlength=len(batch))


def _ranges(starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the elements of the chosen segments, one after another, and their new starts."""
    lengths = np.diff(starts)[rows]
    new = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.arange(new[-1]) - np.repeat(new[:-1] - starts[rows], lengths), new


def _kept_starts(starts: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(keep)])[starts].astype(np.int64)
