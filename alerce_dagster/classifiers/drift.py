"""Has what a classifier sees, or says, changed? Nightly counts compared with those of the weeks before.

Population stability index (the symmetrised Kullback-Leibler divergence of two histograms): 0 the same, above 0.25 by
common usage another population. Everything is a function of counts; nothing here knows of tables or nights' names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_MISSING_CHANGE = 0.15  # of the share of light curves without a value
MAX_PSI = 0.25
MIN_LIGHT_CURVES = 100  # fewer tell nothing about shares
_SMOOTHING = 0.5  # counts added to every bin: an empty bin is not a proof of absence


@dataclass(frozen=True)
class Finding:
    """One alarm: what of which input or class, then and now, and the index of the night from which it holds."""

    what: str
    name: str
    before: float
    now: float
    since: int

    def __str__(self) -> str:
        return f"{self.name}: {self.what} {self.before:.3f} before, {self.now:.3f} now"


def psi(now: np.ndarray, before: np.ndarray) -> float:
    """Population stability index of two histograms (counts, same bins)."""
    p, q = (np.asarray(counts, dtype=float) + _SMOOTHING for counts in (now, before))
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def input_findings(n: np.ndarray, missing: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> list[Finding]:
    """Alarms of inputs on the last of t nights against all nights before an alarm began.

    n (t,): light curves; missing (t, f): of these without a value; counts (t, f, b): values by bin. An alarm holds from
    the first night of the unbroken run of nights that alarm against the nights before the run.
    """
    found = []
    for k, name in enumerate(names):
        since = _began(n, lambda i, j, k=k: _missing_change(n, missing[:, k], i, j) > MAX_MISSING_CHANGE)
        if since is not None:
            before, now = _usual(missing[:since, k, None], n[:since])[0], missing[-1, k] / n[-1]
            found.append(Finding("share missing", name, float(before), float(now), since))
            continue
        since = _began(n, lambda i, j, k=k: _shift(counts[:, k], i, j) > MAX_PSI)
        if since is not None:
            found.append(Finding("population stability index", name, 0.0, _shift(counts[:, k], since, -1), since))
    return found


def share_findings(counts: np.ndarray, names: Sequence[str]) -> list[Finding]:
    """An alarm when the shares of the classes (t, k) on the last night differ from those before; names the class."""
    n = counts.sum(axis=1)
    since = _began(n, lambda i, j: _shift(counts, i, j) > MAX_PSI)
    if since is None:
        return []
    now, before = counts[-1] / n[-1], _usual(counts[:since], n[:since])
    most = int(np.abs(now - before).argmax())
    return [Finding("share of classes", names[most], float(before[most]), float(now[most]), since)]


def _began(n: np.ndarray, alarm) -> int | None:
    """First night of the run of alarming nights that ends with the last one; None when the last one is quiet.

    `alarm(i, j)`: does night j differ from the nights before i? Nights with too few light curves neither alarm nor end
    a run. The run is grown backwards, so that nights that alarm do not hide in what they are compared with.
    """
    usable = [int(i) for i in np.flatnonzero(n >= MIN_LIGHT_CURVES)]
    last = len(n) - 1
    if last not in usable or len(usable) < 2 or not any(alarm(start, last) for start in usable[1:]):
        return None
    since = None
    for start in usable[1:]:
        # The first start from which every night differs from all before it is where it began.
        if all(alarm(start, j) for j in usable if j >= start):
            since = start
            break
    return since


def _missing_change(n: np.ndarray, missing: np.ndarray, start: int, night: int) -> float:
    return float(abs(missing[night] / n[night] - _usual(missing[:start, None], n[:start])[0]))


def _shift(counts: np.ndarray, start: int, night: int) -> float:
    n = counts.sum(axis=1)
    if n[night] < MIN_LIGHT_CURVES or not (n[:start] >= MIN_LIGHT_CURVES).any():
        return 0.0
    return psi(counts[night], _usual(counts[:start], n[:start]) * n[night])


def _usual(counts: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Median over nights of the shares counts / n, (k,): a few odd nights among them do not move it."""
    enough = n >= MIN_LIGHT_CURVES
    return np.median(counts[enough] / n[enough, None], axis=0)
