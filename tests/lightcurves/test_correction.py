"""Apparent magnitudes out of difference photometry: closed forms, undefined cases, forced photometry."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.lightcurves.tables import CORRECTION, FORCED_MAGNITUDES
from alerce_dagster.surveys.tables import DETECTIONS, FORCED_PHOTOMETRY


def _one(detections, **values):
    return detections(values).to_pylist()[0]


def test_equal_fluxes_double_the_brightness(detections):
    row = _one(detections, mag=19.0, ref_mag=19.0, mag_err=0.1, ref_mag_err=0.06)
    assert row["mag_corr"] == pytest.approx(19.0 - 2.5 * math.log10(2), abs=1e-12)
    # errors of equal fluxes are the magnitude errors over two, the reference's taken off in quadrature
    assert row["mag_corr_err_ext"] == pytest.approx(0.05, abs=1e-12)
    assert row["mag_corr_err"] == pytest.approx(0.04, abs=1e-12)


def test_a_negative_difference_makes_the_source_fainter(detections):
    # a quarter of the reference flux is missing
    row = _one(detections, mag=18.0 - 2.5 * math.log10(0.25), ref_mag=18.0, positive=False)
    assert row["mag_corr"] == pytest.approx(18.0 - 2.5 * math.log10(0.75), abs=1e-12)


@pytest.mark.parametrize(
    ("values", "corrected", "defined"),
    [
        ({"ref_distance": 1.39}, True, {"mag_corr", "mag_corr_err", "mag_corr_err_ext"}),
        ({"ref_distance": 1.4}, False, set()),
        ({"ref_distance": None}, False, set()),
        ({"ref_mag": None}, True, set()),
        ({"mag": None}, True, set()),
        ({"positive": None}, True, set()),
        ({"mag_err": None}, True, {"mag_corr"}),
        ({"ref_mag_err": None}, True, {"mag_corr", "mag_corr_err_ext"}),
        # all of the reference flux and more is missing
        ({"mag": 18.0, "ref_mag": 18.0, "positive": False}, True, set()),
        ({"mag": 17.0, "ref_mag": 18.0, "positive": False}, True, set()),
        # the reference source is noisier than the difference
        (
            {"mag": 20.0, "mag_err": 0.01, "ref_mag": 18.0, "ref_mag_err": 0.1},
            True,
            {"mag_corr", "mag_corr_err_ext"},
        ),
        # the sentinel of other brokers for "no magnitude" has no special place: it is no flux at all
        ({"mag": 1e6}, True, {"mag_corr", "mag_corr_err_ext"}),
    ],
)
def test_what_is_undefined_is_null(detections, values, corrected, defined):
    row = _one(detections, **values)
    assert row["corrected"] is corrected
    assert {name for name in CORRECTION.names[:3] if row[name] is not None} == defined
    assert all(math.isfinite(row[name]) for name in defined)


def test_schema_order_and_repetition(detections):
    table = detections({}, {"ref_distance": 3.0}, {"mag": 15.0})
    assert table.schema.equals(pa.schema([*DETECTIONS, *CORRECTION]), check_metadata=True)
    assert correct(table).equals(table)


def test_an_empty_table_keeps_its_columns():
    assert correct(DETECTIONS.empty_table()).column_names == [*DETECTIONS.names, *CORRECTION.names]


@pytest.fixture(scope="module")
def forced():
    def make(**values):
        row = {
            "flux": 10.0,
            "flux_err": 1.0,
            "ref_distance": 0.1,
            "ref_mag": 21.4,
            "ref_mag_err": 0.02,
        } | values
        table = pa.Table.from_pylist([{n: row.get(n) for n in FORCED_PHOTOMETRY.names}], schema=FORCED_PHOTOMETRY)
        return correct(table)

    return make


def test_forced_flux_becomes_a_magnitude(forced):
    table = forced(flux=-100.0, flux_err=5.0)
    assert table.schema.equals(pa.schema([*FORCED_PHOTOMETRY, *FORCED_MAGNITUDES, *CORRECTION]), check_metadata=True)
    row = table.to_pylist()[0]
    assert row["mag"] == pytest.approx(18.9, abs=1e-12)  # 100 µJy
    assert row["mag_err"] == pytest.approx(0.05 * 2.5 / math.log(10), abs=1e-12)
    assert row["positive"] is False


def test_forced_photometry_without_change_gives_the_reference_magnitude(forced):
    row = forced(flux=0.0).to_pylist()[0]
    assert row["mag"] is None
    assert row["mag_corr"] == pytest.approx(21.4, abs=1e-12)
    # a flux error of 1 µJy on a source of 10 µJy
    assert row["mag_corr_err_ext"] == pytest.approx(0.1 * 2.5 / math.log(10), abs=1e-12)


def test_forced_photometry_that_failed_stays_null(forced):
    row = forced(flux=None, flux_err=None).to_pylist()[0]
    assert [row[name] for name in (*FORCED_MAGNITUDES.names, *CORRECTION.names[:3])] == [None] * 6


@settings(deadline=None)
@given(
    flux=st.floats(0.5, 1e5),
    relative_error=st.floats(1e-3, 0.5),
    ref_mag=st.floats(12, 22),
    positive=st.booleans(),
)
def test_detections_and_forced_photometry_agree(detections, forced, flux, relative_error, ref_mag, positive):
    """One measurement, told as a magnitude with a sign or as a signed flux."""
    mag, mag_err = 23.9 - 2.5 * math.log10(flux), relative_error * 2.5 / math.log(10)
    told = _one(detections, mag=mag, mag_err=mag_err, positive=positive, ref_mag=ref_mag, ref_mag_err=0.02)
    signed = flux if positive else -flux
    same = forced(flux=signed, flux_err=flux * relative_error, ref_mag=ref_mag).to_pylist()[0]
    reference = 10 ** (-0.4 * (ref_mag - 23.9))
    for name in ("mag_corr", "mag_corr_err_ext", "corrected"):
        if abs(reference + signed) > 1e-6 * reference:  # closer to zero, rounding decides
            assert same[name] == (told[name] if told[name] is None else pytest.approx(told[name], rel=1e-6))


def test_the_error_is_that_of_a_simulation(detections):
    """The error of the sum, found by drawing science and reference fluxes many times."""
    rng = np.random.default_rng(5)
    reference, science, s_ref, s_sci = 30.0, 50.0, 0.4, 1.1
    draws_ref, draws_sci = rng.normal(reference, s_ref, 200_000), rng.normal(science, s_sci, 200_000)
    difference = draws_sci - draws_ref
    scatter = np.std(-2.5 * np.log10(draws_sci))
    row = _one(
        detections,
        mag=23.9 - 2.5 * math.log10(science - reference),
        mag_err=2.5 / math.log(10) * np.std(difference) / (science - reference),
        ref_mag=23.9 - 2.5 * math.log10(reference),
        ref_mag_err=2.5 / math.log(10) * s_ref / reference,
    )
    assert row["mag_corr_err"] == pytest.approx(scatter, rel=0.01)
