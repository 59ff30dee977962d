"""Cones over reference catalogues: in the own API, and as the public client's catsHTM methods read them."""

import io
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from alerce_dagster.catalogs.library import Library
from alerce_dagster.storage import Stores


@pytest.fixture(scope="module")
def places(library: Library) -> list[tuple[float, float]]:
    """Where the galaxies are, two by two."""
    table = pq.read_table(library.folder / "galaxies.parquet")
    return list(zip(table["ra"].to_pylist(), table["dec"].to_pylist(), strict=True))


def test_the_list_says_what_is_there_and_whom_to_cite(client: TestClient, library: Library) -> None:
    cards = client.get("/api/v1/catalogs").json()
    assert [card["name"] for card in cards] == ["galaxies", "star"]
    assert [card["n_rows"] for card in cards] == [6, 1]
    assert cards[0]["snapshot"] == library.open("galaxies").card.snapshot
    assert "redshift" in cards[0]["columns"]


@pytest.mark.parametrize("kind", ["json", "csv", "parquet", "votable"])
def test_a_cone_holds_what_is_near_nearest_first(client: TestClient, places: list, kind: str) -> None:
    ra, dec = places[0]
    asked = {"ra": ra, "dec": dec, "radius": 3, "format": kind}
    answer = client.get("/api/v1/catalogs/galaxies/cone", params=asked)
    assert answer.status_code == 200
    if kind == "json":
        rows = answer.json()
        ids, separations = [row["catalog_id"] for row in rows], [row["separation"] for row in rows]
    else:
        from astropy.table import Table

        reads = {"csv": "ascii.csv", "votable": "votable"}
        table = (
            pq.read_table(io.BytesIO(answer.content)).to_pandas()
            if kind == "parquet"
            else Table.read(io.BytesIO(answer.content), format=reads[kind])
        )
        ids, separations = [str(i) for i in table["catalog_id"]], [float(s) for s in table["separation"]]
    assert ids == [str(2**60), str(2**60 + 1)]
    assert separations == pytest.approx([0.0, 1.5], abs=1e-3)


def test_nothing_near_and_no_such_catalogue(client: TestClient) -> None:
    place = {"ra": 200.0, "dec": 80.0, "radius": 1}
    assert client.get("/api/v1/catalogs/star/cone", params=place).json() == []
    for path in ("/api/v1/catalogs/none/cone", "/catshtm/conesearch"):
        answer = client.get(path, params=place | ({"catalog": "none"} if "catshtm" in path else {}))
        assert answer.status_code == 404
        assert "galaxies, star" in answer.json()["detail"]
    too_far = client.get("/api/v1/catalogs/star/cone", params=place | {"radius": 36_000})
    assert too_far.status_code == 400
    assert "radius" in too_far.json()["errors"]


def test_an_objects_nearest_sources(client: TestClient, written: Stores, places: list) -> None:
    near = {"ra": places[0][0], "dec": places[0][1], "radius": 5}
    oid = client.get("/api/v1/objects", params=near).json()["items"][0]["oid"]
    galaxies, star = client.get("/crossmatch_api/crossmatch", params={"oid": oid}).json()
    assert galaxies["galaxies"]["catalog_id"]["value"] == str(2**60)
    assert galaxies["galaxies"]["separation"]["unit"] == "arcsec"
    assert star == {"star": {}}


def test_the_public_clients_catshtm_methods(served_web: str, places: list) -> None:
    from alerce.core import Alerce

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        public = Alerce(CATSHTM_API_URL=f"{served_web}/catshtm")
        ra, dec = places[0]
        one = public.catshtm_conesearch(ra, dec, 3, "galaxies", "votable")
        every = public.catshtm_conesearch(ra, dec, 3, "all", "pandas")
        nearest = public.catshtm_crossmatch(ra, dec, 3, "galaxies", "pandas")
        nearest_of_all = public.catshtm_crossmatch(ra, dec, 3, "all", "votable")
        redshift = public.catshtm_redshift(ra, dec, 3)
        nowhere = public.catshtm_conesearch(200.0, 80.0, 1, "star")
        without = public.catshtm_redshift(200.0, 80.0, 1)
    assert list(one["catalog_id"]) == [str(2**60), str(2**60 + 1)]
    assert str(one["separation"].unit) == "arcsec"
    np.testing.assert_allclose(one["z"], [0.01, 0.02])
    assert list(every) == ["galaxies"]
    assert len(every["galaxies"]) == 2
    assert nearest["catalog_id"] == str(2**60)
    assert nearest["cat_name"] == "catsHTM_galaxies"
    assert set(nearest_of_all) == {"galaxies"}
    assert redshift == pytest.approx(0.01)
    assert nowhere is None
    assert without is None
