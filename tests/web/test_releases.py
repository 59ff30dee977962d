"""Data-release light curves over the API: ALeRCE's route, our own, and the overlay of an object."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect

from alerce_dagster.releases.pipeline import process
from alerce_dagster.simulation.channels import Sky, simulate_channel
from alerce_dagster.web.app import create_app
from tests.web.conftest import running


@pytest.fixture(scope="module")
def client(access, tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("releases")
    pq.write_table(simulate_channel(Sky(n_objects=200, n_exposures=40)).table, folder / "channel.parquet")
    process([folder / "channel.parquet"], folder / "made" / "dr5" / "000600")
    with TestClient(create_app(replace(access, releases=folder / "made"))) as opened:
        yield opened


@pytest.fixture
def row(client):
    found = client.get("/ztf/dr/v1/light_curve/", params={"ra": 150.0, "dec": 2.0, "radius": 60}).json()
    return found[0] if found else client.get("/ztf/dr/v1/light_curve/?ra=150&dec=2.01&radius=60").json()[0]


def test_as_alerce_serves_them(client) -> None:
    for dec in (1.9, 1.95, 2.0, 2.05, 2.1):
        found = client.get("/ztf/dr/v1/light_curve/", params={"ra": 150.0, "dec": dec, "radius": 60}).json()
        for row in found:
            assert set(row) == {
                *("_id", "filterid", "fieldid", "nepochs", "objra", "objdec", "rcid", "hmjd", "mag", "magerr")
            }
            assert len(row["hmjd"]) == len(row["mag"]) == len(row["magerr"]) == row["nepochs"]
            near = client.get("/ztf/dr/v1/light_curve", params={"ra": row["objra"], "dec": row["objdec"]}).json()
            assert row["_id"] in [other["_id"] for other in near]
    assert client.get("/ztf/dr/v1/light_curve/?ra=10&dec=10").json() == []


def test_recalibrated_with_answers(client, row) -> None:
    found = client.get("/api/v1/releases/light_curves", params={"ra": row["objra"], "dec": row["objdec"]}).json()
    item = next(item for item in found["items"] if item["id"] == str(row["_id"]))
    assert len(item["mag"]) == len(item["usable"]) == row["nepochs"]
    assert (item["probability"] is None) == (item["reason"] is not None)


def test_an_objects_overlay(client) -> None:
    oid = client.get("/ztf/v1/objects?page_size=1").json()["items"][0]["oid"]
    assert client.get(f"/api/v1/objects/{oid}/release").json() == {"items": []}
    assert client.get("/api/v1/objects/ZTF00nothing/release").status_code == 404


def test_epochs_of_a_release_are_drawn_among_the_object_s_own(
    access, browser: Browser, tmp_path: Path, client: TestClient
) -> None:
    """A channel one of whose constant stars is moved to the place of an object that has alerts."""
    item = client.get("/ztf/v1/objects?page_size=1&order_by=ndet").json()["items"][0]
    table = simulate_channel(Sky(n_objects=200, n_exposures=40)).table
    for name, value in (("objra", item["meanra"]), ("objdec", item["meandec"])):
        values = [value, *table[name].to_pylist()[1:]]
        table = table.set_column(
            table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type)
        )
    pq.write_table(table, tmp_path / "channel.parquet")
    process([tmp_path / "channel.parquet"], tmp_path / "made" / "dr5" / "000600")
    with running(replace(access, releases=tmp_path / "made")) as url:
        page = browser.new_page()
        page.goto(f"{url}/objects/{item['oid']}")
        page.check("[name=release]")
        expect(page.locator("#release")).to_contain_text("Data release, recalibrated")
        expect(page.locator("[name=quantity][value=apparent]")).to_be_checked()
        [light_curve] = page.request.get(f"{url}/api/v1/objects/{item['oid']}/release").json()["items"]
        assert sum(light_curve["usable"]) > 0
        expect(page.locator("#plot .release")).to_have_count(sum(light_curve["usable"]))
        page.check("[name=quantity][value=difference]")
        expect(page.locator("#plot .release")).to_have_count(0)
        page.close()


@pytest.mark.parametrize("query", ["", "?ra=10", "?ra=10&dec=100", "?ra=10&dec=1&radius=0", "?ra=10&dec=1&radius=1e9"])
def test_what_makes_no_sense_is_refused(client, query: str) -> None:
    answer = client.get(f"/ztf/dr/v1/light_curve/{query}")
    assert answer.status_code == 400
    assert answer.json()["detail"]
