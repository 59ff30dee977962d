"""The public `alerce` client works against this server by its configuration file alone."""

import io
import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import fastavro
import pytest

from alerce_dagster.storage import Stores

# In a process of its own: the client reads its configuration when it is imported.
_SESSION = """
import io, json, sys
import numpy as np
from alerce.core import Alerce
from alerce.exceptions import ObjectNotFoundError, ParseError

client = Alerce()
out = {}
table = client.query_objects(survey="ztf", format="pandas", page_size=500, count="true")
out["columns"] = list(table.columns)
out["oids"] = table.oid.tolist()
page = client.query_objects(survey="ztf", format="json", page_size=500, count="true")
out["total"], out["n_items"] = page["total"], len(page["items"])
first = client.query_objects(survey="ztf", format="json", classifier="stamp_classifier", class_name="SN",
                             probability=0.1, page_size=5, order_by="probability", order_mode="DESC")
out["classes"] = [[item["class"], item["probability"]] for item in first["items"]]
busiest = client.query_objects(survey="ztf", format="pandas", order_by="ndet", order_mode="DESC", page_size=1)
oid = busiest.oid[0]
out["oid"], out["ndet"] = oid, int(busiest.ndet[0])
whole = client.query_object(oid, survey="ztf")
near = client.query_objects(survey="ztf", ra=whole["meanra"], dec=whole["meandec"], radius=2)
out["near"] = near.oid.tolist()
out["object_ndet"] = whole["ndet"]
curve = client.query_lightcurve(oid, survey="ztf")
out["lightcurve"] = {name: len(rows) for name, rows in curve.items()}
out["detections"] = len(client.query_detections(oid, survey="ztf", format="pandas", sort="mjd"))
out["non_detections"] = len(client.query_non_detections(oid, survey="ztf", format="pandas"))
forced = client.query_forced_photometry(oid, survey="ztf", format="pandas")
out["forced"] = [len(forced), list(forced.columns), len(client.query_forced_photometry(oid, survey="ztf"))]
out["magstats"] = client.query_magstats(oid, survey="ztf")
out["probabilities"] = client.query_probabilities(oid, survey="ztf")
out["features"] = client.query_features(oid, survey="ztf")
out["classifiers"] = client.query_classifiers()
name, version = out["classifiers"][0]["classifier_name"], out["classifiers"][0]["classifier_version"]
out["class_list"] = client.query_classes(name, version)
out["votable_rows"] = len(client.query_detections(oid, survey="ztf", format="votable"))
out["csv_rows"] = len(client.query_detections(oid, survey="ztf", format="csv").splitlines()) - 1
stamped = next(row for row in curve["detections"] if row["has_stamp"])
out["candid"] = stamped["candid"]
stamps = client.get_stamps(oid, int(stamped["candid"]), survey="ztf")
out["stamps"] = [list(hdu.data.shape) for hdu in stamps]
out["default_stamps"] = len(client.get_stamps(oid, survey="ztf", format="numpy"))
out["avro"] = client.get_avro(oid, int(stamped["candid"])).hex()
for question, expected in ((lambda: client.query_object("ZTF00nothere", survey="ztf"), ObjectNotFoundError),
                           (lambda: client.query_objects(survey="ztf", ra=400, dec=0), ParseError)):
    try:
        question()
    except expected as error:
        out[expected.__name__] = str(error)
json.dump(out, sys.stdout)
"""


@pytest.fixture(scope="module")
def said(served_web: str, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the client was told in one session."""
    config = json.loads((resources.files("alerce") / "default_config.json").read_text())
    config["ztf"]["ZTF_API_URL"] = served_web
    config["stamps_ztf"]["AVRO_URL"] = served_web
    file = tmp_path_factory.mktemp("client") / "config.json"
    file.write_text(json.dumps(config))
    environment = os.environ | {"ALERCE_CONFIG_PATH": str(file), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", _SESSION], env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_lists(said: dict) -> None:
    expected = (
        "oid ndethist ncovhist mjdstarthist mjdendhist corrected stellar ndet g_r_max g_r_max_corr g_r_mean "
        "g_r_mean_corr firstmjd lastmjd deltajd meanra meandec sigmara sigmadec class classifier probability "
        "step_id_corr"
    )
    assert set(said["columns"]) == set(expected.split())
    assert said["total"] == said["n_items"] == len(set(said["oids"]))
    assert said["classes"]
    assert all(name == "SN" and probability >= 0.1 for name, probability in said["classes"])
    assert said["classes"] == sorted(said["classes"], key=lambda item: -item[1])
    assert said["oid"] in said["near"]


def test_light_curves(said: dict) -> None:
    assert said["lightcurve"] == {"detections": said["detections"], "non_detections": said["non_detections"]}
    assert said["detections"] == said["ndet"] == said["object_ndet"] == said["votable_rows"] == said["csv_rows"]
    rows, columns, as_json = said["forced"]
    assert rows == as_json
    assert rows == 0 or {"pid", "mjd", "fid", "mag", "e_mag", "procstatus"} <= set(columns)


def test_statistics_and_classes(said: dict) -> None:
    assert sum(row["ndet"] for row in said["magstats"]) == said["ndet"]
    assert {row["fid"] for row in said["magstats"]} <= {1, 2, 3}
    answered = {row["classifier_name"] for row in said["probabilities"]}
    assert "stamp_classifier" in answered
    assert answered <= {row["classifier_name"] for row in said["classifiers"]}
    for known in said["classifiers"]:
        rows = [row for row in said["probabilities"] if row["classifier_name"] == known["classifier_name"]]
        assert [row["ranking"] for row in rows] == list(range(1, len(rows) + 1))
        assert {row["class_name"] for row in rows} in (set(), set(known["classes"]))
        assert not rows or sum(row["probability"] for row in rows) == pytest.approx(1, abs=1e-4)
    assert [row["name"] for row in said["class_list"]] == said["classifiers"][0]["classes"]
    assert all(set(row) == {"name", "value", "fid", "version"} for row in said["features"])


def test_stamps_and_packets(said: dict, written: Stores) -> None:
    assert said["stamps"] == [[63, 63]] * 3
    assert said["default_stamps"] == 3
    packet = next(iter(fastavro.reader(io.BytesIO(bytes.fromhex(said["avro"])))))
    assert (packet["objectId"], str(packet["candid"])) == (said["oid"], said["candid"])


def test_errors_are_those_the_client_knows(said: dict) -> None:
    assert "no object ZTF00nothere is stored" in said["ObjectNotFoundError"]
    assert "ra" in said["ParseError"]


def test_the_packet_is_the_one_that_came(said: dict, sky: Path) -> None:
    import tarfile

    packet = bytes.fromhex(said["avro"])
    came = []
    for place in sky.glob("*.tar.gz"):
        with tarfile.open(place) as archive:
            came += [archive.extractfile(member).read() for member in archive if member.isfile()]
    assert packet in came
