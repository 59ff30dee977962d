"""The files around the data that make a folder a HATS catalogue: properties, partitions, point map, Parquet metadata.

Reference: the IVOA Note "HATS: A Standard for the Hierarchical Adaptive Tiling Scheme"
(https://www.ivoa.net/documents/Notes/HATS/).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alerce_dagster.catalogs.columns import HEALPIX, HEALPIX_ORDER

MAP_ORDER = 8

Pixel = tuple[int, int]
"""HEALPix order and cell (nested)."""


def pixel_file(pixel: Pixel) -> str:
    """Where a partition is, relative to the catalogue."""
    order, cell = pixel
    return f"dataset/Norder={order}/Dir={cell // 10_000 * 10_000}/Npix={cell}.parquet"


def partitions(histogram: np.ndarray, max_rows: int) -> list[Pixel]:
    """The coarsest cells with at most `max_rows` rows each, in the order of the sky; none for empty places.

    histogram : number of rows in every cell of one order, shape (12 * 4**order,). Its own cells are not split further.
    """
    order = (len(histogram) // 12).bit_length() // 2
    found: list[Pixel] = []
    open_ = np.ones(12, bool)
    for k in range(order + 1):
        counts = histogram.reshape(12 * 4**k, -1).sum(axis=1)
        closed = open_ & (counts > 0) & ((counts <= max_rows) | (k == order))
        found += [(k, int(cell)) for cell in np.flatnonzero(closed)]
        open_ = np.repeat(open_ & (counts > 0) & ~closed, 4)
    return sorted(found, key=lambda pixel: pixel[1] << (2 * (HEALPIX_ORDER - pixel[0])))


def write_metadata(
    folder: Path, name: str, pixels: Sequence[Pixel], footers: Sequence[pq.FileMetaData], histogram: np.ndarray,
    schema: pa.Schema, extra: Mapping[str, str],
) -> None:  # fmt: skip
    """Write everything beside the partitions.

    footers : one per pixel, with the partition's path relative to `dataset` set
    histogram : rows per cell of MAP_ORDER
    """
    from cdshealpix.skymap.skymap import SkymapImplicit

    dataset = folder / "dataset"
    pq.write_metadata(schema, dataset / "_common_metadata")
    pq.write_metadata(schema, dataset / "_metadata", list(footers))
    lines = ["Norder,Npix", *[f"{order},{cell}" for order, cell in pixels]]
    (folder / "partition_info.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    skymap = SkymapImplicit(histogram.astype(np.int64), null_value=0)
    sparse = (histogram > 0).mean() < 0.3
    for file in ("point_map.fits", "skymap.fits"):
        (skymap.to_explicit() if sparse else skymap).to_fits(str(folder / file))
    properties = {
        "obs_collection": name,
        "dataproduct_type": "object",
        "hats_nrows": sum(footer.num_rows for footer in footers),
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": HEALPIX,
        "hats_col_healpix_order": HEALPIX_ORDER,
        "hats_npix_suffix": ".parquet",
        "hats_skymap_order": MAP_ORDER,
        "hats_max_rows": max(footer.num_rows for footer in footers),
        "hats_version": "v1.0",
        "hats_builder": "alerce-dagster",
        **extra,
    }
    text = "#HATS catalog\n" + "".join(f"{key}={_escaped(str(value))}\n" for key, value in properties.items())
    for file in ("hats.properties", "properties"):
        (folder / file).write_text(text, encoding="utf-8")


def _escaped(value: str) -> str:
    """Java properties: backslashes and line ends are escaped."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
