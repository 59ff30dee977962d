"""Light-curve classes, the combined posterior and outlier scores of a night: each leads back to what made it."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from alerce_dagster.classifiers.drift import Finding
from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.errors import InputError
from alerce_dagster.stages import Night
from alerce_dagster.stages.combined import rules_hash
from alerce_dagster.stages.drift import findings, record, summarise
from alerce_dagster.stages.explanation import explain
from alerce_dagster.stages.outliers import TOPS, ranked, record_mark
from alerce_dagster.storage import Stores, ledger, tables
from alerce_dagster.storage.ledger import Entry
from tests.stages.conftest import light_curve_classifier, night_of, run_night
from tests.zpackets import alert, write_packets


@pytest.fixture
def light_curves() -> LightCurveClassifier:
    return light_curve_classifier()


ANSWERS = ("lightcurve_classifications", "combined", "outliers")


def answered(stores: Stores, classifier, folder: Path, run_id: str = "run") -> tuple[Night, list[Entry]]:
    """A night with everything said about it, and the ledger of what was said in that run."""
    night = night_of(stores, run_id)
    run_night(night, [folder], classifier)
    with stores.database.reading() as connection:
        sums = ledger.totals_of_runs(connection, [run_id])
    return night, [sums[stage] for stage in ANSWERS]


def rows_of(stores: Stores, table: sa.Table, *where) -> list:
    with stores.database.reading() as connection:
        return list(connection.execute(sa.select(table).where(*where)).mappings())


def test_every_probability_leads_to_what_made_it(stores: Stores, classifier, light_curves, tmp_path: Path) -> None:
    records = [alert(n, history=11) for n in range(6)] + [alert(n, history=2) for n in range(6, 9)]
    _, entries = answered(stores, classifier, write_packets(tmp_path / "in", records))
    assert [(e.n_in, e.n_out, e.n_aside) for e in entries] == [(9, 6, 3), (9, 9, 0), (9, 6, 3)]
    table = tables.classification
    said = rows_of(stores, table, table.c.classifier == "light_curve_classifier")
    assert len(said) == 9
    for row in said:
        assert row["model"] == light_curves.model_hash
        assert row["inputs_version"] == light_curves.description["inputs_version"]
        assert row["inputs_hash"]
        assert row["run_id"] == "run"
        enough = row["n_epochs"] == 12
        assert (row["probabilities"] is not None) is enough
        assert enough or row["reason"] == "3 epochs in g and r, 6 needed"
        if enough:
            assert sum(row["probabilities"].values()) == pytest.approx(1)
            assert (row["class_name"] is not None) is (len(row["prediction_set"]) == 1)
    for oid in {row["oid"] for row in said}:
        for explanation in explain(stores, "ztf", oid, light_curves):
            assert explanation.difference is None or explanation.difference < 1e-12, explanation.verdict
    explained = {e.row["classifier"]: e for e in explain(stores, "ztf", said[0]["oid"], light_curves)}
    assert explained["light_curve_classifier"].again is not None
    assert explained["combined"].again is not None
    parts = [part["part"] for part in explained["combined"].row["evidence"]]
    assert parts == ["stamp", "light curve"]
    assert explained["combined"].row["model"] == rules_hash(classifier.model_hash, light_curves.model_hash)
    with pytest.raises(InputError, match="nothing has been said"):
        explain(stores, "ztf", "ZTF99nothing", light_curves)


def test_a_later_alert_makes_a_new_row_and_keeps_the_old(
    stores: Stores, classifier, light_curves, tmp_path: Path
) -> None:
    first, later = alert(0, history=8), alert(0, history=8, day=0.4)
    answered(stores, classifier, write_packets(tmp_path / "a", [first]), "one")
    answered(stores, classifier, write_packets(tmp_path / "b", [later]), "two")
    table = tables.classification
    said = rows_of(stores, table, table.c.classifier == "light_curve_classifier")
    assert {(row["candid"], row["run_id"]) for row in said} == {(first["candid"], "one"), (later["candid"], "two")}
    assert len({row["inputs_hash"] for row in said}) == 2
    [current] = rows_of(stores, tables.object_class, tables.object_class.c.classifier == "light_curve_classifier")
    assert current["n_alerts"] == max(row["n_epochs"] for row in said)


def test_nothing_is_done_twice(stores: Stores, classifier, light_curves, tmp_path: Path) -> None:
    folder = write_packets(tmp_path / "in", [alert(n, history=7) for n in range(3)])
    answered(stores, classifier, folder)
    _, entries = answered(stores, classifier, folder, "again")
    assert [entry.n_in for entry in entries] == [0, 0, 0]


def test_marks_move_the_ranking(stores: Stores, classifier, light_curves, tmp_path: Path) -> None:
    folder = write_packets(tmp_path / "in", [alert(n, history=9) for n in range(8)])
    night, _ = answered(stores, classifier, folder)
    top = max(TOPS, key=lambda name: len(ranked(stores, "ztf", name)))
    before = ranked(stores, "ztf", top, night.night)
    assert [row["score"] for row in before] == sorted((row["score"] for row in before), reverse=True)
    record_mark(stores, "ztf", before[0]["oid"], "ann", "junk", None)
    assert before[0]["oid"] not in {row["oid"] for row in ranked(stores, "ztf", top)}
    record_mark(stores, "ztf", before[0]["oid"], "bob", "interesting", "look")
    [again] = [row for row in ranked(stores, "ztf", top) if row["oid"] == before[0]["oid"]]
    assert again["marks"] == ["junk", "interesting"]
    with pytest.raises(InputError, match="no object"):
        record_mark(stores, "ztf", "ZTF99nothing", "ann", "junk", None)


def test_a_night_is_counted_for_the_watch_on_drift(stores: Stores, classifier, light_curves, tmp_path: Path) -> None:
    folder = write_packets(tmp_path / "in", [alert(n, history=9) for n in range(4)])
    night, _ = answered(stores, classifier, folder)
    summarise(night, light_curves)
    summarise(night, light_curves)
    rows = rows_of(stores, tables.input_summary)
    assert len(rows) == len(light_curves.description["inputs"])
    assert {row["n"] for row in rows} == {4}
    assert all(row["n_missing"] + int(np.sum(row["counts"])) == 4 for row in rows)
    assert findings(night, light_curves) == {"inputs": [], "classes": []}


def test_what_has_changed_is_kept_for_the_nights_page(stores: Stores) -> None:
    """The newest findings of a night replace those before: a night that is made again cannot alarm twice."""
    night = night_of(stores)
    changed = Finding("share missing", "Amplitude_g", 0.01, 0.4, 2)
    record(night, {"inputs": [(changed, "2018-08-17")], "classes": []})
    record(night, {"inputs": [(changed, "2018-08-18")], "classes": []})
    (row,) = rows_of(stores, tables.drift_finding)
    assert (row["kind"], row["name"], row["before"], row["now"]) == ("inputs", "Amplitude_g", 0.01, 0.4)
    assert (row["night"], row["since"]) == (night.night, date(2018, 8, 18))
    record(night, {"inputs": [], "classes": []})
    assert rows_of(stores, tables.drift_finding) == []
