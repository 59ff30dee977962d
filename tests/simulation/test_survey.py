"""The survey's schedule, and how a simulation grows."""

import os
import subprocess
import sys
import tracemalloc
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from alerce_dagster.simulation import survey
from alerce_dagster.simulation.world import Plan, lasting
from alerce_dagster.simulation.ztf import simulate

START = date(2024, 9, 2)


@pytest.fixture(scope="module")
def sky():
    return survey.exposures(np.random.default_rng(1), START, 40)


def test_one_telescope(sky):
    times = np.sort(sky.mjd[np.isfinite(sky.mjd)])
    assert np.diff(times).min() * 86400 > sky.model.spacing - 0.01


def test_weather_takes_its_share_and_comes_in_spells(sky):
    clear = survey._weather(np.random.default_rng(3), 20_000, survey.ZTF)
    assert 1 - clear.mean() == pytest.approx(survey.ZTF.weather_loss, abs=0.02)
    after_bad = 1 - clear[1:][~clear[:-1]].mean()
    assert after_bad > 2 * survey.ZTF.weather_loss


def test_the_moon_takes_depth(sky):
    """Nights about full moon are as much shallower in g as the model says, less in r."""
    night = np.arange(sky.mjd.shape[1]) // 2
    phase = (sky.first_night + night - 51549.76) / 29.5306 % 1
    for band in (0, 1):
        full, new = (
            np.nanmedian(np.where(np.isfinite(sky.mjd), sky.limit, np.nan)[:, chosen & (sky.band == band)])
            for chosen in (np.abs(phase - 0.5) < 0.04, np.minimum(phase, 1 - phase) < 0.08)
        )
        assert new - full == pytest.approx(survey.ZTF.bands[band].moon, abs=0.15)


def test_fields_are_visited_by_night_and_at_their_hour(sky):
    hours = sky.mjd % 1 * 24
    assert np.nanmin(hours) > survey.ZTF.midnight - survey.ZTF.hours
    assert np.nanmax(hours) < survey.ZTF.midnight + survey.ZTF.hours + 3


def test_another_survey_is_another_model():
    """Nothing of ZTF is left in the schedule of a survey with six bands from the south."""
    bands = tuple(survey.BandModel(name, 24.0, 0.5, 4.0, 31.4, 0.0) for name in "ugrizy")
    model = survey.ZTF._replace(name="south", bands=bands, declinations=(-80.0, 0.0), field_size=3.5, midnight=5.0)
    sky = survey.exposures(np.random.default_rng(1), START, 2, model, history=10)
    assert sky.mjd.shape == (sky.field_ra.size, 12 * 6)
    assert sky.field_dec.max() <= 0
    assert np.nanmedian(sky.limit) == pytest.approx(23.6, abs=0.4)
    assert set(sky.band) == set(range(6))


def test_patches_depend_on_nothing_but_their_plan(sky):
    plan = Plan((5, 1), np.flatnonzero(np.isfinite(sky.mjd[:, sky.first_epoch :]).any(axis=1))[:30], 200, 0)
    first, again = lasting(sky, plan), lasting(sky, plan)
    assert np.array_equal(first.measured, again.measured, equal_nan=True)
    assert np.array_equal(first.recent, again.recent)


def test_many_patches_keep_names_candids_and_the_order_of_time():
    made = simulate(400, 1, 3, n_objects=13_000)
    packets = list(made.packets)
    assert made.truth["n_alerts"].to_numpy().sum() == len(packets) == len({p.candid for p in packets}) == 400
    assert len(set(made.truth["oid"].to_pylist())) == made.truth.num_rows
    pids = [packet.candid // 10**10 for packet in packets]  # night and fraction of the day
    assert pids == sorted(pids)


def test_packets_are_not_kept():
    """Reading packets takes a third of their size at most: what is kept of them is bounded and full by then."""
    packets = simulate(1500, 1, 2, n_objects=3000).packets
    next(packets)
    tracemalloc.start()
    size = sum(len(packet.data) for packet in packets)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 100e6
    assert used < size / 3


# Of what the program below makes; it changes with every change of the simulation, and never with the machine.
GOLDEN = "ae8fffe08c27014bdca45a4f6fe68b8cc2c76f665d77e3eb62afa44c33577432"
PROGRAM = """
import hashlib
from alerce_dagster.simulation.light_curves import simulate_light_curves
from alerce_dagster.simulation.ztf import simulate
made, digest = simulate(80, 2, 6, history=60), hashlib.sha256()
digest.update(repr(made.truth.to_pylist()).encode())
for packet in made.packets:
    digest.update(packet.data)
for table in simulate_light_curves(2, 6, nights=150):
    digest.update(repr(table.to_pylist()).encode())
print(digest.hexdigest())
"""


def _digest(python: str, **environment: str) -> str:
    variables = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment
    result = subprocess.run([python, "-c", PROGRAM], env=variables, capture_output=True, check=True, text=True)
    return result.stdout.strip()


@pytest.mark.parametrize("without", ["", "X86_V4 AVX512_ICL AVX512F AVX512_SKX"], ids=["this", "older"])
def test_every_processor_makes_the_same_bytes(without):
    """NumPy rounds functions differently where it has wider vectors; nothing of that may be left in a packet."""
    assert _digest(sys.executable, NPY_DISABLE_CPU_FEATURES=without) == GOLDEN


def test_another_python_makes_the_same_bytes():
    """Set ALERCE_OTHER_PYTHON to an interpreter with the same packages in other versions."""
    other = os.environ.get("ALERCE_OTHER_PYTHON")
    if not other:
        pytest.skip("ALERCE_OTHER_PYTHON names no second interpreter")
    assert _digest(other) == GOLDEN
