"""One posterior of several parts: each moves it as it should, and the sum can be made again."""

import numpy as np
import pytest

from alerce_dagster.classifiers import evidence
from alerce_dagster.classifiers.evidence import CLASSES, LIGHT_CURVE_CLASSES, PRIOR, STAMP_CLASS_OF
from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES

EVEN = dict.fromkeys(STAMP_CLASSES, 0.2)
MIX = dict.fromkeys(LIGHT_CURVE_CLASSES, 1 / 15)


def test_the_prior_is_even_over_stamp_classes() -> None:
    totals = {s: sum(PRIOR[i] for i, c in enumerate(CLASSES) if STAMP_CLASS_OF[c] == s) for s in STAMP_CLASSES}
    assert totals == pytest.approx(EVEN)


def test_saying_nothing_changes_nothing() -> None:
    posterior, told = evidence.combined([evidence.stamp_part(EVEN, {})])
    assert posterior == pytest.approx(PRIOR)
    assert told[0]["kl"] == pytest.approx(0, abs=1e-12)


def test_stamps_alone_give_their_own_probabilities() -> None:
    p = {"AGN": 0.1, "SN": 0.6, "VS": 0.2, "asteroid": 0.06, "bogus": 0.04}
    posterior, _ = evidence.combined([evidence.stamp_part(p, {})])
    for s in STAMP_CLASSES:
        assert sum(posterior[i] for i, c in enumerate(CLASSES) if STAMP_CLASS_OF[c] == s) == pytest.approx(p[s])


def test_light_curve_follows_bayes() -> None:
    """Two classes of equal prior and equal share: their posterior odds are the classifier's."""
    p = dict.fromkeys(LIGHT_CURVE_CLASSES, 0.01) | {"QSO": 0.5, "RRL": 0.37}
    posterior, _ = evidence.combined([evidence.light_curve_part(p, MIX, {})])
    odds = posterior[CLASSES.index("QSO")] / posterior[CLASSES.index("RRL")]
    prior_odds = PRIOR[CLASSES.index("QSO")] / PRIOR[CLASSES.index("RRL")]
    assert odds / prior_odds == pytest.approx(0.5 / 0.37)


def test_no_part_says_more_than_a_thousand_to_one() -> None:
    sure = dict.fromkeys(LIGHT_CURVE_CLASSES, 0.0) | {"RRL": 1.0}
    part = evidence.light_curve_part(sure, MIX, {})
    assert np.abs(part.log_ratio).max() <= np.log(1000) + 1e-12


@pytest.mark.parametrize(("colour", "rises", "falls"), [(1.2, "QSO", "RRL"), (0.1, "SNIa", "QSO")])
def test_wise_colour(colour: float, rises: str, falls: str) -> None:
    part = evidence.wise_part(colour, {})
    assert part.log_ratio[CLASSES.index(rises)] > 0 > part.log_ratio[CLASSES.index(falls)]


def test_the_stored_contributions_add_up_to_the_posterior() -> None:
    parts = [
        evidence.stamp_part(EVEN | {"SN": 0.7, "VS": 0.05}, {}),
        evidence.light_curve_part(MIX | {"SNIa": 0.4, "SNII": 0.1}, MIX, {}),
        evidence.wise_part(0.3, {}),
        evidence.host_part(3.0, 0.95, {}),
    ]
    posterior, told = evidence.combined(parts)
    log = np.log(PRIOR) + sum(np.array(list(part["log_ratio"].values())) for part in told)
    again = np.exp(log) / np.exp(log).sum()
    assert posterior == pytest.approx(again)
    assert [part["part"] for part in told] == ["stamp", "light curve", "cross-match", "host"]


def test_chance_of_a_galaxy() -> None:
    """Grows with the distance and with faintness, between 0 and 1; a bright galaxy at its own place is no chance."""
    assert evidence.chance(1.0, 17.0) < 1e-4
    assert evidence.chance(1.0, 17.0) < evidence.chance(10.0, 17.0) < evidence.chance(10.0, 23.0) < 1
