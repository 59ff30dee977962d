"""An open catalogue: all its rows within a radius of given positions, with separation, likelihood and rank."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alerce_dagster.catalogs.card import Card, read_card
from alerce_dagster.catalogs.coverage import covered
from alerce_dagster.catalogs.index import Index, open_index
from alerce_dagster.catalogs.likelihood import log_bayes_factor
from alerce_dagster.errors import StoreError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Catalogue:
    """A snapshot mapped into memory; opening it reads next to nothing."""

    card: Card
    folder: Path
    parts: tuple[tuple[Index, float], ...]
    """The indexes, each with its largest proper motion in mas/yr."""
    coverage: npt.NDArray[np.int64]

    def match(
        self, ra: Floats, dec: Floats, radius: float | None = None, *, year: Floats | None = None,
        error: Floats | float = 0.1,
    ) -> pa.Table:  # fmt: skip
        """All rows within `radius` of each position, best first.

        ra, dec : ICRS in degrees, shape (n,), finite, 0 <= ra < 360
        radius : arcsec; by default the catalogue's own
        year : Julian year of each position, to which sources of known proper motion are moved; NaN or None moves none
        error : 1-sigma error per axis of the positions in arcsec, for the likelihood

        Returns a table with one row per pair: `position` (its number), `catalog_id`, `separation` (arcsec), `rank`
        (from 1, by likelihood, then separation), `log_bayes` (see `log_bayes_factor`) and the kept columns.

        Raises
        ------
        StoreError
            When the catalogue's files are damaged.
        """
        radius = self.card.radius if radius is None else radius
        years = np.full(len(ra), np.nan) if year is None else np.asarray(year, np.float64)
        found = [self._search(index, motion, ra, dec, years, radius) for index, motion in self.parts]
        query = np.concatenate([q for q, _, _ in found])
        separation = np.concatenate([s for _, _, s in found])
        try:
            rows = pa.concat_tables([index.take(r) for (index, _), (_, r, _) in zip(self.parts, found, strict=True)])
        except (pa.ArrowInvalid, OSError) as error_:
            raise StoreError(f"the catalogue in {self.folder} is damaged ({error_}); add it again") from error_
        own = np.full(len(query), np.nan)
        if "pos_err" in rows.column_names:
            own = rows["pos_err"].to_numpy().astype(np.float64)
        own = np.where(own > 0, own, self.card.default_error)
        ours = np.broadcast_to(np.asarray(error, np.float64), (len(ra),))[query]
        weight = log_bayes_factor(separation, ours, own)
        order = np.lexsort((separation, -np.nan_to_num(weight, nan=-np.inf), query))
        query, separation, weight = query[order], separation[order], weight[order]
        rows = rows.take(pa.array(order))
        first = np.searchsorted(query, query, side="left")
        columns = {
            "position": pa.array(query),
            "catalog_id": rows["id"],
            "separation": pa.array(separation),
            "rank": pa.array(np.arange(len(query)) - first + 1),
            "log_bayes": pa.array(weight, from_pandas=True),
        }
        return pa.table(columns | {name: rows[name] for name in self.card.columns})

    def near(self, ra: Floats, dec: Floats, radius: float) -> pa.Table:
        """All rows within `radius` (arcsec) of each position, with their own places: `position` (its number),
        `catalog_id` (text), `ra`, `dec` (degrees), `separation` (arcsec) and the kept columns; in no order.

        Raises
        ------
        StoreError
            When the catalogue's files are damaged.
        """
        found = []
        for index, motion in self.parts:
            query, row, separation = self._search(index, motion, ra, dec, np.full(len(ra), np.nan), radius)
            try:
                rows = index.take(row)
            except (pa.ArrowInvalid, OSError) as error:
                raise StoreError(f"the catalogue in {self.folder} is damaged ({error}); add it again") from error
            places = {name: pa.array(index.positions[row, k]) for k, name in enumerate(("ra", "dec"))}
            columns = {"position": pa.array(query), "catalog_id": rows["id"].cast(pa.string()), **places}
            columns |= {"separation": pa.array(separation)} | {name: rows[name] for name in self.card.columns}
            found.append(pa.table(columns))
        return pa.concat_tables(found)

    def covers(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether HEALPix cells (nested, order 29), shape (n,), are within the catalogue's coverage."""
        return covered(self.coverage, cells)

    def _search(self, index: Index, motion: float, ra: Floats, dec: Floats, years: Floats, radius: float):
        from alerce_dagster.catalogs.kernel import search

        widened = np.full(len(ra), float(radius))
        if motion and len(index.motions):
            # From the row of the most distant epoch to the year of the position, at the highest speed.
            longest = np.max([np.abs(years - epoch) for epoch in self.card.epochs], axis=0)
            widened += np.nan_to_num(longest) * motion / 1000.0
        size = 2 * len(ra) + 64
        while True:
            query, row, separation = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
            n = search(
                index.starts, index.positions, index.motions, np.ascontiguousarray(ra, np.float64),
                np.ascontiguousarray(dec, np.float64), years, float(radius), widened, query, row, separation,
            )  # fmt: skip
            if n <= size:
                return query[:n], row[:n], separation[:n]
            size = n


def open_catalogue(folder: Path) -> Catalogue:
    """Open the snapshot in `folder`.

    Raises
    ------
    StoreError
        When its files are missing or damaged.
    """
    card = read_card(folder)
    try:
        parts = [(open_index(folder / "index" / "main"), card.slow_motion)]
        if (folder / "index" / "fast").exists():
            parts.append((open_index(folder / "index" / "fast"), card.fast_motion))
        coverage = np.load(folder / "coverage.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise StoreError(f"the catalogue in {folder} cannot be used: {error}; remove it and add it again") from error
    return Catalogue(card, folder, tuple(parts), np.asarray(coverage))
