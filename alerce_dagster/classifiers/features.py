"""From named alert columns to the numbers beside the cutouts: one function, used by training and by
inference.

What a column is called, how it is transformed and what a missing value becomes is decided here and nowhere
else, so that a network cannot be trained on one thing and asked about another. Constants are fixed round
figures of the survey, not fitted to a training set: nothing has to be stored beside the weights.

What does not belong here, and why the network never sees it: real-bogus scores (the *bogus* labels were
made from them), the distance to known Solar System objects (the *asteroid* labels were), identifiers, dates,
the position itself, the ecliptic latitude and the seeing (three nights hold nearly all labelled asteroids:
these inputs do not help on unseen nights, some harm). The distance to the galactic plane is an input, as far
as 20 degrees: it helps on unseen objects and on unseen nights alike.

The number of detections needs care. Labelled asteroids have one and labelled supernovae dozens, but only
because hardly anybody labels a supernova on its first night. Training therefore also shows every object as it was
earlier in its history (`earlier_in_history`), or a network would call every young supernova an asteroid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

# Pan-STARRS1 and reference sources are looked for within 30 arcsec; anything farther is not a measurement.
SEARCH_RADIUS = 30.0

GALACTIC_LATITUDE = "galactic_latitude"  # not a column of the alert: made of ra and dec


# The north galactic pole, ICRS degrees (the IAU 1958 pole in J2000).
_POLE_RA, _POLE_DEC = np.radians(192.85948), np.radians(27.12825)


def galactic_latitude(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Galactic latitude in degrees of ICRS positions in degrees, NaN where either is NaN."""
    a, d = np.radians(ra), np.radians(dec)
    sine = np.sin(d) * np.sin(_POLE_DEC) + np.cos(d) * np.cos(_POLE_DEC) * np.cos(a - _POLE_RA)
    return np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


@dataclass(frozen=True, slots=True)
class Feature:
    """One input: `value = transform(column)` where low <= column <= high, else missing (0, and its flag is
    raised).
    """

    name: str
    column: str
    transform: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float


def _log_distance(arcsec: np.ndarray) -> np.ndarray:
    """-1 at 0.1 arcsec or nearer ... 1.5 at 30: what matters is on or off the source, not 20 or 25 arcsec."""
    return np.log10(np.maximum(arcsec, 0.1))


def _log_count(count: np.ndarray) -> np.ndarray:
    """-1 for one detection ... 1 for twenty or more: past that, age says nothing of the class."""
    return 2.0 * np.log(np.clip(count, 1.0, 20.0)) / np.log(20.0) - 1.0


FEATURES = (
    Feature("mag", "mag", lambda m: (m - 18.5) / 1.5, 0.0, 30.0),
    Feature("mag_err", "mag_err", lambda e: (np.minimum(e, 0.5) - 0.1) / 0.06, 0.0, np.inf),
    Feature("positive", "positive", lambda p: 2.0 * p - 1.0, 0.0, 1.0),
    Feature("star_shape", "star_shape", lambda s: (s - 0.94) / 0.1, 0.0, 1.0),
    Feature("ref_distance", "ref_distance", _log_distance, 0.0, SEARCH_RADIUS),
    Feature("ref_mag", "ref_mag", lambda m: (m - 19.0) / 3.0, 0.0, 40.0),
    Feature("ps1_star_score", "ps1_star_score_1", lambda s: 2.0 * s - 1.0, 0.0, 1.0),
    Feature("ps1_distance", "ps1_distance_1", _log_distance, 0.0, SEARCH_RADIUS),
    Feature("plane_distance", GALACTIC_LATITUDE, lambda b: np.minimum(np.abs(b), 20.0) / 10.0 - 1.0, -90.0, 90.0),
    Feature("n_det_history", "n_det_history", _log_count, 1.0, np.inf),
)

# Columns that are missing together share one flag: (name of the flag, the features it stands for).
GROUPS = (
    ("detection_missing", ("mag", "mag_err", "positive", "star_shape")),
    ("ref_missing", ("ref_distance", "ref_mag")),
    ("ps1_missing", ("ps1_star_score", "ps1_distance")),
    ("position_missing", ("plane_distance",)),
    ("history_missing", ("n_det_history",)),
)

FEATURE_NAMES = (*(feature.name for feature in FEATURES), *(flag for flag, _ in GROUPS))
FEATURE_COLUMNS = (*(f.column for f in FEATURES if f.column != GALACTIC_LATITUDE), "ra", "dec")


def column_values(table: pa.Table | Mapping[str, np.ndarray], name: str, length: int) -> np.ndarray:
    """One column as float64 (length,), NaN where null or where the table has no such column."""
    if isinstance(table, pa.Table):
        if name not in table.column_names:
            return np.full(length, np.nan)
        column = table.column(name).combine_chunks()
        if pa.types.is_null(column.type):
            return np.full(length, np.nan)
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    if name not in table:
        return np.full(length, np.nan)
    return np.asarray(table[name], dtype=np.float64)


def feature_matrix(alerts: pa.Table | Mapping[str, np.ndarray], length: int | None = None) -> np.ndarray:
    """The network's metadata input, float32 (n, len(FEATURE_NAMES)).

    `alerts` has columns of the ALERTS schema (mag in mag, distances in arcsec, `positive` boolean); a
    column that is absent counts as null. A null, a NaN and a value outside its physical range are all
    *missing*: the feature is 0 and the flag of its group is the fraction of the group that is missing.
    """
    if length is None:
        length = alerts.num_rows if isinstance(alerts, pa.Table) else len(next(iter(alerts.values())))
    columns: dict[str, np.ndarray] = {}
    missing: dict[str, np.ndarray] = {}
    for feature in FEATURES:
        if feature.column == GALACTIC_LATITUDE:
            raw = galactic_latitude(column_values(alerts, "ra", length), column_values(alerts, "dec", length))
        else:
            raw = column_values(alerts, feature.column, length)
        good = (raw >= feature.low) & (raw <= feature.high)  # False for NaN
        safe = np.where(good, raw, 0.0)
        columns[feature.name] = np.where(good, feature.transform(safe), 0.0)
        missing[feature.name] = ~good
    for flag, members in GROUPS:
        columns[flag] = np.mean([missing[member] for member in members], axis=0)
    return np.stack([columns[name] for name in FEATURE_NAMES], axis=1).astype(np.float32).reshape(length, -1)


def drop_group(matrix: np.ndarray, rows: np.ndarray, flag: str) -> None:
    """Make one group of features missing, in place, for the `rows` (bool (n,)): what null columns would
    have given.
    """
    members = dict(GROUPS)[flag]
    for name in members:
        matrix[rows, FEATURE_NAMES.index(name)] = 0.0
    matrix[rows, FEATURE_NAMES.index(flag)] = 1.0


def earlier_in_history(matrix: np.ndarray, count: np.ndarray) -> None:
    """Set the history feature, in place, to what `count` (n,) detections would have given; missing stays
    missing.
    """
    known = matrix[:, FEATURE_NAMES.index("history_missing")] == 0
    matrix[known, FEATURE_NAMES.index("n_det_history")] = _log_count(count[known])
