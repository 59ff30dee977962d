"""Two tables of packets compared: how far apart each field is, and how well a classifier tells them apart."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Verdict(NamedTuple):
    """What a classifier makes of simulated against real packets."""

    auc: float  # 0.5: cannot be told apart, 1: always
    auc_error: float  # standard deviation over folds
    importance: pd.Series  # by feature, the AUC lost when it is shuffled; the largest first


def distances(real: pd.DataFrame, simulated: pd.DataFrame, features: tuple[str, ...]) -> pd.DataFrame:
    """Per feature: quartiles of both, the share that is missing, and the Kolmogorov-Smirnov distance.

    A missing value counts as a value of its own below all others. Sorted, the most different first.
    """
    rows = []
    for name in features:
        a, b = (np.sort(frame[name].fillna(-1e30).to_numpy()) for frame in (real, simulated))
        both = np.concatenate([a, b])
        steps = [np.searchsorted(part, both, side="right") / part.size for part in (a, b)]
        row = {"feature": name, "distance": float(np.abs(steps[0] - steps[1]).max())}
        for kind, frame in (("real", real), ("simulated", simulated)):
            row |= {f"{kind}_{q}": frame[name].quantile(q / 100) for q in (10, 50, 90)}
            row[f"{kind}_missing"] = frame[name].isna().mean()
        rows.append(row)
    return pd.DataFrame(rows).sort_values("distance", ascending=False, ignore_index=True)


def verdict(real: pd.DataFrame, simulated: pd.DataFrame, features: tuple[str, ...], folds: int = 5) -> Verdict:
    """Gradient-boosted trees, tested on objects that they were not trained on."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    both = pd.concat([real, simulated], ignore_index=True)
    is_simulated = np.repeat([0, 1], [len(real), len(simulated)])
    columns = list(features)
    values = both[columns].to_numpy(float)
    rng = np.random.default_rng(0)
    scores, losses = [], np.zeros(len(columns))
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for train, test in split.split(values, is_simulated, both["objectId"]):
        model = HistGradientBoostingClassifier(max_iter=120, learning_rate=0.08, max_leaf_nodes=12, random_state=0)
        model.fit(values[train], is_simulated[train])
        score = roc_auc_score(is_simulated[test], model.predict_proba(values[test])[:, 1])
        scores.append(score)
        for j in range(len(columns)):
            shuffled = values[test].copy()
            shuffled[:, j] = rng.permutation(shuffled[:, j])
            losses[j] += score - roc_auc_score(is_simulated[test], model.predict_proba(shuffled)[:, 1])
    importance = pd.Series(losses / folds, index=columns).sort_values(ascending=False)
    return Verdict(float(np.mean(scores)), float(np.std(scores)), importance)


def equally_bright(real: pd.DataFrame, simulated: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each row of `real` and, of the same class, the row of `simulated` nearest in magnitude that is still there.

    Labelled packets are brighter than the stream; so paired, what is left of a difference is not that choice.
    """
    pairs: list[tuple[Any, Any]] = []
    for label, rows in real.groupby("label"):
        free = simulated[simulated["label"] == label]["magpsf"]
        for row, magnitude in rows["magpsf"].items():
            if free.empty:
                break
            nearest = (free - magnitude).abs().idxmin()
            pairs.append((row, nearest))
            free = free.drop(nearest)
    mine, theirs = zip(*pairs, strict=True)
    return real.loc[list(mine)].reset_index(drop=True), simulated.loc[list(theirs)].reset_index(drop=True)


def same_classes(real: pd.DataFrame, simulated: pd.DataFrame, per_object: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of both with each class (column `label`) equally often in both, and few packets of any one object."""
    parts = []
    few = [frame.groupby("objectId").sample(frac=1, random_state=0) for frame in (real, simulated)]
    few = [frame[frame.groupby("objectId").cumcount() < per_object] for frame in few]
    for label in sorted(set(few[0]["label"]) & set(few[1]["label"])):
        pair = [frame[frame["label"] == label] for frame in few]
        n = min(map(len, pair))
        parts.append([frame.sample(n, random_state=0) for frame in pair])
    first, second = (pd.concat(side, ignore_index=True) for side in zip(*parts, strict=True))
    return first, second
