"""The live stream killed at random moments, and its broker too; `python -m tests.faults.kill_live` plays it longer."""

import subprocess
import sys

from tests.kafka import Broker


def test_kills_lose_nothing_and_publish_nothing_twice(apache_kafka: Broker) -> None:
    game = ["--kills", "5", "--packets", "150", "--poison", "0.05", "--batch", "20", "--longest", "3", "--seed", "3"]
    result = subprocess.run(
        [sys.executable, "-m", "tests.faults.kill_live", *game], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "nothing lost, nothing twice, in or out" in result.stdout
