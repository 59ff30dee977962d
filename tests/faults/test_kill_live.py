"""The live stream killed at random moments, with its broker and Dagster's daemon; the modules play it longer."""

import subprocess
import sys

import pytest

from tests.kafka import Broker

GAMES = {
    "kill_live": "--kills 5 --packets 150 --poison 0.05 --batch 20 --longest 3 --seed 3",
    "kill_daemon": "--kills 1 --packets 150 --poison 0.05 --longest 3 --seconds 15 --seed 3",
}


@pytest.mark.parametrize("game", list(GAMES))
def test_kills_lose_nothing_and_publish_nothing_twice(apache_kafka: Broker, game: str) -> None:
    command = [sys.executable, "-m", f"tests.faults.{game}", *GAMES[game].split()]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "nothing lost, nothing twice, in or out" in result.stdout
