"""Where the products are: for each a HATS catalogue (HEALPix-partitioned Parquet with an index), readable by LSDB.

    FOLDER/lightcurves, FOLDER/recalibrated, FOLDER/variability
    FOLDER/recalibrated/corrections/000250_zg_c01_q1.parquet

A catalogue is built beside its place and put there when it is whole; one that was there before goes then.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import dataset

from alerce_dagster.catalogs.build import build
from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import Source
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.errors import InputError, store_errors
from alerce_dagster.releases.light_curves import Channel

PRODUCTS = ("lightcurves", "recalibrated", "variability")
CORRECTIONS = "corrections"
ROWS_PER_PARTITION = 20_000
"""A light curve takes kilobytes: a partition stays below some hundred MB also in the Galactic plane."""
_RECIPE = Recipe(name="", default_error=0.1, radius=1.5, coverage="rows")


class Parts:
    """One product while it is being made: a Parquet file per channel, joined into a catalogue at the end."""

    def __init__(self, folder: Path, product: str) -> None:
        self.place = folder / product
        self._work = folder / f".{product}.{os.getpid()}"
        self._files: list[Path] = []
        self._corrections: dict[str, pa.Table] = {}

    def add(self, name: str, rows: pa.Table, corrections: pa.Table | None = None) -> None:
        """Take the rows of a channel, and what was found of its exposures."""
        if corrections is not None:
            self._corrections[name] = corrections
        if not rows.num_rows:
            return
        with store_errors(str(self.place)):
            self._work.mkdir(parents=True, exist_ok=True)
            file = self._work / f"{len(self._files):05d}_{name}.parquet"
            pq.write_table(rows, file, compression="none")
        self._files.append(file)

    def finish(self) -> None:
        """Build the catalogue and put it in its place; without any row there is none, nor the one that was there.

        Raises
        ------
        StoreError
            When the folder cannot be written to; what was there before stays.
        """
        if not self._files:
            shutil.rmtree(self.place, ignore_errors=True)
            return
        half, former = self._work / "whole", self._work / "former"
        wanted = Wanted(ra="ra", dec="dec", id="objectid")
        with store_errors(str(self.place)):
            source = Source(tuple(self._files), "parquet")
            build(half, self.place.name, source, wanted, _RECIPE, max_rows=ROWS_PER_PARTITION)
            if self._corrections:
                (half / CORRECTIONS).mkdir()
            for name, table in self._corrections.items():
                pq.write_table(table, half / CORRECTIONS / f"{name}.parquet")
            if self.place.exists():
                self.place.rename(former)
            half.rename(self.place)

    def discard(self) -> None:
        """Remove what is left of the making."""
        shutil.rmtree(self._work, ignore_errors=True)


@contextmanager
def writing(folder: Path, products: Sequence[str]) -> Iterator[list[Parts]]:
    """The products to be written below a folder; finished together when the block ends well.

    One writer at a time of each folder; the death of a process ends its lock.
    """
    with store_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("ab")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(".*.*"):  # of a process that was killed
            product = left.name.split(".")[1]
            if left.is_dir() and product in products:
                if (left / "former").exists() and not (folder / product).exists():
                    (left / "former").rename(folder / product)
                shutil.rmtree(left, ignore_errors=True)
        parts = [Parts(folder, product) for product in products]
        try:
            yield parts
            for part in parts:
                part.finish()
        finally:
            for part in parts:
                part.discard()


def partitions_of(place: Path) -> list[str]:
    """The Parquet files of a product.

    Raises
    ------
    InputError
        When it has not been made.
    """
    files = sorted(str(file) for file in (place / "dataset").rglob("Npix=*.parquet"))
    if not files:
        raise InputError(f"there is no {place.name} in {place.parent}; make it first")
    return files


def channels_in(place: Path) -> list[Channel]:
    """The readout channels of a product, sorted; errors as for `partitions_of`."""
    names = ["fieldid", "rcid", "filterid"]
    rows = dataset.dataset(partitions_of(place), format="parquet").to_table(columns=names)
    return sorted((r["fieldid"], r["rcid"], r["filterid"]) for r in rows.group_by(names).aggregate([]).to_pylist())


def read_channel(place: Path, channel: Channel) -> pa.Table:
    """The rows of one readout channel of a product, in the order of their identifiers."""
    field, rcid, band = channel
    wanted = (dataset.field("fieldid") == field) & (dataset.field("rcid") == rcid) & (dataset.field("filterid") == band)
    rows = dataset.dataset(partitions_of(place), format="parquet").to_table(filter=wanted)
    return rows.sort_by("id").combine_chunks()


def n_rows(place: Path) -> int:
    """Rows of a product, 0 where there is none."""
    if not place.is_dir():
        return 0
    return dataset.dataset(partitions_of(place), format="parquet").count_rows()
