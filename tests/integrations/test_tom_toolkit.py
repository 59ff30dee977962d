"""A real TOM against this server: TOM Toolkit's own ALeRCE modules, unchanged, and our data service.

TOM Toolkit asks for other versions of astropy and NumPy than the broker, so it runs in an environment of its own
(`tests.packages`), made from the package index the first time.
"""

import json
import os
import subprocess
from importlib import resources
from pathlib import Path

import pytest
import sqlalchemy as sa

from alerce_dagster.storage import Stores, queries, tables
from tests.packages import environment
from tests.web.conftest import running

pytestmark = pytest.mark.parametrize("written", ["sqlite"], indirect=True, scope="session")
HERE = Path(__file__).parent
OURS = HERE.parent.parent / "integrations" / "tom_alerce_dagster"


@pytest.fixture(scope="module")
def tom() -> Path:
    """The Python of an environment with TOM Toolkit in it."""
    lines = (HERE / "tom-requirements.txt").read_text().splitlines()
    return environment("tom", [line for line in lines if line and not line.startswith("#")]) / "bin" / "python"


@pytest.fixture(scope="module")
def found(tom: Path, access, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a session of the TOM found."""
    folder = tmp_path_factory.mktemp("tom")
    with running(access) as broker:
        config = json.loads((resources.files("alerce") / "default_config.json").read_text())
        config["ztf"]["ZTF_API_URL"] = broker
        (folder / "alerce.json").write_text(json.dumps(config))
        settings = {
            "ALERCE_CONFIG_PATH": str(folder / "alerce.json"),
            "PYTHONPATH": str(OURS),
            "PYTHONWARNINGS": "ignore",
        }
        command = [str(tom), str(HERE / "tom_session.py"), broker, str(folder)]
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def supernovae(written: Stores) -> dict[str, float]:
    """The objects that the stamp classifier calls supernovae, with at least a fifth of probability."""
    answer = tables.object_class
    chosen = sa.select(answer.c.oid, answer.c.probability).where(
        answer.c.classifier == "stamp_classifier", answer.c.class_name == "SN", answer.c.probability >= 0.2
    )
    with written.database.reading() as connection:
        return dict(connection.execute(chosen).tuples().all())


def points(stores: Stores, oid: str, *, negative: bool) -> list[tuple]:
    """Band and magnitude of what is stored of an object, limits after detections."""
    with stores.database.reading() as connection:
        curve = queries.light_curve(connection, "ztf", oid)
    seen = [(row["band"], row["mag"]) for row in curve["detection"] if negative or row["positive"]]
    return sorted(seen), sorted((row["band"], row["mag_limit"]) for row in curve["non_detection"])


def stored_in_tom(photometry: list[list]) -> tuple[list[tuple], list[tuple]]:
    seen = sorted((band, mag) for _, band, mag, _ in photometry if mag is not None)
    return seen, sorted((band, limit) for _, band, _, limit in photometry if limit is not None)


def test_the_alerts_module_of_the_tom_toolkit(found: dict, supernovae: dict, written: Stores) -> None:
    """Search in pages, one object, a cone, a target and its light curve: only the address was changed."""
    said = found["alerts_module"]
    assert set(said["oids"]) == set(supernovae)
    assert said["probabilities"] == sorted(said["probabilities"], reverse=True)
    best = said["oids"][0]
    assert said["near"] == [best]
    assert said["generic"][0] == said["target"][0] == best
    assert said["generic"][3] == pytest.approx(supernovae[best])
    assert stored_in_tom(said["photometry"]) == points(written, best, negative=True)


def test_the_data_service_of_the_tom_toolkit(found: dict, supernovae: dict, written: Stores) -> None:
    """Through the ALeRCE client, by its configuration file."""
    said = found["their_service"]
    assert set(said["oids"]) <= set(supernovae)
    assert said["oids"]
    assert stored_in_tom(said["photometry"]) == points(written, said["target"][0], negative=True)


def test_our_data_service(found: dict, supernovae: dict, written: Stores) -> None:
    said = found["our_service"]
    assert set(said["oids"]) == set(supernovae)
    oid, ra, dec = said["target"]
    with written.database.reading() as connection:
        row = queries.one_object(connection, "ztf", oid)
    assert (ra, dec) == pytest.approx((row["ra"], row["dec"]))
    assert stored_in_tom(said["photometry"]) == points(written, oid, negative=False)
    assert said["extras"]["class_name"] == "SN"
    assert float(said["extras"]["probability"]) == pytest.approx(supernovae[oid])
    assert found["page"] == [200, True], "its form is among the TOM's pages"


def test_what_a_person_reads_when_it_fails(found: dict) -> None:
    assert "class_name" in found["refusals"]["refused"]
    assert "did not answer" in found["refusals"]["away"]
