"""Catalogues of galaxies: which of those at hand are such, and their rows near objects as candidate hosts.

A catalogue counts when it was added with one of the recipes below. For tables of one's own there is the recipe
`galaxies`: alerce-dagster catalog add NAME FILE --recipe galaxies.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.catalogs.catalogue import Catalogue
from alerce_dagster.catalogs.hosts import share_seen
from alerce_dagster.catalogs.schemas import CANDIDATES

RADIUS = 60.0  # arcsec within which a galaxy is a candidate


@dataclass(frozen=True)
class Galaxies:
    """How to read one catalogue's kept columns, and how deep it goes; depth and completeness are round numbers."""

    mag: str = ""
    to_r: float = 0.0
    """Added to the magnitude to make it one in r, for galaxies of usual colour."""
    major: str = ""
    minor: str = ""
    angle: str = ""
    """Half-light semi-axes in arcsec, and position angle of the major one in degrees from north through east."""
    z: str = "redshift"
    z_err: str = "redshift_error"
    kind: str = ""
    """Column that says how the redshift was measured; without one it is spectroscopic."""
    spectroscopic: tuple[str, ...] = ()
    """Its values for spectra; all others are photometric."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rows that count: values by column; a column that the catalogue lacks decides nothing."""
    depth: float = 20.0
    completeness: float = 0.9


GALAXIES: dict[str, Galaxies] = {
    "galaxies": Galaxies(
        mag="mag", major="major", minor="minor", angle="angle", kind="redshift_kind",
        spectroscopic=("spectroscopic", "spec", "specz"), depth=21.0,
    ),
    # Dálya et al. 2022: magnitudes in B, a magnitude and more fainter than r; 3 in dist_flag is a spectrum.
    "glade_plus": Galaxies(
        mag="Bmag", to_r=-1.1, kind="dist_flag", spectroscopic=("3",), only={"object_type": ("G",)},
        depth=19.0, completeness=0.7,
    ),
    "ned_lvs": Galaxies(
        kind="redshift_technique", spectroscopic=("SPEC",), only={"object_type": ("G",)}, depth=17.0, completeness=0.6
    ),
    "desi": Galaxies(
        only={"spectral_type": ("GALAXY",), "redshift_warning": ("0",)}, depth=19.5, completeness=0.5
    ),
}  # fmt: skip


@dataclass(frozen=True)
class GalaxyCatalogues:
    """The catalogues of galaxies among those in use."""

    catalogues: dict[str, tuple[Catalogue, Galaxies]]

    @classmethod
    def among(cls, catalogues: Mapping[str, Catalogue]) -> "GalaxyCatalogues":
        """Those that a recipe of galaxies was used for."""
        known = {name: GALAXIES.get(opened.card.recipe) for name, opened in sorted(catalogues.items())}
        return cls({name: (catalogues[name], galaxies) for name, galaxies in known.items() if galaxies})

    @property
    def snapshots(self) -> dict[str, str]:
        """Snapshot by name."""
        return {name: opened.card.snapshot for name, (opened, _) in self.catalogues.items()}

    @property
    def version(self) -> str:
        """Hash of the snapshots: other galaxies are new work."""
        return hashlib.sha256(json.dumps(self.snapshots).encode()).hexdigest()[:12] if self.catalogues else "none"

    def candidates(self, ra: np.ndarray, dec: np.ndarray) -> pa.Table:
        """All galaxies near positions in degrees, shape (n,), in schema CANDIDATES.

        Raises
        ------
        StoreError
            When a catalogue's files are damaged.
        """
        parts = [CANDIDATES.empty_table()]
        for name, (opened, galaxies) in self.catalogues.items():
            parts.append(_candidates(name, opened.near(ra, dec, RADIUS), galaxies))
        return pa.concat_tables(parts)

    def depth(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Depth in r and completeness of the best catalogue at each HEALPix cell (n,) of order 29; 0 where none is."""
        depth, completeness = np.zeros(len(cells)), np.zeros(len(cells))
        best = np.zeros(len(cells))
        for opened, galaxies in self.catalogues.values():
            share = share_seen(np.array(np.nan), galaxies.depth, galaxies.completeness)
            better = opened.covers(cells) & (share > best)
            depth[better], completeness[better], best[better] = galaxies.depth, galaxies.completeness, share
        return depth, completeness


def _candidates(name: str, rows: pa.Table, galaxies: Galaxies) -> pa.Table:
    for column, values in galaxies.only.items():
        if column in rows.column_names:
            rows = rows.filter(pc.fill_null(pc.is_in(_text(rows[column]), pa.array(values)), False))
    n = rows.num_rows

    def number(column: str) -> pa.ChunkedArray | pa.Array:
        if column not in rows.column_names:
            return pa.nulls(n, pa.float64())
        return _number(rows[column])

    if galaxies.kind in rows.column_names:
        is_spectrum = pc.is_in(
            pc.utf8_lower(_text(rows[galaxies.kind])), pa.array([s.lower() for s in galaxies.spectroscopic])
        )
        kind = pc.if_else(is_spectrum, "spectroscopic", "photometric")
    else:
        kind = pa.repeat(pa.scalar("spectroscopic"), n)
    columns = {
        "row": rows["position"],
        "catalog": pa.repeat(pa.scalar(name), n),
        "catalog_id": rows["catalog_id"],
        "ra": rows["ra"],
        "dec": rows["dec"],
        "mag": pc.add(number(galaxies.mag), galaxies.to_r),
        "major": number(galaxies.major),
        "minor": number(galaxies.minor),
        "angle": number(galaxies.angle),
        "z": number(galaxies.z),
        "z_err": number(galaxies.z_err),
        "z_kind": kind,
    }
    return pa.table([_plain(columns[f.name]).cast(f.type) for f in CANDIDATES], schema=CANDIDATES)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def _number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as float64; text that is no number ("null", "--") is null."""
    if pa.types.is_string(column.type):
        text = _text(column)
        column = pc.if_else(pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"), text, None)
    return column.cast(pa.float64())


def _plain(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Nulls for NaN."""
    return pc.if_else(pc.is_finite(column), column, None) if pa.types.is_floating(column.type) else column
