"""Cone searches agree with brute force everywhere on the sky."""

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.coordinates import SkyCoord

from alerce_dagster.errors import InputError
from alerce_dagster.storage import Stores, queries, tables
from alerce_dagster.storage.database import REPLACE


def fill(stores: Stores, ra: np.ndarray, dec: np.ndarray) -> None:
    n = len(ra)
    rows = pa.table(
        {
            "survey": ["ztf"] * n, "oid": [f"o{i}" for i in range(n)], "ra": ra, "dec": dec,
            "healpix": queries.healpix_cells(ra, dec),
        }
    )  # fmt: skip
    with stores.database.writing() as connection:
        stores.database.write(connection, tables.object_, rows, REPLACE)


CENTRES = [(0.0, 0.0), (359.9999, 0.0), (120.0, 89.999), (10.0, -90.0), (45.0, 41.8103), (180.0, -33.3)]


@pytest.mark.parametrize("radius", [1.5, 60.0, 3600.0])
def test_cone_equals_brute_force(stores: Stores, radius: float) -> None:
    """Around the poles, at RA 0 and at the corners of HEALPix cells, astropy's separations decide."""
    random = np.random.default_rng(3)
    ra, dec = [], []
    for ra0, dec0 in CENTRES:
        centre = SkyCoord(ra0, dec0, unit="deg")
        around = centre.directional_offset_by(
            random.uniform(0, 360, 60) * units.deg, random.uniform(0, 2 * radius, 60) * units.arcsec
        )
        ra.append(around.ra.deg % 360)
        dec.append(around.dec.deg)
    ra, dec = np.concatenate(ra), np.concatenate(dec)
    fill(stores, ra, dec)
    sky = SkyCoord(ra, dec, unit="deg")
    with stores.database.reading() as connection:
        for ra0, dec0 in CENTRES:
            separation = sky.separation(SkyCoord(ra0, dec0, unit="deg")).arcsec
            expected = {f"o{i}" for i in np.flatnonzero(separation <= radius)}
            found = queries.cone(connection, ra0, dec0, radius)
            assert {row["oid"] for row in found} == expected
            assert len(expected) > 5
            assert [row["separation"] for row in found] == sorted(row["separation"] for row in found)


@pytest.mark.parametrize("cone", [(-1, 0, 1), (0, 91, 1), (0, 0, 0), (float("nan"), 0, 1), (0, 0, 1e9)])
def test_cones_off_the_sky_are_refused(stores: Stores, cone: tuple[float, float, float]) -> None:
    with stores.database.reading() as connection, pytest.raises(InputError, match="a cone needs"):
        queries.cone(connection, *cone)
