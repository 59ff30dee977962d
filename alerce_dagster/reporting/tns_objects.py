"""A local copy of TNS's public objects: read from its zipped CSV, kept as Parquet, matched with positions and names.

One copy holds some 200,000 objects; all objects of a night are matched with it in memory in a moment, so that TNS is
asked about the few that somebody wants to report, and about nothing else.
"""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from alerce_dagster.catalogs.pairs import SortedPositions
from alerce_dagster.errors import InputError
from alerce_dagster.surveys.tables import FLOAT, INT, TEXT, column

RADIUS = 3.0  # arcsec: positions of other surveys at TNS are good to about one
FILE = "tns_public_objects.parquet"

OBJECTS = pa.schema(
    [
        column("objid", INT, "", "TNS's number of the object"),
        column("prefix", TEXT, "", "AT, SN, ..."),
        column("name", TEXT, "", "name without its prefix"),
        column("ra", FLOAT, "deg", "right ascension, ICRS"),
        column("dec", FLOAT, "deg", "declination, ICRS"),
        column("redshift", FLOAT, "", "redshift"),
        column("type", TEXT, "", "spectroscopic type"),
        column("reporting_group", TEXT, "", "who reported it first"),
        column("discovered_at", TEXT, "", "discovery date, UTC"),
        column("internal_names", TEXT, "", "names of the surveys, with commas"),
    ]
)
_NAMES = {"prefix": "name_prefix", "dec": "declination", "discovered_at": "discoverydate"}


@dataclass(frozen=True)
class Copy:
    """A copy (schema OBJECTS), ready to be matched; `snapshot` is the hash of what it holds."""

    objects: pa.Table
    snapshot: str

    @classmethod
    def of(cls, objects: pa.Table) -> "Copy":
        """The copy of a table in schema OBJECTS."""
        digest = hashlib.sha256()
        for name in ("objid", "name", "type", "internal_names"):
            digest.update("\n".join(map(str, objects[name].to_pylist())).encode())
        return cls(objects, digest.hexdigest()[:16])

    def match(self, objects: pa.Table, radius: float = RADIUS) -> pa.Table:
        """TNS objects within `radius` arcsec of objects (oid, ra, dec in degrees), or known under their identifier.

        oid, separation (arcsec), same_name, and the columns of OBJECTS; by object, then separation.
        """
        theirs = self.objects
        ra, dec = objects["ra"].to_numpy(), objects["dec"].to_numpy()
        pairs = SortedPositions(theirs["ra"].to_numpy(), theirs["dec"].to_numpy()).within(ra, dec, radius)
        rows = {(int(q), int(f)): float(s) for q, f, s in zip(*pairs, strict=True)}
        place = {oid: row for row, oid in enumerate(objects["oid"].to_pylist())}
        named: set[tuple[int, int]] = set()
        for found, names in enumerate(theirs["internal_names"].to_pylist()):
            for name in (names or "").split(","):
                if (query := place.get(name.strip())) is not None:
                    named.add((query, found))
                    rows.setdefault((query, found), _separation(ra[query], dec[query], theirs, found))
        order = sorted(rows, key=lambda pair: (pair[0], rows[pair], pair[1]))
        matched = theirs.take(pa.array([found for _, found in order], pa.int64())).drop_columns(["ra", "dec"])
        oids = objects["oid"].take(pa.array([query for query, _ in order], pa.int64()))
        matched = matched.add_column(0, "oid", oids)
        matched = matched.append_column("separation", pa.array([rows[pair] for pair in order], pa.float64()))
        return matched.append_column("same_name", pa.array([pair in named for pair in order], pa.bool_()))


def read(file: Path) -> pa.Table:
    """The objects of TNS's zipped CSV, in schema OBJECTS; those without a position are left out.

    Raises
    ------
    InputError
        When the file is not what TNS gives.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            data = archive.read(archive.namelist()[0])
    except (zipfile.BadZipFile, IndexError, OSError) as error:
        raise InputError(f"{file} is no zip file of TNS's public objects; fetch it again") from error
    first = data[: data.find(b"\n")]
    # The first line says when the file was made.
    skip = 0 if b"objid" in first else 1
    try:
        table = pa_csv.read_csv(
            io.BytesIO(data),
            pa_csv.ReadOptions(skip_rows=skip),
            pa_csv.ParseOptions(newlines_in_values=True),
            pa_csv.ConvertOptions(
                column_types={_NAMES.get(field.name, field.name): field.type for field in OBJECTS},
                include_columns=[_NAMES.get(field.name, field.name) for field in OBJECTS],
                strings_can_be_null=True,
                null_values=["", "NULL"],
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError) as error:
        raise InputError(f"{file} does not hold TNS's public objects: {str(error).splitlines()[0]}") from error
    table = table.rename_columns(OBJECTS.names).cast(pa.schema([f.remove_metadata() for f in OBJECTS]))
    located = pc.and_(pc.is_valid(table["ra"]), pc.and_(pc.is_valid(table["dec"]), pc.is_valid(table["name"])))
    return table.filter(located)


def keep(objects: pa.Table, folder: Path) -> None:
    """Make a copy the one in use."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{FILE}.{os.getpid()}.part"
    pq.write_table(objects, part)
    part.replace(folder / FILE)


def in_use(folder: Path) -> Copy | None:
    """The copy in use, or None where none was fetched yet."""
    file = folder / FILE
    return Copy.of(pq.read_table(file)) if file.exists() else None


def _separation(ra: float, dec: float, theirs: pa.Table, row: int) -> float:
    from alerce_dagster.catalogs.kernel import haversine

    sine2 = haversine(ra, dec, theirs["ra"][row].as_py(), theirs["dec"][row].as_py())
    return float(np.degrees(2 * np.arcsin(np.sqrt(sine2))) * 3600)
