"""The companion index: arrays beside the Parquet that are mapped into memory, so that opening costs nothing.

    starts.npy      int64                 first row of each bin of RA of each zone of declination (`kernel.bin_of`)
    positions.npy   float64 (n, 2)        RA, Dec in degrees, sorted by zone, then RA
    motions.npy     float32 (n, 3)        mas/yr in RA (with cos dec) and Dec, year of the position; absent without
    rows.arrow      Arrow IPC file        id, position error and the kept columns, in the same order
    batches.npy     int64 (k + 1,)        first row of each of its record batches

All workers of a machine share the pages. Writing takes a sorted stream of bands and never holds more than one.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from alerce_dagster.catalogs.kernel import N_ZONES, bin_of, n_bins

MOTION = ("pm_ra", "pm_dec", "epoch")


@dataclass(frozen=True)
class Index:
    """An open index; everything in it is mapped, nothing is read."""

    starts: npt.NDArray[np.int64]
    positions: npt.NDArray[np.float64]
    motions: npt.NDArray[np.float32]
    batches: npt.NDArray[np.int64]
    rows: pa.RecordBatchFileReader
    _opened: dict[int, pa.RecordBatch] = field(default_factory=dict, repr=False)

    def take(self, wanted: npt.NDArray[np.int64]) -> pa.Table:
        """The rows with these numbers, in this order."""
        if not len(wanted):
            return self.rows.schema.empty_table()
        order = np.argsort(wanted, kind="stable")
        ascending = wanted[order]
        edges = np.searchsorted(ascending, self.batches)
        parts = []
        for number in np.flatnonzero(np.diff(edges)).tolist():
            mine = ascending[edges[number] : edges[number + 1]] - self.batches[number]
            parts.append(self._batch(number).take(pa.array(mine)))
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        # One chunk: taking from many is slow.
        return pa.Table.from_batches(parts).combine_chunks().take(pa.array(back))

    def _batch(self, number: int) -> pa.RecordBatch:
        """A record batch; it stays mapped, so keeping it costs no memory."""
        if number not in self._opened:
            self._opened[number] = self.rows.get_batch(number)
        return self._opened[number]


def open_index(folder: Path) -> Index:
    """Map an index that `write_index` made.

    Raises
    ------
    OSError
        When a file is missing or cut off.
    """

    def mapped(name: str) -> np.ndarray:
        return np.load(folder / name, mmap_mode="r")

    motions = mapped("motions.npy") if (folder / "motions.npy").exists() else np.empty((0, 3), np.float32)
    try:
        return Index(
            starts=np.asarray(mapped("starts.npy")),
            positions=np.asarray(mapped("positions.npy")),
            motions=np.asarray(motions),
            batches=np.load(folder / "batches.npy"),
            rows=pa.ipc.open_file(pa.memory_map(str(folder / "rows.arrow"))),
        )
    except (ValueError, pa.ArrowInvalid) as error:
        raise OSError(f"the index {folder} is damaged: {error}") from error


def write_index(folder: Path, n: int, bands: Iterator[pa.Table], schema: pa.Schema) -> None:
    """Write `n` rows that come in bands of ascending zones, each band in any order.

    Each table has ra, dec, the columns of MOTION if the schema has them, and the columns of the rows.
    """
    folder.mkdir(parents=True)
    moving = MOTION[0] in schema.names
    kept = pa.schema([field for field in schema if field.name not in ("ra", "dec", *MOTION)])
    bins = n_bins(n)
    counts = np.zeros(N_ZONES * bins, np.int64)
    positions = _ArrayFile(folder / "positions.npy", "<f8", (n, 2))
    motions = _ArrayFile(folder / "motions.npy", "<f4", (n, 3)) if moving else None
    firsts = [0]
    with positions, pa.OSFile(str(folder / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, kept) as writer:
        for band in bands:
            if not band.num_rows:
                continue
            ra, dec = band["ra"].to_numpy(), band["dec"].to_numpy()
            place = bin_of(ra, dec, bins)
            order = np.lexsort((dec, ra, place))
            first = place[order[0]]
            here = np.bincount(place - first)
            counts[first : first + len(here)] += here
            positions.append(np.column_stack([ra, dec])[order])
            if motions:
                motions.append(np.column_stack([band[name].to_numpy() for name in MOTION])[order])
            rows = band.select(kept.names).take(pa.array(order)).combine_chunks()
            for batch in rows.to_batches():
                writer.write_batch(batch)
                firsts.append(firsts[-1] + batch.num_rows)
    if motions:
        motions.close()
    np.save(folder / "starts.npy", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    np.save(folder / "batches.npy", np.array(firsts, np.int64))


class _ArrayFile:
    """A .npy file of known shape, written from its start to its end."""

    def __init__(self, file: Path, kind: str, shape: tuple[int, ...]) -> None:
        self._stream = file.open("wb")
        self._kind = kind
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(self._stream, header)

    def append(self, values: np.ndarray) -> None:
        self._stream.write(np.ascontiguousarray(values, self._kind).data)

    def close(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def __enter__(self) -> "_ArrayFile":
        return self

    def __exit__(self, *_error) -> None:
        self.close()
