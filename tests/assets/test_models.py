"""A challenger takes the champion's place only when it is better, or by a person's word."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from alerce_dagster.assets.light_curve_models import LABELLED_LIGHT_CURVES, labelled_set, lightcurve_model_champion
from alerce_dagster.assets.models import LABELLED_STAMPS, stamp_classifier, stamp_classifier_champion
from alerce_dagster.classifiers.stamps import DEFAULT_MODEL
from alerce_dagster.resources import ModelsResource, champion_folder
from alerce_dagster.settings import Settings


def put_challenger(home: Path, gain: float) -> None:
    """The shipped model again, with figures that differ by `gain`."""
    folder = home / "models" / "stamp_classifier" / "challenger"
    shutil.copytree(DEFAULT_MODEL, folder)
    description = json.loads((folder / "model.json").read_text())
    description["metrics"]["model"]["balanced"]["log_loss"]["mean"] -= gain
    (folder / "model.json").write_text(json.dumps(description))


def promote(override: bool = False) -> bool:
    config = {"ops": {"models__stamp_classifier_champion": {"config": {"override": override}}}}
    result = dg.materialize([stamp_classifier_champion], run_config=config)
    [event] = result.get_asset_materialization_events()
    return event.materialization.metadata["promoted"].value


@pytest.mark.parametrize(
    ("gain", "override", "promoted"),
    [(0.01, False, True), (-0.01, False, False), (0.0, False, False), (-0.01, True, True)],
)
def test_promotion(home: Path, gain: float, override: bool, promoted: bool) -> None:
    put_challenger(home, gain)
    assert champion_folder(Settings.from_environment(), "stamp_classifier") is None
    assert promote(override) is promoted
    champion = champion_folder(Settings.from_environment(), "stamp_classifier")
    assert (champion is not None) is promoted
    assert ModelsResource().stamp_classifier().classes


def test_a_second_promotion_replaces_the_first(home: Path) -> None:
    put_challenger(home, 0.01)
    assert promote()
    assert not promote(), "it does not beat itself"
    assert promote(override=True)


def test_no_labelled_cutouts_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LABELLED_STAMPS, raising=False)
    result = dg.materialize([stamp_classifier], raise_on_error=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert LABELLED_STAMPS in failure.step_failure_data.user_failure_data.description


def test_no_labelled_light_curves_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LABELLED_LIGHT_CURVES, raising=False)
    result = dg.materialize([labelled_set], raise_on_error=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert LABELLED_LIGHT_CURVES in failure.step_failure_data.user_failure_data.description


@pytest.mark.parametrize(("gain", "promoted"), [(0.01, True), (-0.01, False)])
def test_promotion_of_a_light_curve_classifier(home: Path, gain: float, promoted: bool) -> None:
    """Objects count once here."""
    name = "light_curve_classifier"
    folder = home / "models" / name / "challenger"
    shutil.copytree(DEFAULT_MODEL.parent / name, folder)
    description = json.loads((folder / "model.json").read_text())
    description["metrics"]["model"]["per_object"]["log_loss"]["mean"] -= gain
    (folder / "model.json").write_text(json.dumps(description))
    result = dg.materialize([lightcurve_model_champion])
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["promoted"].value is promoted
    assert (champion_folder(Settings.from_environment(), name) is not None) is promoted
    assert ModelsResource().light_curve_classifier().classes
