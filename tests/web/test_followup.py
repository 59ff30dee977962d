"""What follow-up needs of an object: observability, finder chart; on both databases, and with a real image service."""

import io
import xml.etree.ElementTree as ET
from datetime import date

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from typer.testing import CliRunner

from alerce_dagster.cli import app
from alerce_dagster.reporting.sites import site, sites
from alerce_dagster.reporting.visibility import night_of, visibility
from alerce_dagster.web import finder
from tests.reporting.sky_server import sky_server


@pytest.fixture(scope="module")
def target(client: TestClient) -> dict:
    """The object with the most detections."""
    answer = client.get("/api/v1/objects", params={"order_by": "n_det", "page_size": 1})
    return answer.json()["items"][0]


@pytest.fixture(autouse=True)
def _without_catalogues(home) -> None:
    finder._opened.cache_clear()


def test_visibility_is_that_of_the_table(client: TestClient, target: dict) -> None:
    path = f"/api/v1/objects/{target['oid']}/visibility"
    answer = client.get(path, params={"site": "la_silla", "date": "2024-03-02"}).json()
    night = night_of(site("la_silla"), date(2024, 3, 2))
    [row] = visibility([target["oid"]], [target["ra"]], [target["dec"]], night).to_pylist()
    assert answer["object"] == row
    assert answer["night"]["evening"] == "2024-03-02"
    assert answer["night"]["dusk"] == night.dusk
    assert answer["night"]["site"]["key"] == "la_silla"
    drawn = answer["curve"]
    assert len(drawn["mjd"]) == len(drawn["airmass"]) == 145
    assert all(value is None or value >= 1 for value in drawn["airmass"])


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"site": "atlantis"}, 400, "no site is called"),
        ({"site": "la_silla", "date": "yesterday"}, 400, "date"),
        ({"date": "1066-10-14"}, 400, "date"),
        ({"telescope": "ntt"}, 400, "is not a parameter here"),
    ],
)
def test_what_is_refused(client: TestClient, target: dict, asked: dict, status: int, said: str) -> None:
    answer = client.get(f"/api/v1/objects/{target['oid']}/visibility", params=asked)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("what", ["visibility", "finder", "voevent", "gcn"])
def test_an_object_that_is_not_stored(client: TestClient, what: str) -> None:
    assert client.get(f"/api/v1/objects/ZTF00nothing/{what}").status_code == 404


def test_the_panel_and_its_sites(client: TestClient, target: dict) -> None:
    page = client.get(f"/objects/{target['oid']}").text
    assert f'data-oid="{target["oid"]}"' in page
    assert f"/api/v1/objects/{target['oid']}/finder?format=pdf" in page
    assert {row["key"] for row in client.get("/api/v1/sites").json()} == set(sites())
    for key in ("paranal", "palomar", "siding_spring"):
        answer = client.get(f"/objects/{target['oid']}/visibility", params={"site": key})
        assert answer.status_code == 200
        assert f'value="{key}" selected' in answer.text


def test_notices_of_an_object(client: TestClient, target: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    oid = target["oid"]
    alert = client.get(f"/api/v1/objects/{oid}/provenance").json()[-1]
    made = client.get(f"/api/v1/objects/{oid}/gcn").json()
    assert (made["event_name"], made["id"]) == (oid, [str(alert["candid"])])
    assert (made["ra"], made["dec"]) == (target["ra"], target["dec"])
    assert made["data_archive_page"].endswith(f"/objects/{oid}")
    answer = client.get(f"/api/v1/objects/{oid}/voevent")
    assert answer.headers["content-type"] == "application/xml"
    packet = ET.fromstring(answer.content)
    assert packet.get("ivorn") == f"ivo://alerce/ztf#{oid}-{alert['candid']}"
    told = {node.findtext("Concept"): float(node.get("probability", "nan")) for node in packet.iter("Inference")}
    assert told == pytest.approx(made["classification"], abs=1e-4)
    monkeypatch.setenv("ALERCE_WEB_URL", "https://broker.example.org")
    made = client.get(f"/api/v1/objects/{oid}/gcn").json()
    assert made["data_archive_page"] == f"https://broker.example.org/objects/{oid}"


def test_a_chart_from_the_archived_cutouts(client: TestClient, target: dict) -> None:
    path = f"/api/v1/objects/{target['oid']}/finder"
    answer = client.get(path)
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (1210, 792)
    pdf = client.get(path, params={"format": "pdf"})
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF")
    assert client.get(path, params={"format": "svg"}).status_code == 400


def test_neighbours_come_from_the_local_catalogues(target: dict, tmp_path) -> None:
    stars = tmp_path / "stars.csv"
    north = target["dec"] + 12 / 3600
    stars.write_text(
        f"id,ra,dec,mag\nS1,{target['ra']!r},{north!r},15.25\nfar,{target['ra']!r},{target['dec'] + 1},9\n"
    )
    said = CliRunner().invoke(app, ["catalog", "add", "stars", str(stars)])
    assert said.exit_code == 0, said.output
    [found] = finder._neighbours(target["ra"], target["dec"], 31.0)
    assert (found.catalog, found.identifier) == ("stars", "S1")
    assert (found.east, found.north) == pytest.approx((0, 12), abs=0.01)


def test_a_chart_on_an_image_of_the_sky(client: TestClient, target: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """And, when the service fails, the archived cutouts again."""
    path = f"/api/v1/objects/{target['oid']}/finder"
    own = client.get(path).content
    with sky_server(star=(target["ra"], target["dec"])) as served:
        monkeypatch.setenv("ALERCE_SKY_IMAGES", served.url)
        sky = client.get(path, params={"size": 240})
        served.answers.append(500)
        again = client.get(path)
    assert float(served.asked[0]["fov"]) == pytest.approx(240 / 3600)
    assert float(served.asked[0]["ra"]) == pytest.approx(target["ra"])
    shown, cutout, fallen_back = (
        np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)[100:750, 50:690]
        for data in (sky.content, own, again.content)
    )
    assert np.abs(shown - cutout).mean() > 5
    assert np.abs(fallen_back - cutout).mean() == 0
