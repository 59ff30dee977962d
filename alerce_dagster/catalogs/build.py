"""Builds one snapshot of a catalogue from a source of any size, with bounded memory.

The source is gone through twice: once to count rows by sky cell (and to see what its columns hold), once to sort the
rows into partitions of about a million rows on disk. Each partition is then sorted and written, and its positions go to
bands of declination from which the index is made.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from alerce_dagster.catalogs import hats, positions
from alerce_dagster.catalogs.card import Card
from alerce_dagster.catalogs.columns import HEALPIX, HEALPIX_ORDER, Layout, Wanted, healpix_cells, plan_layout
from alerce_dagster.catalogs.coverage import write_coverage
from alerce_dagster.catalogs.formats import Source
from alerce_dagster.catalogs.index import MOTION, write_index
from alerce_dagster.catalogs.kernel import N_ZONES, zone_of
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.catalogs.spill import Buckets
from alerce_dagster.catalogs.text import Kinds
from alerce_dagster.errors import InputError

MAX_ROWS = 1_000_000
"""Rows of a partition and, about, of a band of the index: what is sorted in memory at a time."""
FAST = 100.0
"""mas/yr from which a source is in the index of fast movers, so that a few of them do not widen every search."""
_HISTOGRAM_ORDER = 9
_ROWS_PER_GROUP = 65_536
_NO_EPOCH = 2000.0  # of a row that then does not move
_VERSION = "1"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


@dataclass
class _Look:
    """What the first pass learns."""

    layout: Layout
    schema: pa.Schema
    kinds: Kinds
    histogram: np.ndarray
    n_rows: int = 0
    n_aside: int = 0


def build(
    folder: Path, name: str, source: Source, wanted: Wanted, recipe: Recipe, progress: Progress = lambda *_: None,
    max_rows: int = MAX_ROWS,
) -> Card:  # fmt: skip
    """Write a snapshot of the catalogue into the new folder `folder`.

    Raises
    ------
    InputError
        When the source cannot be read to its end or makes no sense; the folder is then half-made.
    """
    look = _look(source, wanted, recipe, progress)
    folder.mkdir(parents=True)
    pixels = hats.partitions(look.histogram, max_rows)
    with_rows = Buckets(folder / "spill-partitions")
    _distribute(source, look, pixels, with_rows, progress)
    bands = _Bands(folder / "spill-bands", look, max_rows)
    digest, footers, sky_map = hashlib.sha256(), [], np.zeros(12 * 4**hats.MAP_ORDER, np.int64)
    (folder / "dataset").mkdir()
    for number, pixel in enumerate(pixels):
        rows = with_rows.take(number, look.schema).sort_by([(HEALPIX, "ascending"), ("id", "ascending")])
        footers.append(_write_partition(folder, pixel, rows, digest))
        cells = rows[HEALPIX].to_numpy() >> (2 * (HEALPIX_ORDER - hats.MAP_ORDER))
        np.add.at(sky_map, cells, 1)
        bands.add(rows)
        progress("writing", number + 1, len(pixels))
    card = _card(name, source, look, recipe, bands, digest)
    units = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in look.schema}
    hats.write_metadata(
        folder, name, pixels, footers, sky_map, look.schema,
        {"alerce_snapshot": card.snapshot, "alerce_units": json.dumps({k: v for k, v in units.items() if v})},
    )  # fmt: skip
    fraction = write_coverage(folder, recipe.coverage, sky_map)
    bands.write(folder, progress)
    for spill in ("spill-partitions", "spill-bands"):
        (folder / spill).rmdir()
    n_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    card = replace(card, sky_fraction=round(fraction, 6), n_bytes=n_bytes)
    card.write(folder)
    return card


def _look(source: Source, wanted: Wanted, recipe: Recipe, progress: Progress) -> _Look:
    """The first pass: columns, kinds, ranges, and rows by sky cell."""
    kinds, histogram, n_rows, n_aside = Kinds(), np.zeros(12 * 4**_HISTOGRAM_ORDER, np.int64), 0, 0
    where, done, layout, names = str(source.files[0]), 0, None, None
    units: dict[str, str] = {}
    with_gaps: set[str] = set()
    ranges = np.array([[np.inf, -np.inf], [np.inf, -np.inf]])
    reported = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n

    for table, units in source.batches(advance):
        if layout is None:
            layout, names = plan_layout(table.schema, units, wanted, recipe, where=where), table.column_names
        if table.column_names != names:
            raise InputError(f"the files of {where} do not have the same columns; add them one at a time")
        kinds.learn(table)
        with_gaps |= {name for name in table.column_names if table[name].null_count}
        ra, dec = positions.to_degrees(table[layout.ra], table[layout.dec], layout.unit)
        good = np.isfinite(ra)
        n_rows, n_aside = n_rows + int(good.sum()), n_aside + int((~good).sum())
        ra, dec = ra[good], dec[good]
        if len(ra):
            histogram += np.bincount(healpix_cells(ra, dec, _HISTOGRAM_ORDER), minlength=len(histogram))
            for axis, values in enumerate((ra, dec)):
                ranges[axis] = min(ranges[axis][0], values.min()), max(ranges[axis][1], values.max())
        if done > reported:
            progress("reading", done, source.size)
            reported = done
    if layout is None or not n_rows:
        raise InputError(f"{where} has no row with a position" + (f" ({n_aside:,} without one)" if n_aside else ""))
    if not layout.unit_is_said and (why := positions.doubt(tuple(ranges[0]), tuple(ranges[1]), n_rows)):
        raise InputError(f"{where}: {why}")
    typed = kinds.apply(table.slice(0, 0))
    layout = plan_layout(typed.schema, units, wanted, recipe, where=where, with_gaps=frozenset(with_gaps))
    schema = layout.apply(typed, 0)[0].schema
    return _Look(layout, schema, kinds, histogram, n_rows, n_aside)


def _distribute(source: Source, look: _Look, pixels: list[hats.Pixel], buckets: Buckets, progress: Progress) -> None:
    """The second pass: each row to its partition's bucket."""
    partition_of = np.full(len(look.histogram), -1, np.int32)
    for number, (order, cell) in enumerate(pixels):
        width = 4 ** (_HISTOGRAM_ORDER - order)
        partition_of[cell * width : (cell + 1) * width] = number
    done = row = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n

    for table, _ in source.batches(advance):
        rows, _ = look.layout.apply(look.kinds.apply(table), row)
        row += table.num_rows
        cells = rows[HEALPIX].to_numpy() >> (2 * (HEALPIX_ORDER - _HISTOGRAM_ORDER))
        buckets.add(rows.cast(look.schema), partition_of[cells])
        progress("sorting", done, source.size)
    if sum(buckets.counts.values()) != look.n_rows:
        raise InputError(f"{source.files[0]} changed while it was being read; add it again")
    buckets.flush()


def _write_partition(folder: Path, pixel: hats.Pixel, rows: pa.Table, digest) -> pq.FileMetaData:
    relative = hats.pixel_file(pixel)
    file = folder / relative
    file.parent.mkdir(parents=True, exist_ok=True)
    footer: list[pq.FileMetaData] = []
    pq.write_table(rows, file, compression="zstd", row_group_size=_ROWS_PER_GROUP, metadata_collector=footer)
    footer[0].set_file_path(relative.removeprefix("dataset/"))
    digest.update(relative.encode())
    with file.open("rb") as stream:
        digest.update(hashlib.file_digest(stream, "sha256").digest())
    return footer[0]


class _Bands:
    """The columns of the index, in buckets of neighbouring zones; fast movers apart."""

    def __init__(self, folder: Path, look: _Look, max_rows: int) -> None:
        self._layout = look.layout
        names = look.schema.names
        self._moving = "pm_ra" in names and (look.layout.recipe.epoch is not None or "epoch" in names)
        kept = [name for name in ("id", "pos_err", *look.layout.kept) if name in names]
        fields = [look.schema.field(name) for name in ("ra", "dec", *kept)]
        fields += [pa.field(name, pa.float64()) for name in MOTION] if self._moving else []
        self.schema = pa.schema(fields)
        self.columns = {
            name: (look.schema.field(name).metadata or {}).get(b"unit", b"").decode() for name in look.layout.kept
        }
        self.largest = {"main": 0.0, "fast": 0.0}
        self.epochs: tuple[float, float] | tuple[()] = ()
        self._n_bands = int(np.clip(look.n_rows // max_rows + 1, 1, 4096))
        self._buckets = Buckets(folder)

    def add(self, rows: pa.Table) -> None:
        """Take up a partition's rows."""
        dec = rows["dec"].to_numpy()
        # Bands of equal area: as many rows in each as an even sky would give.
        band = np.floor((np.sin(np.radians(self._edge(dec))) + 1) / 2 * self._n_bands).astype(np.int64)
        band = np.minimum(band, self._n_bands - 1)
        if self._moving:
            rows, fast = self._with_motion(rows)
            band = np.where(fast, band + self._n_bands, band)
        self._buckets.add(rows.select(self.schema.names).cast(self.schema), band)

    @staticmethod
    def _edge(dec: np.ndarray) -> np.ndarray:
        """The southern edge of each declination's zone: a zone is never cut by a band."""
        return zone_of(dec) * (180.0 / N_ZONES) - 90.0

    def _with_motion(self, rows: pa.Table) -> tuple[pa.Table, np.ndarray]:
        pm = np.column_stack([_filled(rows[name], 0.0) for name in ("pm_ra", "pm_dec")])
        default = self._layout.recipe.epoch
        epoch = _filled(rows["epoch"], default) if "epoch" in rows.column_names else np.full(rows.num_rows, default)
        pm[~np.isfinite(epoch)] = 0.0
        epoch = np.nan_to_num(epoch, nan=_NO_EPOCH).astype(np.float32)
        self.epochs = (
            min(float(epoch.min()), *self.epochs[:1] or [np.inf]),
            max(float(epoch.max()), *self.epochs[1:] or [-np.inf]),
        )
        speed = np.hypot(*pm.T)
        fast = speed > FAST
        for part, which in (("main", ~fast), ("fast", fast)):
            self.largest[part] = max(self.largest[part], float(speed[which].max(initial=0.0)))
        for name, values in zip(MOTION, (*pm.T, epoch), strict=True):
            if name in rows.column_names:
                rows = rows.drop_columns([name])
            rows = rows.append_column(name, pa.array(values))
        return rows, fast

    def write(self, folder: Path, progress: Progress) -> None:
        """Make the index, and the one of the fast movers where there are any."""
        counts = self._buckets.counts
        for part, first in (("main", 0), ("fast", self._n_bands)):
            numbers = range(first, first + self._n_bands)
            n = sum(counts.get(number, 0) for number in numbers)
            if n or part == "main":
                write_index(folder / "index" / part, n, self._taken(numbers, progress), self.schema)

    def _taken(self, numbers: range, progress: Progress) -> Iterator[pa.Table]:
        for number in numbers:
            yield self._buckets.take(number, self.schema)
            progress("indexing", number + 1, self._n_bands)


def _filled(column: pa.ChunkedArray, value: float | None) -> np.ndarray:
    values = np.array(pc.cast(column, pa.float64()).to_numpy(), np.float64)
    if value is not None:
        values[~np.isfinite(values)] = value
    return values


def _card(name: str, source: Source, look: _Look, recipe: Recipe, bands: _Bands, digest) -> Card:
    card = Card(
        name=name,
        snapshot="",
        n_rows=look.n_rows,
        epochs=bands.epochs,
        default_error=recipe.default_error,
        radius=recipe.radius,
        slow_motion=bands.largest["main"],
        fast_motion=bands.largest["fast"],
        columns=bands.columns,
        recipe=recipe.name,
        title=recipe.title,
        page=recipe.page,
        citation=recipe.citation,
        sources=[str(file) for file in source.files[:50]],
        n_aside=look.n_aside,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    said = {key: asdict(card)[key] for key in ("n_rows", "epochs", "default_error", "radius", "columns")}
    digest.update(json.dumps([_VERSION, recipe.coverage, said], sort_keys=True).encode())
    return replace(card, snapshot=digest.hexdigest()[:16])
