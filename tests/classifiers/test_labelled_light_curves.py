"""The real labelled light curves: every object once, of a known class, and what was left out is counted."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from alerce_dagster.classifiers.labelled_light_curves import CLASS_OF, LabelledLightCurves, load_labelled, simulated
from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES, classes_of


def test_every_finest_class_goes_to_a_class_of_the_taxonomy() -> None:
    for name, mapping in CLASS_OF.items():
        assert set(mapping.values()) == set(classes_of(LIGHT_CURVE_TAXONOMIES[name]))


def test_no_labelled_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no labelled light curves"):
        load_labelled(tmp_path)


def test_simulated_objects_have_light_curves() -> None:
    batch, fine = simulated({"RRL": 5, "SNIa": 5}, seed=2)
    assert Counter(fine) == {"RRL": 5, "SNIa": 5}
    assert (np.diff(batch.starts) > 0).all()


@pytest.fixture(scope="module")
def real(real_data: Path) -> LabelledLightCurves:
    return load_labelled(real_data / "light_curves")


@pytest.mark.realdata
def test_objects_are_there_once(real: LabelledLightCurves) -> None:
    oids = real.batch.oids.astype(str)
    assert len(np.unique(oids)) == len(oids) > 10_000
    assert real.left_out["the same object as another row"] > 60, "60 names alone are in two files"
    assert set(real.labels("15")) - {""} == set(classes_of(LIGHT_CURVE_TAXONOMIES["15"]))
    assert not real.simulated.any()


@pytest.mark.realdata
def test_every_periodic_class_has_several_sources(real: LabelledLightCurves) -> None:
    """A class from one source alone could be told by the source."""
    labels = real.labels("15")
    for name in LIGHT_CURVE_TAXONOMIES["15"]["Periodic"]:
        assert len(set(real.source[labels == name])) >= 3, name
