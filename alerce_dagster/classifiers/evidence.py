"""One answer per object: what cutouts, light curve, catalogues and host say, in one posterior.

Naive Bayes: log posterior = log prior + sum over parts of log likelihood ratio. What a calibrated classifier says is
turned back into a likelihood ratio by dividing by the class shares it is calibrated for. Every part's contribution is
kept, so that one can see what moved the probability. The parts are taken as independent given the class; where that is
known to be wrong, a part is left out (Pan-STARRS1 star scores: the stamp network has seen them) or weakened (`WEIGHT`).

The ratios of the two classifiers rest on held-out objects. Those of catalogues and hosts (`WISE_RED`, `OFFSET`) are
round numbers after the literature named beside them: they are stated, not measured here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES, STAMP_CLASSES, classes_of

VERSION = "evidence 1"
LIGHT_CURVE_CLASSES = classes_of(LIGHT_CURVE_TAXONOMIES["15"])
CLASSES = (*LIGHT_CURVE_CLASSES, "asteroid", "bogus")

STAMP_CLASS_OF = (
    dict.fromkeys(("SNIa", "SNIbc", "SNII", "SLSN"), "SN")
    | dict.fromkeys(("QSO", "AGN", "Blazar"), "AGN")
    | dict.fromkeys(("YSO", "CV/Nova", "LPV", "E", "DSCT", "RRL", "CEP", "Periodic-Other"), "VS")
    | {"asteroid": "asteroid", "bogus": "bogus"}
)

# The prior: the stamp classifier's five classes equally frequent (as it is calibrated), divided within each as the
# labelled objects of Sánchez-Sáez et al. (2021, AJ 161, 141).
_WITHIN = {
    **{"SNIa": 1272, "SNIbc": 94, "SNII": 328, "SLSN": 24, "QSO": 26168, "AGN": 4667, "Blazar": 1267},
    **{"YSO": 1740, "CV/Nova": 871, "LPV": 14076, "E": 37901, "DSCT": 732, "RRL": 32482, "CEP": 618},
    **{"Periodic-Other": 1256, "asteroid": 1, "bogus": 1},
}
_TOTAL = {s: sum(n for name, n in _WITHIN.items() if STAMP_CLASS_OF[name] == s) for s in STAMP_CLASSES}
PRIOR = np.array([_WITHIN[name] / _TOTAL[STAMP_CLASS_OF[name]] / len(STAMP_CLASSES) for name in CLASSES])

MOST = np.log(1000.0)  # no part says more than a thousand to one: models are wrong now and then
SMALLEST_SHARE = 0.005  # of a class in a classifier's mix: below it the ratio would rest on a handful of objects
MOVING = 0.001  # six epochs at one place, against something that moves by arcseconds a minute
WEIGHT = {"stamp": 1.0, "light curve": 1.0, "cross-match": 1.0, "host": 0.5}  # hosts are in the cutouts too

# Share of each class's objects with W1 - W2 >= 0.8 (Stern et al. 2012, ApJ 753, 30, for nuclei; Koenig & Leisawitz
# 2014, ApJ 791, 131, for young stars), and, of the rest, of galaxies and stars.
WISE_RED_LIMIT = 0.8
WISE_RED = {"QSO": 0.8, "AGN": 0.5, "Blazar": 0.7, "YSO": 0.4, "LPV": 0.15, "SNIa": 0.02, "SNII": 0.02}
WISE_RED_OTHERS = 0.03
# Share of each class's objects within 0.6 arcsec of the centre of a host galaxy that is not there by chance.
NUCLEAR = 0.6
OFFSET = {"SNIa": 0.15, "SNIbc": 0.15, "SNII": 0.15, "SLSN": 0.35, "QSO": 0.97, "AGN": 0.97, "Blazar": 0.97}
OFFSET_OTHERS = 0.5


@dataclass(frozen=True)
class Part:
    """What one part says: log_ratio (17,) in the order of CLASSES, and where it comes from (JSON-ready)."""

    name: str
    log_ratio: np.ndarray
    source: dict[str, Any]


def stamp_part(probabilities: Mapping[str, float], source: dict[str, Any]) -> Part:
    """Of the stamp classifier's probabilities (equal shares of its classes)."""
    p = np.array([probabilities[STAMP_CLASS_OF[name]] for name in CLASSES])
    return Part("stamp", _log(p * len(STAMP_CLASSES)), source)


def light_curve_part(probabilities: Mapping[str, float], mix: Mapping[str, float], source: dict[str, Any]) -> Part:
    """Of the light-curve classifier's probabilities, calibrated for the class shares `mix`."""
    ratio = np.ones(len(CLASSES))
    for k, name in enumerate(LIGHT_CURVE_CLASSES):
        share = mix[name]
        # A rare class is asked about as if it had a share of SMALLEST_SHARE: its ratio shrinks towards one.
        ratio[k] = (probabilities[name] + max(SMALLEST_SHARE - share, 0.0)) / max(share, SMALLEST_SHARE)
    ratio[CLASSES.index("asteroid")] = MOVING
    return Part("light curve", _log(ratio), source)


def wise_part(w1_w2: float, source: dict[str, Any]) -> Part:
    """Of the colour W1 - W2 (Vega) of an AllWISE counterpart."""
    share = _shares(WISE_RED, WISE_RED_OTHERS)
    return Part("cross-match", _log(_against(share if w1_w2 >= WISE_RED_LIMIT else 1 - share)), source)


def chance(offset: float, r_mag: float) -> float:
    """Probability that a galaxy of this r magnitude or brighter lies within `offset` arcsec by chance.

    Bloom, Kulkarni & Djorgovski (2002, AJ 123, 1111), equations 1 to 3.
    """
    density = 10 ** (0.33 * (r_mag - 24.0) - 2.44) / (0.33 * np.log(10))  # galaxies per square arcsec
    return float(-np.expm1(-np.pi * offset**2 * density))


def host_part(offset: float, probability: float, source: dict[str, Any]) -> Part:
    """Of a host galaxy whose centre is `offset` arcsec away and that belongs to the object with `probability`."""
    share = _shares(OFFSET, OFFSET_OTHERS)
    ratio = _against(share if offset <= NUCLEAR else 1 - share)
    return Part("host", _log(probability * ratio + 1 - probability), source)


def combined(parts: Sequence[Part]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Posterior (17,) of the parts, and what each contributes.

    A contribution has the part's name and source, `log_ratio` by class after capping and weighting, and `kl`: by how
    many nats the part moved the posterior that was there before it.
    """
    log_posterior = np.log(PRIOR)
    before = PRIOR
    told = []
    for part in parts:
        said = WEIGHT[part.name] * np.clip(part.log_ratio, -MOST, MOST)
        log_posterior = log_posterior + said
        after = np.exp(log_posterior - log_posterior.max())
        after /= after.sum()
        told.append(
            {
                "part": part.name,
                "source": part.source,
                "log_ratio": {name: float(value) for name, value in zip(CLASSES, said, strict=True)},
                "kl": float(np.sum(after * np.log(np.maximum(after, 1e-300) / np.maximum(before, 1e-300)))),
            }
        )
        before = after
    return before, told


def _shares(named: Mapping[str, float], others: float) -> np.ndarray:
    return np.array([named.get(name, others) for name in CLASSES])


def _against(likelihood: np.ndarray) -> np.ndarray:
    """Likelihoods relative to their mean under the prior."""
    return likelihood / float(likelihood @ PRIOR)


def _log(ratio: np.ndarray) -> np.ndarray:
    return np.clip(np.log(np.maximum(ratio, 1e-12)), -MOST, MOST)
