"""Light curves of a readout channel as flat arrays, and how a data release's file becomes them.

The layout is that of IRSA's bulk light curves of ZTF data releases (DR3 and later): one row per light curve, with lists
`hmjd`, `mag`, `magerr`, `clrcoeff`, `catflags`. Reference: "ZTF Public Data Release" notes, section on lightcurves
(https://irsa.ipac.caltech.edu/data/ZTF/docs/releases/).
"""

from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from alerce_dagster.errors import InputError

FILTERS = {1: "g", 2: "r", 3: "i"}
UNUSABLE = 1 << 15
"""The bit of catflags that marks an exposure or measurement as not to be used (clouds, moonlight, bad calibration)."""

_OBJECT = {
    "objectid": np.int64, "filterid": np.int16, "fieldid": np.int32, "rcid": np.int16, "objra": np.float64,
    "objdec": np.float64,
}  # fmt: skip
_EPOCH = {
    "hmjd": np.float64, "mag": np.float32, "magerr": np.float32, "clrcoeff": np.float32, "catflags": np.int32,
}  # fmt: skip
COLUMNS = (*_OBJECT, *_EPOCH)

Channel = tuple[int, int, int]
"""Field, readout channel (rcid = 4 (ccd - 1) + quadrant - 1) and filter."""


@dataclass(frozen=True)
class LightCurves:
    """n light curves with m epochs in all; those of light curve i are `starts[i]:starts[i + 1]`, ordered in time.

    Attributes
    ----------
    objectid : (n,) int64
    filterid, fieldid, rcid : (n,) integers; filters are 1 g, 2 r, 3 i
    objra, objdec : (n,) float64, degrees (ICRS)
    starts : (n + 1,) int64
    hmjd : (m,) float64, heliocentric MJD, days (UTC)
    mag, magerr : (m,) float32, AB magnitudes
    clrcoeff : (m,) float32, colour coefficient of the exposure's photometric calibration; NaN where unknown
    catflags : (m,) int32, 0 for a clean measurement
    coarse_times : whether the file held times as 32-bit floats, that is to 0.004 d
    """

    objectid: np.ndarray
    filterid: np.ndarray
    fieldid: np.ndarray
    rcid: np.ndarray
    objra: np.ndarray
    objdec: np.ndarray
    starts: np.ndarray
    hmjd: np.ndarray
    mag: np.ndarray
    magerr: np.ndarray
    clrcoeff: np.ndarray
    catflags: np.ndarray
    coarse_times: bool = False

    def __len__(self) -> int:
        return len(self.objectid)

    def owners(self) -> np.ndarray:
        """The light curve of each epoch, (m,) int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def channels(self) -> list[Channel]:
        """The readout channels in it, sorted."""
        keys = np.unique(np.column_stack([self.fieldid, self.rcid, self.filterid]), axis=0)
        return [(int(field), int(rcid), int(band)) for field, rcid, band in keys]

    def of(self, channel: Channel) -> "LightCurves":
        """Those of one channel."""
        field, rcid, band = channel
        mine = (self.fieldid == field) & (self.rcid == rcid) & (self.filterid == band)
        return self if mine.all() else self.select(np.flatnonzero(mine))

    def select(self, rows: np.ndarray) -> "LightCurves":
        """The light curves at `rows` (indices), in that order."""
        lengths = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        epochs = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], lengths)
        changed: dict = {name: getattr(self, name)[rows] for name in _OBJECT}
        changed |= {name: getattr(self, name)[epochs] for name in _EPOCH}
        return replace(self, starts=starts, **changed)


def channel_name(channel: Channel) -> str:
    """As in IRSA's file names: 000250_zg_c01_q1."""
    field, rcid, band = channel
    return f"{field:06d}_z{FILTERS.get(band, '?')}_c{rcid // 4 + 1:02d}_q{rcid % 4 + 1}"


@dataclass(frozen=True)
class Loaded:
    """The light curves of a file, and what of it could not be used."""

    curves: LightCurves
    n_rows: int
    set_aside: Counter[str]
    """Light curves left out, by reason; `n_rows` is their number and that of `curves` together."""
    epochs_left_out: Counter[str]


def read_file(file: Path | str) -> Loaded:
    """Read a Parquet file of a data release.

    Epochs without a finite time or magnitude, or an error that is not above zero, are left out; so are light curves
    with none left, with lists of different lengths, without a position, or that came before.

    Raises
    ------
    InputError
        When it is not Parquet, is damaged, or has not the columns of a data release.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            missing = [name for name in COLUMNS if name not in schema.names]
            if missing:
                raise InputError(
                    f"{file} has no column {', '.join(missing)}; a file of data-release light curves holds "
                    f"{', '.join(COLUMNS)}"
                )
            table = parquet.read(columns=list(COLUMNS))
    except FileNotFoundError as error:
        raise InputError(f"cannot read {file}: no such file") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        if isinstance(error, IsADirectoryError):
            raise InputError(f"{file} is a folder; give the Parquet files in it") from error
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot read {file} as Parquet: {said.rstrip('.')}; is it complete?") from error
    return from_table(table, str(file))


def from_table(table: pa.Table, where: str) -> Loaded:
    """As `read_file`, from a table with its columns; `where` names it in errors."""
    n = table.num_rows
    objects = {name: _numbers(table[name], kind, name, where) for name, kind in _OBJECT.items()}
    lists = {name: _list(table[name], name, where) for name in _EPOCH}
    lengths = {name: pc.fill_null(pc.list_value_length(values), 0).to_numpy() for name, values in lists.items()}
    length = lengths["hmjd"]
    uneven = np.any([other != length for other in lengths.values()], axis=0)
    flat = {
        name: _numbers(
            (values.filter(pa.array(~uneven)) if uneven.any() else values).flatten(), _EPOCH[name], name, where
        )
        for name, values in lists.items()
    }
    owner = np.repeat(np.arange(n), np.where(uneven, 0, length))
    with np.errstate(invalid="ignore"):
        timed = np.isfinite(flat["hmjd"]) & (flat["hmjd"] > 0)
        measured = np.isfinite(flat["mag"])
        certain = np.isfinite(flat["magerr"]) & (flat["magerr"] > 0)
        placed = (
            (np.abs(objects["objdec"]) <= 90) & (objects["objra"] >= 0) & (objects["objra"] <= 360)
        )  # NaN is none of these
    good = timed & measured & certain
    epochs = Counter(
        {
            "no time": int((~timed).sum()),
            "no magnitude": int((timed & ~measured).sum()),
            "no error above zero": int((timed & measured & ~certain).sum()),
        }
    )
    left = np.bincount(owner[good], minlength=n)
    again = np.ones(n, bool)
    again[np.unique(objects["objectid"], return_index=True)[1]] = False
    aside: Counter[str] = Counter()
    kept = np.ones(n, bool)
    for reason, bad in (
        ("lists of different length", uneven),
        ("no epochs", length == 0),
        ("no epoch with time, magnitude and error", left == 0),
        ("no position", ~placed),
        ("the same objectid again", again),
    ):
        aside[reason] = int((kept & bad).sum())
        kept &= ~bad
    good &= kept[owner]
    rows = np.flatnonzero(good)
    as_they_are = len(rows) == len(good)
    if not _ordered(owner[rows], flat["hmjd"][rows]):
        rows = rows[np.lexsort((flat["hmjd"][rows], owner[rows]))]
        as_they_are = False
    curves = LightCurves(
        **{name: values[kept] for name, values in objects.items()},
        starts=np.concatenate([[0], np.cumsum(left[kept])]).astype(np.int64),
        **{name: values if as_they_are else values[rows] for name, values in flat.items()},
        coarse_times=pa.types.is_float32(lists["hmjd"].type.value_type),
    )
    return Loaded(curves, n, +aside, +epochs)


def concatenate(parts: list[LightCurves]) -> LightCurves:
    """The light curves of all parts, in order."""
    ends = np.cumsum([0, *(part.starts[-1] for part in parts)])
    starts = [part.starts[1:] + end for part, end in zip(parts, ends, strict=False)]
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(LightCurves)
        if field.name not in ("starts", "coarse_times")
    }
    return LightCurves(
        starts=np.concatenate([[0], *starts]).astype(np.int64),
        coarse_times=any(part.coarse_times for part in parts),
        **joined,
    )


def _ordered(owner: np.ndarray, hmjd: np.ndarray) -> bool:
    return bool(((np.diff(hmjd) >= 0) | (np.diff(owner) > 0)).all())


def _list(column: pa.ChunkedArray, name: str, where: str) -> pa.Array:
    values = column.combine_chunks()
    kind = values.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise InputError(f"{where}: the column {name} should hold a list per light curve, not {kind}")
    return values


def _numbers(values: pa.Array | pa.ChunkedArray, kind: type, name: str, where: str) -> np.ndarray:
    """Values as a NumPy array of the kind; a null is NaN, or -1 among integers."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise InputError(f"{where}: the column {name} holds {values.type}, not numbers")
    try:
        if values.null_count:
            values = pc.fill_null(values, np.nan if np.issubdtype(kind, np.floating) else -1)
        return np.ascontiguousarray(values.to_numpy()).astype(kind, copy=False)
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: the column {name} cannot be read: {error}") from error
