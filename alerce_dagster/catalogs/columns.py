"""From a file's columns to the catalogue's: `id`, `ra`, `dec` and what else is known of a source, in standard units.

Standard columns come first: _healpix_29, id, ra, dec (degrees, ICRS), then, where there are any, pm_ra and pm_dec
(mas/yr, pm_ra with cos dec), epoch (Julian year) and pos_err (arcsec, 1 sigma per axis). The recipe's own columns
follow under its names, and then all others as the file calls them. Units and former names are in the schema's metadata.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.catalogs import positions
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.errors import InputError

HEALPIX = "_healpix_29"
HEALPIX_ORDER = 29
_MJD_2000 = 51544.5


@dataclass(frozen=True)
class Wanted:
    """What a person says about a file, before the recipe and the guesses: names of columns, and the unit of RA."""

    ra: str | None = None
    dec: str | None = None
    id: str | None = None
    unit: str | None = None
    columns: tuple[str, ...] | None = None
    """Columns to keep beside each match, as the file calls them."""


@dataclass(frozen=True)
class Layout:
    """Which of the file's columns becomes what."""

    recipe: Recipe
    unit: str
    unit_is_said: bool
    ra: str
    dec: str
    id: str | None
    pm: tuple[str, str] | None
    epoch: str | None
    error: str | None
    others: dict[str, str]
    """The remaining columns: name in the file to name in the catalogue."""
    kept: tuple[str, ...]
    """Of these, by their name in the catalogue, those that go beside each match."""
    units: Mapping[str, str]

    def apply(self, table: pa.Table, first_row: int) -> tuple[pa.Table, int]:
        """The rows with a position as the catalogue has them, and how many have none.

        first_row : number of the table's first row in the whole file; where no column identifies a row, its number does
        """
        ra, dec = positions.to_degrees(table[self.ra], table[self.dec], self.unit)
        good = np.isfinite(ra)
        if self.id is None:
            names: pa.ChunkedArray | pa.Array = pa.array(np.arange(first_row, first_row + table.num_rows))
        else:
            names = identifiers(table[self.id], self.id)
        columns = {HEALPIX: pa.array(healpix_cells(np.where(good, ra, 0.0), np.where(good, dec, 0.0)))}
        columns |= {"id": names, "ra": pa.array(ra), "dec": pa.array(dec)}
        if self.pm:
            factor = self.recipe.pm_to_mas
            columns["pm_ra"], columns["pm_dec"] = [_floats(table[name], factor) for name in self.pm]
        if self.epoch:
            years = pc.cast(table[self.epoch], pa.float64())
            if self.recipe.epoch_is_mjd:
                years = pc.add(pc.divide(pc.subtract(years, _MJD_2000), 365.25), 2000.0)
            columns["epoch"] = years
        if self.error:
            columns["pos_err"] = _floats(table[self.error], self.recipe.error_to_arcsec)
        columns |= {name: _trimmed(table[source]) for source, name in self.others.items()}
        made = pa.table(columns)
        made = made.cast(pa.schema([self._field(field) for field in made.schema]))
        if good.all():
            return made, 0
        return made.filter(pa.array(good)), int((~good).sum())

    def _field(self, field: pa.Field) -> pa.Field:
        standard = {
            "ra": "deg", "dec": "deg", "pm_ra": "mas/yr", "pm_dec": "mas/yr", "epoch": "yr", "pos_err": "arcsec"
        }  # fmt: skip
        former = {name: source for source, name in self.others.items()}
        former |= {"ra": self.ra, "dec": self.dec, "id": self.id or ""}
        known = self.units.get(former.get(field.name, ""))
        if field.name in former and field.name not in standard:
            unit = known or self.recipe.units.get(field.name, "")
        else:
            unit = standard.get(field.name, "")
        metadata = {"unit": unit, "source": former.get(field.name, "")}
        return pa.field(field.name, _stored(field.type), metadata={k: v for k, v in metadata.items() if v})


def healpix_cells(ra: np.ndarray, dec: np.ndarray, order: int = HEALPIX_ORDER) -> np.ndarray:
    """HEALPix cells (nested) as int64 of positions in degrees, shape (n,)."""
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    if not len(ra):
        return np.empty(0, np.int64)
    cells = lonlat_to_healpix(Longitude(ra, "deg"), Latitude(dec, "deg"), order, num_threads=1)
    return np.asarray(cells).astype(np.int64)


def identifiers(column: pa.ChunkedArray | pa.Array, name: str) -> pa.ChunkedArray | pa.Array:
    """Identifiers as they are, 64-bit integers or text.

    Raises
    ------
    InputError
        When they are neither: a floating-point number has lost digits already.
    """
    kind = column.type
    if pa.types.is_integer(kind):
        try:
            return pc.cast(column, pa.int64())
        except pa.ArrowInvalid:
            return pc.cast(column, pa.string())
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary, pa.types.is_binary)
    if any(is_text(kind) for is_text in text):
        return pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    raise InputError(
        f"the column {name!r} holds {kind}, and identifiers are integers or text; name another one with --id"
    )


def plan_layout(
    schema: pa.Schema, units: Mapping[str, str], wanted: Wanted, recipe: Recipe, *, where: str,
    with_gaps: frozenset[str] = frozenset(),
) -> Layout:  # fmt: skip
    """Decide which column is what: what is wanted comes before the recipe, the recipe before a guess.

    A column `with_gaps`, or of floating-point numbers, identifies nothing unless somebody says so.

    Raises
    ------
    InputError
        When a column is missing or is not what it should be; `where` names the file.
    """
    names = schema.names

    def column(said: str | None, spelt: Sequence[str], guesses: Sequence[str]) -> str | None:
        if said is not None:
            if said not in names:
                raise InputError(f"{where} has no column {said!r}; it has: {_listed(names)}")
            return said
        return positions.find(names, [positions.plain(s) for s in spelt]) or positions.find(names, guesses)

    ra = column(wanted.ra, recipe.ra, positions.RA_NAMES)
    dec = column(wanted.dec, recipe.dec, positions.DEC_NAMES)
    for role, found in (("right ascension", ra), ("declination", dec)):
        if found is None:
            raise InputError(
                f"{where} has no column that looks like a {role}; name it with "
                f"{'--ra' if role[0] == 'r' else '--dec'}; it has: {_listed(names)}"
            )
    unfit = {f.name for f in schema if pa.types.is_floating(f.type)} | with_gaps
    fit = [name for name in names if name not in unfit]
    known_id = [positions.plain(name) for name in recipe.id]
    identifier = column(wanted.id, (), ()) or positions.find(fit, [*known_id, *positions.ID_NAMES])

    def optional(spelt: Sequence[str]) -> str | None:
        return positions.find(names, [positions.plain(s) for s in spelt])

    pm = (optional(recipe.pm_ra), optional(recipe.pm_dec))
    epoch, error = optional(recipe.epoch_column), optional(recipe.error)
    said = wanted.unit or recipe.unit or positions.unit_of(units.get(str(ra)))
    if said is not None and said not in positions.UNITS:
        raise InputError(f"unknown unit {said!r}; known: {', '.join(positions.UNITS)}")
    taken = {ra, dec, identifier, *(pm if all(pm) else ()), epoch, error} - {None}
    others, kept = _others(names, taken, wanted, recipe, where)
    flat = {others[f.name] for f in schema if f.name in others and not _is_nested(f.type)}
    kept = tuple(name for name in kept if name in flat)
    return Layout(
        recipe=recipe, unit=said or "deg", unit_is_said=said is not None, ra=str(ra), dec=str(dec), id=identifier,
        pm=(str(pm[0]), str(pm[1])) if all(pm) else None, epoch=epoch, error=error,
        others=others, kept=kept, units=units,
    )  # fmt: skip


def _others(
    names: Sequence[str], taken: set, wanted: Wanted, recipe: Recipe, where: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Names of the remaining columns in the catalogue, and which of them are kept beside the matches."""
    used = {HEALPIX, "id", "ra", "dec", "pm_ra", "pm_dec", "epoch", "pos_err"}
    others: dict[str, str] = {}
    for name, spelt in recipe.columns.items():
        source = positions.find(names, [positions.plain(s) for s in spelt])
        if source is not None and source not in taken and source not in others:
            others[source] = name
            used.add(name)
    mapped = tuple(others.values())
    for source in names:
        if source in taken or source in others or source in (HEALPIX, "__index_level_0__"):  # the index of pandas
            continue
        name = source
        while name in used:
            name += "_"
        others[source] = name
        used.add(name)
    if wanted.columns is not None:
        missing = [name for name in wanted.columns if name not in names]
        if missing:
            raise InputError(f"{where} has no column {missing[0]!r}; it has: {_listed(names)}")
        return others, tuple(others[name] for name in wanted.columns if name in others)
    return others, mapped if recipe.columns else tuple(others.values())


def _is_nested(kind: pa.DataType) -> bool:
    """Lists, structures and bytes stay in the Parquet files; they do not go beside each match."""
    return pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _stored(kind: pa.DataType) -> pa.DataType:
    """The type a column is stored as: plain text instead of dictionaries and large strings."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind):
        return pa.string()
    return pa.float64() if pa.types.is_null(kind) else kind


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without the blanks that fixed-width formats fill it up with."""
    return pc.utf8_trim_whitespace(column) if pa.types.is_string(column.type) else column


def _floats(column: pa.ChunkedArray, factor: float) -> pa.ChunkedArray:
    return pc.cast(pc.multiply(pc.cast(column, pa.float64()), factor), pa.float32())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")
