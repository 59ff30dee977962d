"""What a run found, as numbers: counts, scatter before and after by magnitude, chi-square, variables."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from alerce_dagster.releases.light_curves import Channel, channel_name
from alerce_dagster.releases.recalibration import Solution
from alerce_dagster.releases.variability import Variability

BIN = 0.5  # mag


@dataclass
class ChannelSummary:
    """One channel; `reason` says why it was not recalibrated."""

    channel: Channel
    n_light_curves: int
    solution: Solution | None = None
    variability: Variability | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        return channel_name(self.channel)


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
        solved = [c.solution for c in self.channels if c.solution is not None]
        tested = [c.variability for c in self.channels if c.variability is not None]
        return {
            "light_curves": self.n_rows,
            "kept": sum(c.n_light_curves for c in self.channels),
            "set_aside": dict(self.set_aside),
            "epochs_left_out": dict(self.epochs_left_out),
            "unreadable_files": self.unreadable,
            "channels": len(self.channels),
            "not_recalibrated": {c.name: c.reason for c in self.channels if c.reason},
            "exposures": sum(len(s.exposures) for s in solved),
            "bad_exposures": int(sum(s.bad.sum() for s in solved)),
            "models": {c.name: c.solution.model for c in self.channels if c.solution},
            "constant_stars": int(sum(s.ensemble.sum() for s in solved)),
            "scatter_by_magnitude": scatter_by_magnitude(solved),
            "reduced_chi_square": reduced_chi_square(solved),
            "extended": int(sum(v.extended.sum() for v in tested)),
            "tested": int(sum(len(v.rows) for v in tested)),
            "variables": int(sum(v.variable.sum() for v in tested)),
            "variables_with_memory": int(sum((v.variable & (v.p_correlated < 0.01)).sum() for v in tested)),
        }


def scatter_by_magnitude(solutions: list[Solution]) -> list[dict]:
    """Medians over the constant stars in bins of magnitude: robust scatter before and after, reduced chi-square."""
    if not solutions:
        return []
    joined = {
        name: np.concatenate([values[s.ensemble] for s, values in zip(solutions, of, strict=True)])
        for name, of in {
            "mag": [s.state.mean for s in solutions],
            "before": [s.spread_before for s in solutions],
            "after": [s.spread for s in solutions],
            "chi2": [s.chi2 for s in solutions],
            "freedom": [s.freedom for s in solutions],
        }.items()
    }
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


def reduced_chi_square(solutions: list[Solution]) -> float | None:
    """Of all constant stars together."""
    freedom = sum(float(s.freedom[s.ensemble].sum()) for s in solutions)
    return round(sum(float(s.chi2[s.ensemble].sum()) for s in solutions) / freedom, 4) if freedom else None
