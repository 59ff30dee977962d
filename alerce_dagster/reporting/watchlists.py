"""Watch lists: positions, object names or a region of the sky that somebody wants to hear of.

A list comes from a CSV file (positions with a radius, or names of survey objects) or is a region: a coverage map (MOC,
IVOA Recommendation 2.0) as FITS, JSON or text, or the sky map of a gravitational-wave alert as multi-order FITS with a
credible level. Angles are in degrees, radii in arcsec.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from alerce_dagster.catalogs.positions import DEC_NAMES, ID_NAMES, RA_NAMES, find, to_degrees
from alerce_dagster.errors import InputError
from alerce_dagster.surveys.tables import FLOAT, TEXT, column

DEFAULT_RADIUS = 1.5
LARGEST_RADIUS = 3600.0
POSITIONS, NAMES, REGION = "positions", "names", "region"

TARGETS = pa.schema(
    [
        column("target", TEXT, "", "name of the target, unique in its list"),
        column("ra", FLOAT, "deg", "right ascension, ICRS; null in a list of names"),
        column("dec", FLOAT, "deg", "declination, ICRS; null in a list of names"),
        column("radius", FLOAT, "arcsec", "how far an alert may be; null in a list of names"),
    ]
)

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
_EMAIL = re.compile(r"^[^@\s<>,;\"]+@[^@\s<>,;\"]+$")
_RADIUS_NAMES = ("radius", "radiusarcsec", "radiusasec", "r")
_OID_NAMES = ("oid", "objectid", "ztfid", "diaobjectid", "objid", "name", "id")


@dataclass(frozen=True)
class Filters:
    """What a matching alert must be beside; a filter that is not set lets everything pass."""

    brightest: float | None = None
    faintest: float | None = None
    """Difference magnitudes, both included. An alert without a magnitude fails when either is set."""
    classes: tuple[str, ...] = ()
    """Names of classes; the alert's object must be of one of them, as the classifier in use sees it now."""
    min_probability: float = 0.0
    """Of that class."""


@dataclass(frozen=True)
class WatchList:
    """A list and to whom its matches go."""

    name: str
    kind: str
    source: str = ""
    region: str | None = None
    """The MOC in its text form, for a region."""
    level: float | None = None
    """Credible level of a region that came from a sky map."""
    filters: Filters = field(default_factory=Filters)
    email: str | None = None
    webhook: str | None = None

    @property
    def channels(self) -> dict[str, str]:
        """Where messages go: the address by channel."""
        given = {"email": self.email, "webhook": self.webhook}
        return {channel: address for channel, address in given.items() if address}


def check(watch_list: WatchList) -> None:
    """Refuse what could not be stored or sent to.

    Raises
    ------
    InputError
        For a name, an address or a filter that makes no sense.
    """
    filters = watch_list.filters
    if not _NAME.match(watch_list.name):
        raise InputError(f"{watch_list.name!r} is no name of a watch list; use letters, digits, and . _ - (64 at most)")
    if watch_list.email and not _EMAIL.match(watch_list.email):
        raise InputError(f"{watch_list.email!r} is not an e-mail address")
    if watch_list.webhook and not re.match(r"^https?://[^\s/]+", watch_list.webhook):
        raise InputError("a webhook is a URL that begins with https:// or http://")
    if filters.brightest is not None and filters.faintest is not None and filters.brightest > filters.faintest:
        raise InputError(
            f"no magnitude is between {filters.brightest} (brightest) and {filters.faintest} (faintest); swap them"
        )
    if not 0 <= filters.min_probability <= 1:
        raise InputError(f"a probability is between 0 and 1, not {filters.min_probability}")
    if filters.min_probability and not filters.classes:
        raise InputError("a least probability needs the classes that it is of; name them with --class")


def read_targets(file: Path, radius: float = DEFAULT_RADIUS) -> tuple[str, pa.Table]:
    """The kind of a CSV list (positions or names) and its rows in schema TARGETS.

    With columns of right ascension and declination under any usual name, in degrees or as 12:34:56.7 -01:23:45, it is
    one of positions; a column `radius` (arcsec) goes before `radius`. Else a column of object names (oid) makes it
    one of names.

    Raises
    ------
    InputError
        When the file cannot be read, lacks columns, or a row makes no sense: with the row.
    """
    try:
        header = pa.csv.open_csv(file).schema.names
        # All as text: what looks like a time is an angle, and names of digits keep their zeros.
        texts = pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True)
        table = pa.csv.read_csv(file, convert_options=texts)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"cannot read {file} as CSV: {str(error).strip().splitlines()[0]}") from error
    if not table.num_rows:
        raise InputError(f"{file} has no rows")
    names = table.column_names
    ra_name, dec_name = find(names, RA_NAMES), find(names, DEC_NAMES)
    if ra_name is None or dec_name is None:
        oid_name = find(names, _OID_NAMES)
        if oid_name is None:
            raise InputError(f"{file} has neither columns ra and dec nor oid; its columns are: {', '.join(names)}")
        return NAMES, _named(file, table[oid_name])
    unit = "sexagesimal" if ":" in (table[ra_name][0].as_py() or "") else "deg"
    try:
        ra, dec = to_degrees(table[ra_name], table[dec_name], unit)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    _refuse(file, ~np.isfinite(ra) | ~np.isfinite(dec), "has no position on the sky (degrees are expected)")
    id_name, radius_name = find(names, ID_NAMES), find(names, _RADIUS_NAMES)
    targets = _unique(file, table[id_name]) if id_name else pa.array([str(row + 1) for row in range(table.num_rows)])
    radii = np.full(table.num_rows, float(radius))
    if radius_name is not None:
        try:
            own = table[radius_name].cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid as error:
            raise InputError(f"{file}: the column {radius_name} does not hold numbers") from error
        radii = np.where(np.isfinite(own), own, radii)
    _refuse(file, ~((radii > 0) & (radii <= LARGEST_RADIUS)), f"has a radius outside 0 to {LARGEST_RADIUS:.0f} arcsec")
    return POSITIONS, pa.table([targets, pa.array(ra), pa.array(dec), pa.array(radii)], schema=TARGETS)


def read_region(file: Path, level: float | None) -> tuple[str, float | None]:
    """A region as the text of its MOC, and the credible level where one was applied.

    A FITS file with probabilities is a sky map: the region holds the smallest set of its cells whose probabilities
    add up to `level` at least (0.9 when None). Everything else must be a MOC, and takes no level.

    Raises
    ------
    InputError
        When the file is neither, the region is empty, or the level is not between 0 and 1.
    """
    from mocpy import MOC

    kind = _region_kind(file)
    if level is not None and not 0 < level < 1:
        raise InputError(f"a credible level is between 0 and 1, not {level}")
    if kind != "sky map" and level is not None:
        raise InputError(f"{file} is a coverage map without probabilities: leave --level out")
    try:
        if kind == "sky map":
            level = 0.9 if level is None else level
            moc = MOC.from_multiordermap_fits_file(str(file), cumul_from=0.0, cumul_to=level, strict=False)
        else:
            moc = MOC.load(str(file), format=kind)
    except Exception as error:  # mocpy raises whatever its Rust core does, panics included
        raise InputError(f"{file} cannot be read as a {kind} of the sky: {error}") from error
    if moc.empty():
        raise InputError(f"the region in {file} is empty")
    return moc.to_string(format="ascii").replace("\n", " "), level


def sky_fraction(region: str) -> float:
    """Share of the sky in a region."""
    from mocpy import MOC

    return float(MOC.from_string(region, format="ascii").sky_fraction)


def _region_kind(file: Path) -> str:
    """How to read a region: "sky map", or the MOC's format."""
    try:
        with file.open("rb") as stream:
            start = stream.read(10)
    except OSError as error:
        raise InputError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from error
    if start.startswith((b"SIMPLE", b"\x1f\x8b")):
        from astropy.io import fits

        try:
            with fits.open(file) as hdus:
                columns = {name.upper() for hdu in hdus[1:2] for name in hdu.columns.names}
        except Exception as error:  # whatever a broken FITS file makes astropy raise
            raise InputError(f"{file} is a damaged FITS file: {error}") from error
        if "UNIQ" in columns and len(columns) > 1:
            return "sky map"
        if "PROB" in columns:
            raise InputError(
                f"{file} is a flat sky map; take the multi-order one (*.multiorder.fits) of the same alert"
            )
        return "fits"
    return "json" if start.lstrip().startswith(b"{") else "ascii"


def _named(file: Path, column: pa.ChunkedArray) -> pa.Table:
    names = _unique(file, column)
    nothing = pa.nulls(len(names), pa.float64())
    return pa.table([names, nothing, nothing, nothing], schema=TARGETS)


def _unique(file: Path, column: pa.ChunkedArray) -> pa.Array:
    """Names as text, one of a kind."""
    texts: Sequence[str | None] = pc.utf8_trim_whitespace(column).to_pylist()
    _refuse(file, np.array([not text for text in texts]), "has no name")
    seen: dict[str | None, int] = {}
    for row, text in enumerate(texts):
        if text in seen:
            raise InputError(f"{file}: rows {seen[text] + 1} and {row + 1} are both called {text!r}; names are unique")
        seen[text] = row
    return pa.array(texts, TEXT)


def _refuse(file: Path, bad: np.ndarray, what: str) -> None:
    if bad.any():
        rest = f" (and {bad.sum() - 1} more)" if bad.sum() > 1 else ""
        raise InputError(f"{file}: row {int(np.argmax(bad)) + 1} {what}{rest}")
