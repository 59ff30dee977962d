"""A run that is killed at any moment and started again ends in the same products."""

import subprocess
import sys

from tests.faults.kill_night import POINTS


def test_kills_lose_nothing_and_make_nothing_twice() -> None:
    """At every chosen point and at some random moments; `python -m tests.faults.kill_night` plays it longer."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.faults.kill_night", "--kills", "6", "--packets", "40"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"killed {len(POINTS)} times, then run to the end: the same products" in result.stdout
    assert "6 kills at random moments: nothing lost, nothing twice" in result.stdout
