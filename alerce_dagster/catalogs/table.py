"""Cross-match of any table of positions: what `alerce-dagster xmatch` does."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.catalogs import positions
from alerce_dagster.catalogs.catalogue import Catalogue
from alerce_dagster.catalogs.columns import identifiers
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.text import Kinds
from alerce_dagster.errors import InputError

_MJD_2000 = 51544.5


def read_positions(
    file: Path, id_column: str = "id", ra: str = "ra", dec: str = "dec", unit: str | None = None
) -> tuple[pa.Table, list[str]]:
    """The positions of a CSV or Parquet file: columns id, ra, dec (degrees) and year (Julian; null without mjd).

    Rows without a position are left out; the second result says so, a sentence each.

    Raises
    ------
    InputError
        When the file cannot be read, lacks a column, or its positions are in another unit.
    """
    portions = list(open_source([file]).batches())
    parts, kinds = [part for part, _ in portions], Kinds()
    for part in parts:
        kinds.learn(part)
    units = portions[0][1] if portions else {}
    if not parts or not sum(part.num_rows for part in parts):
        raise InputError(f"{file} has no rows")
    table = pa.concat_tables([kinds.apply(part) for part in parts])
    columns = [_column(file, table.column_names, name) for name in (id_column, ra, dec)]
    identifier, ra, dec = columns
    try:
        said = unit or positions.unit_of(units.get(ra))
        if said is not None and said not in positions.UNITS:
            raise InputError(f"unknown unit {said!r}; known: {', '.join(positions.UNITS)}")
        if unit is None and said not in (None, "deg"):
            raise InputError(f"right ascension is in {said}, and degrees are expected; say --unit {said}")
        alpha, delta = positions.to_degrees(table[ra], table[dec], said or "deg")
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    good = np.isfinite(alpha)
    if not good.any():
        raise InputError(f"{file}: no row has a position on the sky (columns {ra} and {dec})")
    if said is None:
        ranges = [(values[good].min(), values[good].max()) for values in (alpha, delta)]
        if why := positions.doubt(ranges[0], ranges[1], int(good.sum())):
            raise InputError(f"{file}: {why}")
    aside = []
    if not good.all():
        n, first = int((~good).sum()), int(np.argmin(good))
        aside.append(
            f"not matched: {n:,} of {table.num_rows:,} rows without a position on the sky, the first is row "
            f"{first + 1} ({id_column} {table[identifier][first]}, {ra} {table[ra][first]}, {dec} {table[dec][first]})"
        )
    mjd = positions.find(table.column_names, ["mjd"])
    years = pa.nulls(table.num_rows, pa.float64())
    if mjd is not None and pa.types.is_floating(table[mjd].type):
        years = pc.add(pc.divide(pc.subtract(table[mjd], _MJD_2000), 365.25), 2000.0)
    made = pa.table({"id": identifiers(table[identifier], identifier), "ra": alpha, "dec": delta, "year": years})
    return made.filter(pa.array(good)), aside


def match_table(table: pa.Table, catalogue: Catalogue, radius: float | None = None) -> pa.Table:
    """All matches of the positions: columns id, catalog_id, separation_arcsec, by position, the best first."""
    years = table["year"].to_numpy() if table["year"].null_count < table.num_rows else None
    found = catalogue.match(table["ra"].to_numpy(), table["dec"].to_numpy(), radius, year=years)
    return pa.table(
        {
            "id": table["id"].take(found["position"]),
            "catalog_id": found["catalog_id"],
            "separation_arcsec": found["separation"],
        }
    )


def _column(file: Path, names: list[str], wanted: str) -> str:
    """The column called `wanted`, in any case."""
    if wanted in names:
        return wanted
    found = [name for name in names if name.lower() == wanted.lower()]
    if len(found) == 1:
        return found[0]
    option = f"--{wanted}" if wanted in ("id", "ra", "dec") else "another name"
    raise InputError(
        f"{file} has no column {wanted!r}; it has: {', '.join(names[:30])}; name the right one with {option}"
    )
