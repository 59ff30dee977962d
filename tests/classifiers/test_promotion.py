"""A challenger replaces a champion only when it is better on the same objects, and honest."""

import copy
from typing import Any

import pytest

from alerce_dagster.classifiers.promotion import better


def description(log_loss: float, ece: float = 0.03, digest: str = "d", protocol: str = "p") -> dict[str, Any]:
    figures = {"log_loss": {"mean": log_loss}, "ece": {"mean": ece}}
    return {
        "training_set": {"digest": digest},
        "metrics": {"protocol": protocol, "model": {"balanced": figures}},
    }


@pytest.mark.parametrize(
    ("challenger", "champion", "wins"),
    [
        (description(0.4), description(0.5), True),
        (description(0.5), description(0.4), False),
        (description(0.4), description(0.4), False),
        (description(0.3, ece=0.09), description(0.5), False),
        (description(0.3, ece=0.09), None, False),
        (description(0.9), None, True),
        (description(0.3, digest="other"), description(0.5), False),
        (description(0.3, protocol="other"), description(0.5), False),
        ({**description(0.3), "metrics": {}}, None, False),
        (description(0.9), {**description(0.3), "metrics": {}}, True),
    ],
)
def test_who_wins(challenger: dict[str, Any], champion: dict[str, Any] | None, wins: bool) -> None:
    before = copy.deepcopy((challenger, champion))
    verdict, reason = better(challenger, champion)
    assert verdict is wins
    assert reason
    assert (challenger, champion) == before
