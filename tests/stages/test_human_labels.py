"""Decisions of people become labels with who and when, and cutouts to train on."""

import json
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from alerce_dagster.classifiers.cards import model_card
from alerce_dagster.classifiers.labelled_stamps import labelled_stamps, with_human
from alerce_dagster.classifiers.stamps import DEFAULT_MODEL
from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.human_labels import human_labels, human_stamps
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.storage import Stores, tables
from alerce_dagster.storage.triage import decide
from tests.stages.conftest import night_of
from tests.zpackets import alert, write_packets


@pytest.fixture
def seen(stores: Stores, tmp_path: Path) -> dict[str, int]:
    """Objects with one stored alert each, by name."""
    night = night_of(stores, "run")
    folder = write_packets(tmp_path / "in", [alert(n) for n in range(6)])
    ingest(night, read_places([str(folder)]))
    make_detections(night)
    make_objects(night)
    with stores.database.reading() as connection:
        return dict(connection.execute(sa.select(tables.alert.c.oid, tables.alert.c.candid).order_by("oid")).all())


def test_the_newest_word_of_each_person_counts_and_they_must_agree(stores: Stores, seen: dict[str, int]) -> None:
    agreed, changed, disputed, known, unseen, by_class = seen
    with stores.database.writing() as connection:
        answer = {"survey": "ztf", "oid": by_class, "classifier": "combined", "class_name": "QSO", "n_alerts": 1}
        connection.execute(tables.object_class.insert().values(**answer, model="m"))
        for oid, verdict, person, classifier in (
            (agreed, "candidate", "Ada", None), (agreed, "candidate", "Vera", None),
            (changed, "candidate", "Ada", None), (changed, "bogus", "Ada", None),
            (disputed, "candidate", "Ada", None), (disputed, "bogus", "Vera", None),
            (known, "known", "Ada", None), (by_class, "candidate", "Ada", "combined"),
        ):  # fmt: skip
            decide(connection, "ztf", oid, verdict, person, candid=seen[oid], classifier=classifier)
        decide(connection, "ztf", unseen, "bogus", "Ada")  # of no alert: there is nothing to train on
    rows = {row["oid"]: row for row in human_labels(stores, "ztf").to_pylist()}
    assert {oid: row["label"] for oid, row in rows.items()} == {agreed: "SN", changed: "bogus", by_class: "AGN"}
    assert rows[agreed]["people"] == ["Ada", "Vera"]
    assert rows[agreed]["origin"] == "human"
    assert rows[agreed]["candid"] == seen[agreed]
    assert rows[changed]["decided_at"].tzinfo is not None


def test_their_cutouts_join_a_labelled_set(stores: Stores, seen: dict[str, int]) -> None:
    first, second, *_ = seen
    with stores.database.writing() as connection:
        for oid, verdict in ((first, "candidate"), (second, "bogus")):
            decide(connection, "ztf", oid, verdict, "Ada", candid=seen[oid])
    human = human_stamps(stores, "ztf", human_labels(stores, "ztf"))
    assert human.images.shape == (2, 3, 63, 63)
    assert dict(zip(human.objects, human.labels, strict=True)) == {
        first: STAMP_CLASSES.index("SN"),
        second: STAMP_CLASSES.index("bogus"),
    }
    columns = ["oid", "candid", "mjd", "mag"]
    old = labelled_stamps(np.zeros((1, 3, 31, 31), np.float32), human.alerts.select(columns)[1:], np.array([0]), {})
    joined = with_human(old, human)
    assert joined.human == 1, "the object that the set has already keeps the set's label"
    assert joined.objects.tolist() == [old.objects[0], human.objects[0]]
    assert joined.images.shape == (2, 3, 31, 31)
    np.testing.assert_array_equal(joined.images[1], human.images[0][:, 16:47, 16:47])
    assert joined.digest != old.digest


def test_where_nobody_has_decided_the_set_stays_as_it_is(stores: Stores, seen: dict[str, int]) -> None:
    human = human_stamps(stores, "ztf", human_labels(stores, "ztf"))
    assert len(human.labels) == 0
    with stores.database.writing() as connection:
        decide(connection, "ztf", next(iter(seen)), "bogus", "Ada", candid=next(iter(seen.values())))
    old = human_stamps(stores, "ztf", human_labels(stores, "ztf"))
    joined = with_human(old, human)
    assert (joined.digest, joined.human) == (old.digest, 0)


def test_a_models_card_says_how_many_labels_people_gave() -> None:
    description = json.loads((DEFAULT_MODEL / "model.json").read_text())
    assert "SN Hunter" not in model_card(description)
    description["training_set"]["human_labels"] = 7
    assert "7 of the alerts were labelled by people on SN Hunter" in model_card(description)
