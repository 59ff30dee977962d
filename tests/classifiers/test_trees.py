"""Flat trees say what the libraries that grew them say, to the last digits, and damaged files are refused."""

import numpy as np
import pytest

from alerce_dagster.classifiers.trees import from_arrays, from_forest, from_lightgbm


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 6))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] + x[:, 2] > 0.5)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 5] = rng.normal(size=600)  # one column that is never missing in training
    return x, y


def test_booster(data) -> None:
    import lightgbm

    x, y = data
    parameters = {"objective": "multiclass", "num_class": 3, "num_leaves": 8, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), 12)
    found = from_lightgbm(booster)
    unseen = x.copy()
    unseen[::7, 5] = np.nan
    assert found.predict(unseen) == pytest.approx(booster.predict(unseen, raw_score=True), abs=1e-5)
    assert found.predict(unseen[:3]) == pytest.approx(booster.predict(unseen[:3], raw_score=True), abs=1e-5)


def test_forest(data) -> None:
    from sklearn.ensemble import RandomForestClassifier

    x, y = data
    filled = np.nan_to_num(x, nan=-999.0)
    forest = RandomForestClassifier(15, max_depth=5, random_state=1).fit(filled, y)
    found = from_forest(forest.estimators_, [np.arange(3)] * 15, 3, -999.0)
    assert found.predict(x) == pytest.approx(forest.predict_proba(filled), abs=1e-6)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a.pop("t.root"),
        lambda a: a["t.left"].__setitem__(0, 0),  # a node that leads to itself: for ever
        lambda a: a["t.right"].__setitem__(0, 10_000),
        lambda a: a["t.feature"].__setitem__(0, 99),
        lambda a: a["t.root"].__setitem__(0, -1),
        lambda a: a["t.output"].__setitem__(0, 7),
        lambda a: a.__setitem__("t.threshold", a["t.threshold"][:-1]),
    ],
)
def test_damaged_trees_are_refused(data, spoil) -> None:
    from sklearn.ensemble import RandomForestClassifier

    x, y = data
    forest = RandomForestClassifier(3, max_depth=3, random_state=1).fit(np.nan_to_num(x), y)
    arrays = from_forest(forest.estimators_, [np.arange(3)] * 3, 3, 0.0).arrays("t")
    assert from_arrays(arrays, "t", 6).predict(x).shape == (600, 3)
    spoil(arrays)
    with pytest.raises(ValueError, match=r"the model file|do not hang together"):
        from_arrays(arrays, "t", 6)
