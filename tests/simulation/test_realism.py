"""The measure of realism: it must see a difference where there is one, and none where there is none."""

import io

import fastavro
import numpy as np
import pandas as pd
import pytest

from alerce_dagster.simulation.realism import comparison, plots, side_by_side
from alerce_dagster.simulation.realism.features import CANDIDATE_ALONE, CUTOUTS, DERIVED, METADATA, table
from alerce_dagster.simulation.ztf import simulate

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::astropy.io.fits.verify.VerifyWarning")


def _frame(rng, n, shift=0.0):
    values = {"a": rng.normal(shift, 1, n), "b": rng.normal(0, 1, n)}
    return pd.DataFrame(values | {"objectId": [f"{shift}-{i}" for i in range(n)], "label": "x"})


def test_alike_cannot_be_told_apart_and_unlike_can():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    same = comparison.verdict(_frame(rng, 300), _frame(rng, 300, 1e-9), ("a", "b"))
    other = comparison.verdict(_frame(rng, 300), _frame(rng, 300, 3.0), ("a", "b"))
    assert same.auc == pytest.approx(0.5, abs=0.08)
    assert other.auc > 0.95
    assert other.importance.index[0] == "a"


def test_distance_is_that_of_kolmogorov_and_smirnov():
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(2)
    a, b = _frame(rng, 200), _frame(rng, 150, 0.7)
    found = comparison.distances(a, b, ("a", "b")).set_index("feature")["distance"]
    assert found["a"] == pytest.approx(ks_2samp(a["a"], b["a"]).statistic)
    assert found.index[0] == "a"


def test_classes_are_balanced_and_no_object_counts_much():
    frame = pd.DataFrame({"objectId": list("aaaaabc"), "label": list("xxxxxyy")})
    first, second = comparison.same_classes(frame, frame, per_object=3)
    assert first["label"].tolist().count("x") == second["label"].tolist().count("x") == 3


def test_pairs_are_equally_bright_and_used_once():
    real = pd.DataFrame({"label": list("xxy"), "magpsf": [18.0, 18.1, 20.0]})
    simulated = pd.DataFrame({"label": list("xxxyy"), "magpsf": [18.02, 15.0, 18.3, 18.0, 19.0], "n": range(5)})
    mine, theirs = comparison.equally_bright(real, simulated)
    assert mine["magpsf"].tolist() == [18.0, 18.1, 20.0]
    assert theirs["n"].tolist() == [0, 2, 4]


@pytest.mark.realdata
def test_light_curves_of_each_class_are_drawn_next_to_real_ones(real_data):
    svg = side_by_side.light_curves(real_data)
    assert svg.count("<rect") == 1 + 4 * 12
    for name in ("SNIa", "SLSN", "QSO", "RRL", "E"):
        assert f">{name}<" in svg


def test_packets_become_numbers():
    packets = [next(iter(fastavro.reader(io.BytesIO(p.data)))) for p in simulate(60, 1, 1).packets]
    found = table(packets)
    assert len(found) == 60
    assert set(CANDIDATE_ALONE) < set(METADATA)
    assert found[[*METADATA, *DERIVED, *CUTOUTS]].notna().mean().min() > 0.02
    assert (found["science_sigma"] > found["template_sigma"]).mean() > 0.9
    svg = plots.histograms(found, found, ["magpsf", "fwhm"])
    assert svg.startswith("<svg")
    assert svg.count("<polygon") == 2


@pytest.mark.realdata
def test_cutouts_are_told_from_real_ones_only_with_errors(real_data):
    """The first version was told apart every time; what is left should not grow again."""
    pytest.importorskip("sklearn")
    from alerce_dagster.simulation.realism.__main__ import real_packets, simulated_packets

    real, alike = comparison.same_classes(real_packets(real_data)[0], simulated_packets(800, 3)[0])
    assert comparison.verdict(real, alike, CUTOUTS).auc < 0.96
