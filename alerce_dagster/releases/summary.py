"""What a run found, as numbers: counts, scatter before and after by magnitude, chi-square, variables."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from alerce_dagster.releases.light_curves import Channel, channel_name
from alerce_dagster.releases.recalibration import Solution
from alerce_dagster.releases.variability import Variability

BIN = 0.5  # mag


@dataclass(frozen=True)
class Figures:
    """What is kept of a solution once its light curves are written: k constant stars and e exposures.

    Attributes
    ----------
    model : what was solved for
    mag, before, after, chi2, freedom : (k,) of the constant stars; before and after are robust scatters, mag
    hmjd, zero_point : (e,) days, mag
    bad : (e,) bool
    """

    model: str
    mag: np.ndarray
    before: np.ndarray
    after: np.ndarray
    chi2: np.ndarray
    freedom: np.ndarray
    hmjd: np.ndarray
    zero_point: np.ndarray
    bad: np.ndarray

    @classmethod
    def of(cls, solution: Solution) -> "Figures":
        """Those of a solution; nothing of it is referred to."""
        stars = solution.ensemble
        return cls(
            solution.model,
            solution.state.mean[stars],
            solution.spread_before[stars],
            solution.spread[stars],
            solution.chi2[stars],
            solution.freedom[stars],
            solution.exposures.hmjd.copy(),
            solution.state.terms[:, 0].copy(),
            solution.bad.copy(),
        )


@dataclass
class ChannelSummary:
    """One channel; `reason` says why it was not recalibrated."""

    channel: Channel
    n_light_curves: int
    figures: Figures | None = None
    tested: int = 0
    extended: int = 0
    variables: int = 0
    with_memory: int = 0
    reason: str = ""

    @property
    def name(self) -> str:
        """As in file names."""
        return channel_name(self.channel)

    def count(self, found: Variability) -> None:
        """Take up the counts of the answers."""
        self.tested, self.extended = len(found.rows), int(found.extended.sum())
        self.variables = int(found.variable.sum())
        self.with_memory = int((found.variable & (found.p_correlated < 0.01)).sum())


@dataclass
class Summary:
    """A run over any number of files."""

    n_rows: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    epochs_left_out: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Files that could not be read, each with the reason."""
    channels: list[ChannelSummary] = field(default_factory=list)

    def as_dict(self) -> dict:
        """For JSON."""
        solved = [c.figures for c in self.channels if c.figures is not None]
        return {
            "light_curves": self.n_rows,
            "kept": sum(c.n_light_curves for c in self.channels),
            "set_aside": dict(self.set_aside),
            "epochs_left_out": dict(self.epochs_left_out),
            "unreadable_files": self.unreadable,
            "channels": len(self.channels),
            "not_recalibrated": {c.name: c.reason for c in self.channels if c.reason},
            "exposures": sum(len(f.hmjd) for f in solved),
            "bad_exposures": int(sum(f.bad.sum() for f in solved)),
            "models": {c.name: c.figures.model for c in self.channels if c.figures},
            "constant_stars": sum(len(f.mag) for f in solved),
            "scatter_by_magnitude": scatter_by_magnitude(solved),
            "reduced_chi_square": reduced_chi_square(solved),
            "extended": sum(c.extended for c in self.channels),
            "tested": sum(c.tested for c in self.channels),
            "variables": sum(c.variables for c in self.channels),
            "variables_with_memory": sum(c.with_memory for c in self.channels),
        }


def scatter_by_magnitude(solved: list[Figures]) -> list[dict]:
    """Medians over the constant stars in bins of magnitude: robust scatter before and after, reduced chi-square."""
    if not solved:
        return []
    names = ("mag", "before", "after", "chi2", "freedom")
    joined = {name: np.concatenate([getattr(f, name) for f in solved]) for name in names}
    number = np.floor(joined["mag"] / BIN).astype(int)
    rows = []
    for n in np.unique(number):
        here = number == n
        rows.append(
            {
                "mag": [float(n * BIN), float((n + 1) * BIN)],
                "stars": int(here.sum()),
                "before": round(float(np.median(joined["before"][here])), 5),
                "after": round(float(np.median(joined["after"][here])), 5),
                "reduced_chi_square": round(float(joined["chi2"][here].sum() / joined["freedom"][here].sum()), 4),
            }
        )
    return rows


def reduced_chi_square(solved: list[Figures]) -> float | None:
    """Of all constant stars together."""
    freedom = sum(float(f.freedom.sum()) for f in solved)
    return round(sum(float(f.chi2.sum()) for f in solved) / freedom, 4) if freedom else None
