"""ALeRCE's multisurvey API: for ZTF it says what the other APIs say; for LSST the public client reads it."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from alerce_dagster.storage import Stores, queries, schema, tables
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import APPEND, Database
from alerce_dagster.web.access import Access
from tests.web.conftest import running

ZTF = {"survey_id": "ztf"}


@pytest.fixture(scope="module")
def busiest(client: TestClient) -> dict:
    """The object with the most detections, as the own API has it."""
    listed = client.get("/api/v1/objects", params={"order_by": "n_det", "page_size": 1}).json()
    return listed["items"][0]


def test_lists_are_those_of_the_other_apis(client: TestClient) -> None:
    asked = {"class_name": "SN", "classifier": "stamp_classifier", "page_size": 500}
    ours = client.get("/api/v1/objects", params=asked).json()["items"]
    theirs = client.get("/object_api/list_objects", params=asked | {"survey": "ztf", "count": "true"}).json()
    assert [item["oid"] for item in theirs["items"]] == [item["oid"] for item in ours]
    assert [item["probability"] for item in theirs["items"]] == [item["probability"] for item in ours]
    assert theirs["total"] == len(ours)
    assert (theirs["current_page"], theirs["has_next"], theirs["has_prev"]) == (1, False, False)
    pages = [
        client.get("/object_api/list_objects", params={"survey": "ztf", "page": page, "page_size": 7}).json()
        for page in (1, 2)
    ]
    assert pages[0]["next"] == 2
    assert pages[1]["prev"] == 1
    assert not {i["oid"] for i in pages[0]["items"]} & {i["oid"] for i in pages[1]["items"]}


def test_an_object_and_its_light_curve(client: TestClient, busiest: dict) -> None:
    oid = busiest["oid"]
    item = client.get("/object_api/object", params=ZTF | {"oid": oid, "return_survey_extra": True}).json()
    assert (item["meanra"], item["n_det"], item["stellar"]) == (busiest["ra"], busiest["n_det"], busiest["stellar"])
    curve = client.get("/lightcurve_api/lightcurve", params=ZTF | {"oid": oid}).json()
    ours = client.get(f"/api/v1/objects/{oid}/detections").json()
    assert [row["mag"] for row in curve["detections"]] == [row["mag"] for row in ours]
    assert [str(row["measurement_id"]) for row in curve["detections"]] == [row["candid"] for row in ours]
    assert [row["band_map"][str(row["band"])] for row in curve["detections"]] == [row["band"] for row in ours]
    for name, part in (("detections", "detections"), ("non_detections", "non_detections"),
                       ("forced-photometry", "forced_photometry")):  # fmt: skip
        assert client.get(f"/lightcurve_api/{name}", params=ZTF | {"oid": oid}).json() == curve[part]
    other = client.get("/object_api/list_objects", params={"survey": "ztf", "page_size": 2}).json()["items"]
    two = [row["oid"] for row in other]
    both = client.get("/lightcurve_api/detections", params=ZTF | {"oid": two}).json()
    assert {row["oid"] for row in both} == set(two)
    stats = client.get("/magstat_api/magstats", params=ZTF | {"oid": oid}).json()
    assert sum(row["ndet"] for row in stats) == len(ours)


def test_cones_and_probabilities(client: TestClient, busiest: dict) -> None:
    oid = busiest["oid"]
    near = client.get("/lightcurve_api/conesearch/objects_by_oid", params=ZTF | {"oid": oid, "radius": 36000}).json()
    assert near[0]["oid"] == oid
    assert near[0]["separation"] == pytest.approx(0, abs=1e-3)
    place = ZTF | {"ra": busiest["ra"], "dec": busiest["dec"], "radius": 36000}
    assert client.get("/lightcurve_api/conesearch/objects_by_coordinates", params=place).json() == near
    curves = client.get("/lightcurve_api/conesearch/lightcurve_by_oid", params=ZTF | {"oid": oid}).json()
    assert oid in {row["oid"] for row in curves["detections"]}
    rows = client.get("/probability_api/probability", params=ZTF | {"oid": oid}).json()
    legacy = client.get(f"/ztf/v1/objects/{oid}/probabilities").json()
    assert [row["probability"] for row in rows] == [row["probability"] for row in legacy]
    known = client.get("/classifier_api/classifiers").json()
    assert known == client.get("/ztf/v1/classifiers").json()


def test_stamps_and_packets(client: TestClient, busiest: dict) -> None:
    oid = busiest["oid"]
    rows = client.get("/lightcurve_api/detections", params=ZTF | {"oid": oid}).json()
    alert = next(row for row in rows if row["has_stamp"])["measurement_id"]
    asked = ZTF | {"oid": oid, "measurement_id": alert, "stamp_type": "cutoutDifference"}
    assert client.get("/stamps_api/stamp", params=asked).content[:2] == b"\x1f\x8b"
    assert client.get("/stamps_api/stamp", params=asked | {"file_format": "png"}).content[1:4] == b"PNG"
    for path in ("/stamps_api/avro", "/stamps_api/get_avro"):
        answer = client.get(path, params={"measurement_id": alert})
        assert next(fastavro.reader(io.BytesIO(answer.content)))["candid"] == alert


@pytest.mark.parametrize(
    ("path", "parameters", "status"),
    [
        ("/object_api/list_objects", {}, 400),
        ("/object_api/list_objects", {"survey": "atlas"}, 400),
        ("/object_api/list_objects", {"survey": "ztf", "order_by": "1; DROP TABLE object"}, 400),
        ("/object_api/object", {"survey_id": "lsst", "oid": 2**70}, 404),
        ("/lightcurve_api/lightcurve", {"survey_id": "lsst", "oid": "1"}, 404),
        ("/lightcurve_api/lightcurve", {"survey_id": "ztf", "oid": [f"ZTF{i}" for i in range(51)]}, 400),
        ("/stamps_api/avro", {"measurement_id": 1}, 404),
        ("/stamps_api/stamp", {"measurement_id": 1, "survey_id": "lsst"}, 404),
    ],
)  # fmt: skip
def test_faults_have_reasons(client: TestClient, path: str, parameters: dict, status: int) -> None:
    answer = client.get(path, params=parameters)
    assert answer.status_code == status
    assert answer.json()["detail"]


OIDS = [170_032_915_988_086_813, 170_032_915_988_086_814]  # of 64 bits, as LSST's are
_SESSION = """
import json, sys
from alerce.core import Alerce
client, oid, out = Alerce(), int(sys.argv[1]), {}
out["objects"] = client.query_objects(survey="lsst", format="json", page_size=5)
out["classes"] = client.query_objects(survey="lsst", format="pandas", class_name="SNIa", probability=0.5).oid.tolist()
out["object"] = client.query_object(survey="lsst", oid=oid)
out["curve"] = client.query_lightcurve(oid, survey="lsst")
out["detections"] = client.query_detections(oid, survey="lsst", format="pandas", sort="mjd").mjd.tolist()
out["non_detections"] = client.query_non_detections(oid, survey="lsst")
out["forced"] = client.query_forced_photometry(oid, survey="lsst", format="json")
out["probabilities"] = client.query_probabilities(oid, survey="lsst")
json.dump(out, sys.stdout)
"""


@pytest.fixture(scope="module")
def lsst_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over two objects of LSST, put into the tables by hand."""
    folder = tmp_path_factory.mktemp("lsst")
    database = Database(f"sqlite:///{folder / 'alerce.db'}")
    schema.upgrade(database)
    oids, mjds = [str(oid) for oid in OIDS], [61000.25, 61001.25, 61003.25]
    ra, dec = np.array([10.0, 20.0]), np.array([-5.0, -5.0])
    answer = {"SNIa": 0.9, "SNII": 0.1}
    rows = {
        tables.object_: {
            "oid": oids, "ra": ra, "dec": dec, "n_det": [3, 3], "n_forced": [1, 0], "n_non_det": [1, 0],
            "first_mjd": [mjds[0]] * 2, "last_mjd": [mjds[-1]] * 2, "healpix": queries.healpix_cells(ra, dec),
        },
        tables.object_class: {
            "oid": oids[:1], "classifier": ["light_curve_classifier"], "class_name": ["SNIa"], "probability": [0.9],
            "probabilities": [json.dumps(answer)], "n_alerts": [1], "model": ["a" * 64],
        },
        tables.detection: {
            "oid": [oid for oid in oids for _ in mjds], "candid": [2**61 + k for k in range(6)], "mjd": mjds * 2,
            "band": ["g", "y", "u"] * 2, "mag": [24.1] * 6, "has_stamp": [True] * 6, "positive": [True] * 6,
        },
        tables.non_detection: {"oid": oids[:1], "band": ["i"], "mjd": [60999.0], "mag_limit": [25.0]},
        tables.forced_photometry: {
            "oid": oids[:1], "image_id": [7], "mjd": [60999.0], "band": ["z"], "flux": [-3.0], "flux_err": [2.0]
        },
    }  # fmt: skip
    with database.writing() as connection:
        for table, columns in rows.items():
            n = len(columns["oid"])
            database.write(connection, table, pa.table({"survey": ["lsst"] * n, **columns}), APPEND)
    reader = Database(f"sqlite:///{folder / 'alerce.db'}", seconds_per_query=10)
    with running(Access(Stores(reader, Archive(str(folder / "archive"))), database)) as url:
        yield url


def test_the_public_client_reads_lsst(lsst_web: str, tmp_path: Path) -> None:
    config = json.loads((resources.files("alerce") / "default_config.json").read_text())
    config["multisurvey"]["URL_MS"] = f"{lsst_web}/"
    config["stamps"]["STAMP_URL"] = f"{lsst_web}/stamps_api"
    (tmp_path / "config.json").write_text(json.dumps(config))
    environment = os.environ | {"ALERCE_CONFIG_PATH": str(tmp_path / "config.json"), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", _SESSION, str(OIDS[0])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {row["oid"] for row in said["objects"]} == set(OIDS)
    assert said["classes"] == OIDS[:1]
    assert (said["object"]["oid"], said["object"]["n_det"], said["object"]["meanra"]) == (OIDS[0], 3, 10.0)
    assert {name: len(rows) for name, rows in said["curve"].items()} == {
        "detections": 3, "non_detections": 1, "forced_photometry": 1
    }  # fmt: skip
    assert [row["band_name"] for row in said["curve"]["detections"]] == ["g", "y", "u"]
    assert [row["measurement_id"] for row in said["curve"]["detections"]] == [2**61, 2**61 + 1, 2**61 + 2]
    assert said["detections"] == [61000.25, 61001.25, 61003.25]
    assert [row["band_name"] for row in said["non_detections"]] == ["i"]
    assert [(row["band_name"], row["flux"]) for row in said["forced"]] == [("z", -3.0)]
    assert {row["class_name"]: row["probability"] for row in said["probabilities"]} == {"SNIa": 0.9, "SNII": 0.1}
