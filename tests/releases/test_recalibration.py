"""A simulated channel with known flaws: zero points, bad exposures, errors and the ensemble come out as they were put
in."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from alerce_dagster.errors import InputError
from alerce_dagster.releases.light_curves import LightCurves, from_table
from alerce_dagster.releases.recalibration import Solution, recalibrate
from alerce_dagster.simulation import channels
from alerce_dagster.simulation.channels import SimulatedChannel, Sky, simulate_channel

SKY = Sky(n_objects=2_000, n_exposures=80, seed=5)


@pytest.fixture(scope="module")
def made() -> SimulatedChannel:
    return simulate_channel(SKY)


@pytest.fixture(scope="module")
def curves(made: SimulatedChannel) -> LightCurves:
    return from_table(made.table, "made").curves


@pytest.fixture(scope="module")
def solution(curves: LightCurves) -> Solution:
    return recalibrate(curves)


def rows(made: SimulatedChannel, curves: LightCurves) -> np.ndarray:
    """Which simulated object each light curve is."""
    return curves.objectid - made.table["objectid"][0].as_py()


def zero_point_errors(made: SimulatedChannel, curves: LightCurves, solution: Solution) -> np.ndarray:
    """Recovered less true zero points of the good exposures, for a star of the ensemble's mean colour, mag."""
    colour = made.colour[rows(made, curves)][solution.ensemble].mean()
    true = made.zero_point - colour * made.clrcoeff
    difference = (solution.state.terms[:, 0] - true)[~solution.bad]
    return difference - np.median(difference)


def test_zero_points_to_two_millimagnitudes(made, curves, solution) -> None:
    assert zero_point_errors(made, curves, solution).std() < 0.002
    injected = made.zero_point[~solution.bad]
    assert injected.std() > 0.01  # there was something to be found


def test_colour_and_position_pay_and_curvature_does_not(solution) -> None:
    """Each was injected, but for the curvature."""
    assert "colour" in solution.model
    assert "position" in solution.model
    assert "curvature" not in solution.model
    assert min(solution.trials, key=solution.trials.get).startswith("zero point, colour")  # type: ignore[arg-type]


def test_colours_are_found(made, curves, solution) -> None:
    bright = solution.ensemble & (solution.state.mean < 16) & (solution.n_used > 50)
    found = -solution.state.slope[bright]
    assert np.corrcoef(found, made.colour[rows(made, curves)][bright])[0, 1] > 0.5


def test_bad_exposures_are_flagged(made, solution) -> None:
    """Exposures through clouds, and those that the release marks itself; no more than a few good ones."""
    unusable = solution.exposures.n_flagged == solution.exposures.n_epochs
    assert solution.bad[unusable].all()
    assert solution.bad[made.bad].mean() >= 0.75
    assert solution.bad[~made.bad & ~unusable].mean() < 0.03
    assert not solution.use[solution.bad[solution.exposures.of_epoch]].any()


def test_errors_are_right_on_stars_that_nobody_selected(made, curves, solution) -> None:
    """Of all truly constant stars, not of those that were found constant."""
    constant = (made.kind[rows(made, curves)] == channels.CONSTANT) & (solution.n_used >= 20)
    mag = solution.state.mean
    for low, high in ((13, 15), (15, 17), (17, 18.5), (18.5, 20.5)):
        chosen = constant & (mag >= low) & (mag < high)
        assert solution.chi2[chosen].sum() / solution.freedom[chosen].sum() == pytest.approx(1.0, abs=0.1)


def test_variables_leave_the_ensemble(made, curves, solution) -> None:
    kind = made.kind[rows(made, curves)]
    loud = np.isin(kind, (channels.PERIODIC, channels.WALK)) & ((made.signal / made.error)[rows(made, curves)] > 3)
    assert not solution.ensemble[loud & (solution.n_used > 30)].any()
    assert solution.ensemble[(kind == channels.CONSTANT) & (solution.n_used > 60)].mean() > 0.95


def test_scatter_falls_to_the_noise(solution) -> None:
    bright = solution.ensemble & (solution.state.mean < 15.5)
    assert np.median(solution.spread[bright]) < 0.7 * np.median(solution.spread_before[bright])


def test_galaxies_follow_the_trend_and_stars_do_not(made, curves, solution) -> None:
    kind = made.kind[rows(made, curves)]
    follows = solution.response != 0
    assert solution.trend is not None
    assert follows[kind >= channels.GALAXY].mean() > 0.4
    assert follows[kind < channels.GALAXY].mean() < 0.005


def test_the_same_whatever_the_order_of_the_rows(curves, solution) -> None:
    order = np.random.default_rng(0).permutation(len(curves))
    again = recalibrate(curves.select(order))
    assert again.ensemble.sum() == pytest.approx(solution.ensemble.sum(), rel=0.02)
    assert again.state.terms[~solution.bad, 0] == pytest.approx(solution.state.terms[~solution.bad, 0], abs=0.001)


def test_known_colours_help(made, curves) -> None:
    known = made.colour[rows(made, curves)]
    few = curves.select(np.arange(400))
    blind, seeing = recalibrate(few), recalibrate(few, known[:400])
    bright = (blind.state.mean < 16.5) & (blind.n_used > 30)
    errors = [
        np.abs(-s.state.slope[bright] - (known[:400][bright] - np.median(known[:400]))).mean() for s in (blind, seeing)
    ]
    assert errors[1] < errors[0]


def test_a_channel_without_clean_epochs_says_so(curves) -> None:
    with pytest.raises(
        InputError, match=r"000600_zg_c01_q1 cannot be recalibrated: 0 light curves have 15 clean epochs"
    ):
        recalibrate(replace(curves, catflags=np.full_like(curves.catflags, 32768)))


def test_one_epoch_each(curves) -> None:
    single = curves.select(np.arange(50))
    first = from_table(
        pa.table({name: [[v[0]] if isinstance(v, list) else v for v in column.to_pylist()]
                  for name, column in zip(simulate_columns(), _columns(single), strict=True)}), "made"
    ).curves  # fmt: skip
    with pytest.raises(InputError, match="0 light curves have 15 clean epochs"):
        recalibrate(first)


def simulate_columns() -> list[str]:
    return [
        "objectid",
        "filterid",
        "fieldid",
        "rcid",
        "objra",
        "objdec",
        "hmjd",
        "mag",
        "magerr",
        "clrcoeff",
        "catflags",
    ]


def _columns(curves: LightCurves) -> list[pa.Array]:
    from alerce_dagster.releases.tables import lists

    flat = [pa.array(getattr(curves, name)) for name in simulate_columns()[:6]]
    return flat + [lists(curves.starts, getattr(curves, name)) for name in simulate_columns()[6:]]
