"""Odd light curves score high, marks move their neighbours, and the shipped model is what its description says."""

import numpy as np
import pytest

from alerce_dagster.classifiers.light_curve_inputs import INPUTS
from alerce_dagster.classifiers.outlier_training import Recipe, fit_detector
from alerce_dagster.classifiers.outliers import OutlierModel, gaussianised, reranked, share_below


def test_gaussianised_is_normal_and_keeps_the_order() -> None:
    rng = np.random.default_rng(1)
    x = np.exp(rng.normal(size=(5000, 1)))
    edges = np.quantile(x[:, 0], (np.arange(101) + 0.5) / 101)[:, None]
    u = gaussianised(x, edges)
    assert u.mean() == pytest.approx(0, abs=0.05)
    assert u.std() == pytest.approx(1, abs=0.05)
    odd = gaussianised(np.array([[-5.0], [0.5], [np.nan], [1e3], [1e6], [np.inf]]), edges)[:, 0]
    assert odd[0] < odd[1] < odd[3] < odd[4]
    assert odd[2] == odd[5] == 0, "missing is the median"


def test_share_below_goes_on_beyond_all_labelled_objects() -> None:
    quantiles = np.linspace(1, 10, 101)
    share = share_below(np.array([0.0, 5.5, 10.0, 11.0, 1e6]), quantiles)
    assert share[1] == pytest.approx(0.5)
    assert (np.diff(share) >= 0).all()
    assert share[3] < share[4] < 1


def test_what_lies_outside_every_class_is_odd() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 300)
    u = rng.normal(size=(600, 8)) * 0.3 + np.where(labels == 0, -1, 1)[:, None]
    found = fit_detector(u, labels, 2, Recipe(forest_trees=20, dimensions=4), 1)
    usual, which = found.distance(u)
    odd, _ = found.distance(np.tile([1.0, -1.0], 4)[None])
    assert share_below(odd, found.distances)[0] > 0.99
    assert (which == labels).mean() > 0.98
    assert share_below(usual, found.distances).mean() == pytest.approx(0.5, abs=0.15)


def test_neighbours_of_marked_objects_move() -> None:
    places = [np.zeros(4), np.full(4, 0.1), np.full(4, 5.0)]
    scores = np.array([0.5, 0.5, 0.5])
    up = reranked(scores, places, [np.zeros(4)], ["interesting"])
    assert up[0] > up[1] > up[2] == pytest.approx(0.5, abs=1e-6)
    down = reranked(scores, places, [np.zeros(4)], ["junk"])
    assert down[0] < down[1] < 0.5
    assert reranked(scores, places, [], []).tolist() == scores.tolist()


def test_the_shipped_model() -> None:
    model = OutlierModel.load()
    odd = model.judge(np.full((3, len(INPUTS)), np.nan), ["Transient", "Stochastic", "Periodic"])
    assert ((odd.score >= 0) & (odd.score <= 1)).all()
    assert ((odd.baseline >= 0) & (odd.baseline <= 1)).all()
    assert all(
        name in dict(model.description["taxonomy"])[top] for name, top in zip(odd.nearest, model.detectors, strict=True)
    )
