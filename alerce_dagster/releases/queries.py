"""Looking things up in the products: by place, and by the release's identifier.

Products lie at FOLDER/RELEASE/FIELD/PRODUCT. Each has an index mapped into memory, so that a cone opens only the
partitions that it touches.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import dataset

from alerce_dagster.catalogs.catalogue import open_catalogue
from alerce_dagster.catalogs.columns import HEALPIX, HEALPIX_ORDER, healpix_cells
from alerce_dagster.releases.archive import partitions_of

_FIELD_UNIT = 10**12
"""IRSA's objectid is the field, followed by twelve digits: filter, CCD, quadrant and a number."""


@dataclass(frozen=True)
class Releases:
    """The products below a folder."""

    folder: Path

    def releases(self) -> list[str]:
        """Names of the releases, newest (highest number) first."""
        found = {place.parts[-3] for place in self.folder.glob("*/*/lightcurves")}
        return sorted(found, key=lambda name: (int("".join(filter(str.isdigit, name)) or 0), name), reverse=True)

    def cone(self, ra: float, dec: float, radius: float, product: str, release: str | None = None) -> pa.Table | None:
        """All rows of a product within `radius` arcsec of a position in degrees, with `separation` (arcsec), nearest
        first; of one release, by default the newest. None where the release has none of the product.

        Light curves of one source in several fields, channels and filters are rows with one `source_id` within a field,
        and lie together across fields.

        Raises
        ------
        StoreError
            When the product is damaged.
        """
        parts = []
        for place in self._places(product, release):
            near = open_catalogue(place).near(np.array([ra]), np.array([dec]), radius)
            if near.num_rows:
                cells = healpix_cells(near["ra"].to_numpy(), near["dec"].to_numpy())
                rows = _rows(place, near["catalog_id"].cast(pa.int64()).to_pylist(), cells)
                separation = dict(zip(near["catalog_id"].to_pylist(), near["separation"].to_pylist(), strict=True))
                away = [separation[str(identifier)] for identifier in rows["id"].to_pylist()]
                parts.append(rows.append_column("separation", pa.array(away, pa.float64())))
        if not parts:
            return None
        return pa.concat_tables(parts).sort_by([("separation", "ascending"), ("id", "ascending")])

    def by_id(self, objectids: list[int], product: str, release: str | None = None) -> pa.Table | None:
        """The rows of a product with these identifiers, or None where there is none; errors as for `cone`."""
        parts = []
        fields = {identifier // _FIELD_UNIT for identifier in objectids}
        for place in self._places(product, release):
            name = place.parent.name
            if not name.isdigit() or int(name) in fields:
                rows = _rows(place, objectids, None)
                if rows.num_rows:
                    parts.append(rows)
        return pa.concat_tables(parts) if parts else None

    def _places(self, product: str, release: str | None) -> list[Path]:
        known = self.releases()
        if release not in known and (release is not None or not known):
            return []
        return sorted(place for place in (self.folder / (release or known[0])).glob(f"*/{product}") if place.is_dir())


def _rows(place: Path, identifiers: list[int], cells: np.ndarray | None) -> pa.Table:
    """Rows with the identifiers, from the partitions that hold the cells (of order 29), or from all."""
    files = partitions_of(place)
    if cells is not None:
        files = [file for file in files if _holds(file, cells)]
    wanted = dataset.field("id").isin(identifiers)
    if cells is not None:
        wanted = (dataset.field(HEALPIX) >= int(cells.min())) & (dataset.field(HEALPIX) <= int(cells.max())) & wanted
    return dataset.dataset(files, format="parquet").to_table(filter=wanted)


def _holds(file: str, cells: np.ndarray) -> bool:
    order, _, cell = Path(file).parts[-3:]
    shift = 2 * (HEALPIX_ORDER - int(order.removeprefix("Norder=")))
    return bool((cells >> shift == int(cell.removeprefix("Npix=").removesuffix(".parquet"))).any())
