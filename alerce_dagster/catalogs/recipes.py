"""What is known of well-known catalogues: their columns, units, epoch, errors, radius, where they are, whom to cite.

The knowledge itself is data, in `recipes.toml`; this reads it. A recipe names several spellings of a column where the
same catalogue is served with different ones (its own archive, VizieR, NOIRLab).
"""

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from alerce_dagster.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """How to read one catalogue; every field has a default that fits an unknown one."""

    name: str = ""
    title: str = ""
    page: str = ""
    """Where the files are to be had."""
    citation: str = ""
    names: tuple[str, ...] = ()
    """Columns of a file that comes without a header."""
    ra: tuple[str, ...] = ()
    dec: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    unit: str | None = None
    """Of the positions, one of `positions.UNITS`; None: as the file says, else degrees."""
    epoch: float | None = None
    """Julian year of the positions."""
    epoch_column: tuple[str, ...] = ()
    """Column with a row's own epoch, in Julian years, or MJD when `epoch_is_mjd`."""
    epoch_is_mjd: bool = False
    pm_ra: tuple[str, ...] = ()
    """Proper motion in RA, with the factor cos(dec)."""
    pm_dec: tuple[str, ...] = ()
    pm_to_mas: float = 1.0
    """Factor from the file's unit to mas/yr."""
    error: tuple[str, ...] = ()
    """Column with the 1-sigma position error per axis."""
    error_to_arcsec: float = 1.0
    default_error: float = 0.3
    """1-sigma position error per axis in arcsec where a row has none."""
    radius: float = 1.5
    """Radius in arcsec within which counterparts are looked for."""
    coverage: str | tuple[float, float] = "rows"
    """"sky", a range of declination in degrees, or "rows": where the catalogue has rows."""
    cds_table: str | None = None
    """Its name at the CDS X-Match service."""
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What to keep beside each match: plain name to the spellings in files."""
    units: dict[str, str] = field(default_factory=dict)
    """Units of these columns, for files that do not state them."""


@lru_cache(maxsize=1)
def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    text = (resources.files("alerce_dagster.catalogs") / "recipes.toml").read_text(encoding="utf-8")
    return {name: _recipe(name, values) for name, values in tomllib.loads(text).items()}


def recipe_for(name: str) -> Recipe:
    """The recipe called `name`.

    Raises
    ------
    InputError
        When there is none, with the names there are.
    """
    try:
        return recipes()[name]
    except KeyError:
        raise InputError(f"no recipe is called {name!r}; there are: {', '.join(sorted(recipes()))}") from None


def _recipe(name: str, values: dict) -> Recipe:
    known: dict = {"name": name}
    for key, value in values.items():
        if key == "columns":
            value = {column: _several(spellings) for column, spellings in value.items()}
        elif isinstance(value, list) or key in ("ra", "dec", "id", "pm_ra", "pm_dec", "error", "epoch_column"):
            value = _several(value)
        known[key] = value
    return Recipe(**known)


def _several(value) -> tuple:
    return tuple(value) if isinstance(value, list) else (value,)
