"""Decision trees as flat arrays: what a forest or a booster has learnt, without the library that learnt it.

One format for both. A node with `feature` >= 0 sends a row to `left` where its value is at most `threshold`, else to
`right`; a missing value (NaN) goes where `missing_left` says. A node with `feature` -1 is a leaf: its `value` (w
numbers) is added to the outputs `output[tree]` ... `output[tree] + w - 1`. A booster has w = 1 and one tree per class
and round; a forest has w = number of classes, and every tree adds to all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numba import njit, prange


@dataclass(frozen=True, slots=True)
class Trees:
    """t trees of m nodes in all, with o outputs; children come after their parents.

    feature (m,) int16; threshold (m,) float64; left, right (m,) int32; missing_left (m,) bool; value (m, w) float32;
    root, output (t,) int32; base (o,) float64 that every row starts from.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    root: np.ndarray
    output: np.ndarray
    base: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Sums of leaf values (n, o) float64 of the rows of `x` (n, f), NaN where missing."""
        rows = np.ascontiguousarray(x, dtype=np.float64)
        parts = (getattr(self, field.name) for field in fields(self))
        return (_predict if len(rows) > 256 else _predict_few)(rows, *parts)

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays by name, for a file."""
        return {f"{prefix}.{field.name}": getattr(self, field.name) for field in fields(self)}


def from_arrays(arrays: Mapping[str, np.ndarray], prefix: str, n_features: int) -> Trees:
    """Trees out of a file that nobody vouches for.

    Raises
    ------
    ValueError
        When the arrays are not trees over `n_features` features: a node could be left for nowhere, or for ever.
    """
    kinds = {"feature": "<i2", "left": "<i4", "right": "<i4", "root": "<i4", "output": "<i4", "missing_left": "?"}
    kinds |= {"value": "<f4"}
    try:
        trees = Trees(
            **{
                field.name: np.ascontiguousarray(arrays[f"{prefix}.{field.name}"], dtype=kinds.get(field.name, "<f8"))
                for field in fields(Trees)
            }
        )
    except KeyError as error:
        raise ValueError(f"the model file has no array {error}") from error
    m = len(trees.feature)
    inner = np.flatnonzero(trees.feature >= 0)
    lengths = {len(getattr(trees, name)) for name in ("feature", "threshold", "left", "right", "missing_left", "value")}
    sound = (
        lengths == {m}
        and trees.value.ndim == 2
        and len(trees.root) == len(trees.output)
        and (trees.feature < n_features).all()
        and ((trees.root >= 0) & (trees.root < m)).all()
        and ((trees.output >= 0) & (trees.output + trees.value.shape[1] <= len(trees.base))).all()
        and all(((child[inner] > inner) & (child[inner] < m)).all() for child in (trees.left, trees.right))
    )
    if not sound:
        raise ValueError(f"the trees {prefix!r} of the model file do not hang together")
    return trees


def _walk(x, feature, threshold, left, right, missing_left, value, root, output, base):
    out = np.empty((x.shape[0], base.size))
    for i in prange(x.shape[0]):
        out[i] = base
        for t in range(root.size):
            node = root[t]
            while feature[node] >= 0:
                v = x[i, feature[node]]
                if np.isnan(v):
                    node = left[node] if missing_left[node] else right[node]
                else:
                    node = left[node] if v <= threshold[node] else right[node]
            for j in range(value.shape[1]):
                out[i, output[t] + j] += value[node, j]
    return out


_predict = njit(parallel=True, cache=True)(_walk)
_predict_few = njit(cache=True, nogil=True)(_walk)


def from_lightgbm(booster: Any) -> Trees:
    """The trees of a LightGBM booster; `predict` then gives its raw scores."""
    model = booster.dump_model()
    k = model["num_tree_per_iteration"]
    nodes: list[tuple] = []
    roots = []

    def add(node: dict) -> int:
        index = len(nodes)
        nodes.append(())
        if "leaf_value" in node:
            nodes[index] = (-1, 0.0, 0, 0, False, node["leaf_value"])
            return index
        # Without missing values in training LightGBM takes one for zero.
        to_left = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
        left, right = add(node["left_child"]), add(node["right_child"])
        nodes[index] = (node["split_feature"], node["threshold"], left, right, to_left, 0.0)
        return index

    for tree in model["tree_info"]:
        roots.append(add(tree["tree_structure"]))
    feature, threshold, left, right, missing_left, value = zip(*nodes, strict=True)
    return Trees(
        np.array(feature, np.int16),
        np.array(threshold, np.float64),
        np.array(left, np.int32),
        np.array(right, np.int32),
        np.array(missing_left, bool),
        np.array(value, np.float32)[:, None],
        np.array(roots, np.int32),
        np.arange(len(roots), dtype=np.int32) % k,
        np.zeros(k),
    )


def from_forest(estimators: Sequence[Any], columns: Sequence[np.ndarray], n_classes: int, fill: float) -> Trees:
    """The trees of a scikit-learn or imbalanced-learn forest; `predict` then gives its class probabilities.

    `columns[i]` (n_classes of tree i) are its classes; a missing value was given to the trees as `fill`.
    """
    parts: dict[str, list[np.ndarray]] = {field.name: [] for field in fields(Trees)}
    offset = 0
    for estimator, classes in zip(estimators, columns, strict=True):
        tree = estimator.tree_
        leaf = tree.children_left < 0
        share = np.zeros((tree.node_count, n_classes), dtype=np.float32)
        counts = tree.value[:, 0, :]
        share[:, np.asarray(classes, dtype=int)] = counts / counts.sum(axis=1, keepdims=True) / len(estimators)
        parts["feature"].append(np.where(leaf, -1, tree.feature).astype(np.int16))
        parts["threshold"].append(tree.threshold.astype(np.float64))
        parts["left"].append((tree.children_left + offset).astype(np.int32))
        parts["right"].append((tree.children_right + offset).astype(np.int32))
        parts["missing_left"].append(fill <= tree.threshold)
        parts["value"].append(share)
        parts["root"].append(np.array([offset], np.int32))
        parts["output"].append(np.zeros(1, np.int32))
        offset += tree.node_count
    parts["base"].append(np.zeros(n_classes))
    return Trees(**{name: np.concatenate(pieces) for name, pieces in parts.items()})
