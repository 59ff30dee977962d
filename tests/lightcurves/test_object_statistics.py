"""Statistics per object and per band: closed forms, and what must not change the result."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.lightcurves.statistics import object_statistics
from alerce_dagster.lightcurves.tables import MAGSTATS, OBJECTS


def _run(detections, others):
    stats = object_statistics(detections, *others)
    return stats.objects.to_pylist(), stats.magstats.to_pylist(), stats.dubious


def test_one_detection(detections, other_tables):
    (row,), (band,), dubious = _run(detections({"mag": 18.5, "ra": 10.0, "dec": -5.0}), other_tables())
    assert (row["n_det"], row["n_forced"], row["n_non_det"]) == (1, 0, 0)
    assert row["first_mjd"] == row["last_mjd"] == 59001.0
    assert row["delta_mjd"] == 0
    assert (row["ra"], row["dec"]) == pytest.approx((10.0, -5.0), abs=1e-12)
    assert row["ra_err"] == row["dec_err"] == pytest.approx(0.065)
    assert row["n_det_history"] is None
    assert row["reference_change"] is None
    assert row["g_r_max"] is None
    for name in ("mean", "median", "max", "min", "first", "last"):
        assert band[f"mag_{name}"] == 18.5
    assert band["mag_sigma"] == 0
    assert band["dmdt_first"] is None
    assert dubious.tolist() == [False]


def test_schemas_and_order(random_survey):
    stats = object_statistics(*random_survey(3))
    assert stats.objects.schema.equals(OBJECTS, check_metadata=True)
    assert stats.magstats.schema.equals(MAGSTATS, check_metadata=True)
    keys = list(zip(stats.magstats["oid"].to_pylist(), stats.magstats["band"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert stats.objects["oid"].to_pylist() == sorted(stats.objects["oid"].to_pylist())


def test_no_detections_give_empty_tables(detections, other_tables):
    stats = object_statistics(detections(), *other_tables())
    assert stats.objects.num_rows == stats.magstats.num_rows == stats.dubious.size == 0


@pytest.mark.parametrize("column", ["oid", "band", "mjd", "candid"])
def test_what_identifies_a_detection_must_be_there(detections, other_tables, column):
    table = detections({}, {})
    broken = table.set_column(
        table.column_names.index(column), table.schema.field(column), [pa.nulls(2, table[column].type)]
    )
    with pytest.raises(ValueError, match=f"column {column} .*nulls"):
        object_statistics(broken, *other_tables())


def test_magnitudes_of_a_band(detections, other_tables):
    mags = [18.0, 17.0, None, 19.5, 16.0]
    table = detections(*({"mag": mag} for mag in mags))
    _, (band,), _ = _run(table, other_tables())
    finite = [mag for mag in mags if mag is not None]
    assert band["n_det"] == 5
    assert band["mag_mean"] == pytest.approx(np.mean(finite), abs=1e-12)
    assert band["mag_median"] == 17.5
    assert (band["mag_max"], band["mag_min"]) == (19.5, 16.0)
    assert band["mag_sigma"] == pytest.approx(np.std(finite), abs=1e-12)
    assert (band["mag_first"], band["mag_last"]) == (18.0, 16.0)
    corrected = [mag for mag in table["mag_corr"].to_pylist() if mag is not None]
    assert band["mag_mean_corr"] == pytest.approx(np.mean(corrected), abs=1e-12)
    assert band["mag_sigma_corr"] == pytest.approx(np.std(corrected), abs=1e-12)


def test_an_undefined_corrected_magnitude_does_not_enter_the_mean(detections, other_tables):
    """A sum of fluxes below zero has no magnitude; storing it as 100 would spoil mean, maximum and
    scatter."""
    gone = {"mag": 18.0, "ref_mag": 19.0, "positive": False}
    table = detections({"mag": 18.0}, gone, {"mag": 18.0})
    _, (band,), _ = _run(table, other_tables())
    assert band["mag_max_corr"] == band["mag_min_corr"] == table["mag_corr"][0].as_py()
    assert band["mag_sigma_corr"] == 0


def test_colours_need_both_bands(detections, other_tables):
    table = detections(
        {"oid": "both", "band": "g", "mag": 19.0},
        {"oid": "both", "band": "g", "mag": 18.0},
        {"oid": "both", "band": "r", "mag": 17.0},
        {"oid": "both", "band": "i", "mag": 12.0},
        {"oid": "single", "band": "r"},
    )
    (both, single), _, _ = _run(table, other_tables())
    assert both["g_r_max"] == 1.0
    assert both["g_r_mean"] == 1.5
    assert single["g_r_max"] is single["g_r_mean_corr"] is None


def test_dubious_truth_table(detections, other_tables):
    """Fainter without a reference source, or at odds with the first detection of the band."""
    near, far = {"ref_distance": 0.5}, {"ref_distance": 5.0}
    table = detections(
        {"oid": "near"} | near,
        {"oid": "near"} | far,
        {"oid": "near", "positive": False} | near,
        {"oid": "far"} | far,
        {"oid": "far"} | near,
        {"oid": "far", "positive": False} | far,
        {"oid": "far", "positive": None} | far,
        {"oid": "far", "band": "r"} | near,  # the first of its own band
    )
    objects, bands, dubious = _run(table, other_tables())
    assert dubious.tolist() == [False, True, False, False, True, True, False, False]
    assert [row["n_dubious"] for row in bands] == [2, 0, 1]
    assert [row["corrected"] for row in objects] == [False, True]


def test_saturation(detections, other_tables):
    bright, faint = {"mag": 12.0, "ref_mag": 14.0}, {"mag": 18.0, "ref_mag": 18.0}
    far = bright | {"ref_distance": 9.0}
    _, (band,), _ = _run(detections(bright, faint, faint, far), other_tables())
    assert band["saturation_rate"] == pytest.approx(1 / 3)
    _, (band,), _ = _run(detections(far), other_tables())
    assert band["saturation_rate"] is None


@pytest.mark.parametrize(
    ("values", "ps1", "stellar"),
    [
        ({}, {"ps1_distance_1": 0.5, "ps1_star_score_1": 0.9}, True),
        ({}, {"ps1_distance_1": 0.5, "ps1_star_score_1": 0.4}, False),
        # PS1 has no source that close: the shape of the reference source decides
        ({"ref_sharp": 0.0}, {"ps1_distance_1": 2.0, "ps1_star_score_1": 0.9}, True),
        ({"ref_sharp": 0.0}, {}, True),
        ({"ref_sharp": 0.2}, {}, False),
        ({"ref_sharp": 0.1}, {}, False),
        ({"ref_sharp": -0.2}, {}, False),
        ({"ref_sharp": -0.13}, {}, False),
        ({"ref_sharp": None}, {}, False),
        ({"ref_sharp": 0.0, "ref_chi": 2.0}, {}, False),
        ({"ref_distance": 2.0}, {"ps1_distance_1": 0.5, "ps1_star_score_1": 0.9}, False),
    ],
)
def test_stellar(detections, other_tables, values, ps1, stellar):
    alert = {"oid": "A", "candid": 1, "mjd": 59001.0} | ps1
    (row,), (band,), _ = _run(detections(values, {"ref_distance": 9.0}), other_tables(alerts=[alert]))
    assert row["stellar"] is band["stellar"] is stellar


def test_a_first_detection_out_of_a_history_takes_the_ps1_source_of_the_earliest_alert(detections, other_tables):
    table = detections({"has_stamp": False, "ref_sharp": 0.5}, {"ref_sharp": 0.5}, {"ref_sharp": 0.5})
    alerts = [
        {"oid": "A", "candid": 3, "mjd": 59003.0, "ps1_distance_1": 0.3, "ps1_star_score_1": 0.1},
        {"oid": "A", "candid": 2, "mjd": 59002.0, "ps1_distance_1": 0.3, "ps1_star_score_1": 0.9},
        {"oid": "B", "candid": 1, "mjd": 58000.0, "ps1_distance_1": 0.3, "ps1_star_score_1": 0.1},
    ]
    (row,), _, _ = _run(table, other_tables(alerts=alerts))
    assert row["stellar"] is True


def test_upper_limits_before_the_first_detection(detections, other_tables):
    def limit(dt, mag, band="g", oid="A"):
        return {"oid": oid, "band": band, "mjd": 59001.0 - dt, "mag_limit": mag}

    table = detections({"mag": 18.0, "mag_err": 0.1})
    limits = [
        limit(0.5, 19.9),  # not more than half a day before: the same night
        limit(2.0, 20.1),  # (18 + 0.1 - 20.1)/2 = -1
        limit(4.0, 20.5),  # -0.6
        limit(8.0, 19.0),  # -0.1125
        limit(-1.0, 10.0),  # after the detection
        limit(10.0, 17.0, band="r"),  # another band
        limit(10.0, 17.0, oid="B"),  # another object
    ]
    (row,), (band,), _ = _run(table, other_tables(non_detections=limits))
    assert row["n_non_det"] == 6
    assert band["dmdt_first"] == pytest.approx(-1.0)
    assert band["dm_first"] == pytest.approx(18.0 - 20.1)
    assert band["dt_first"] == pytest.approx(2.0)
    # the error of the difference is that of the magnitude, for the limit has none
    assert band["sigmadm_first"] == pytest.approx(0.1)


@pytest.mark.parametrize("order", [1, -1])
def test_of_limits_that_allow_the_same_rise_the_later_counts(detections, other_tables, order):
    limits = [
        {"oid": "A", "band": "g", "mjd": 59001.0 - dt, "mag_limit": 18.0 + 0.5 + dt / 4} for dt in (2.0, 4.0, 8.0)
    ]
    table = detections({"mag": 18.0, "mag_err": 0.5})  # exact in binary: the rises are -1/4 to the last bit
    _, (band,), _ = _run(table, other_tables(non_detections=limits[::order]))
    assert band["dmdt_first"] == -0.25
    assert band["dt_first"] == 2.0


def test_a_first_magnitude_without_error_gives_no_rise(detections, other_tables):
    limits = [{"oid": "A", "band": "g", "mjd": 58990.0, "mag_limit": 20.0}]
    _, (band,), _ = _run(detections({"mag_err": None}), other_tables(non_detections=limits))
    assert band["dmdt_first"] is band["dt_first"] is band["sigmadm_first"] is None


def test_what_the_latest_alert_says(detections, other_tables):
    alerts = [
        {"oid": "A", "candid": c, "mjd": 59000.0 + c, "n_det_history": 10 * c, "ref_mjd_end": end}
        for c, end in ((2, 58000.0), (3, None), (1, 59000.5))
    ]
    (row,), _, _ = _run(detections({}, {}, {}), other_tables(alerts=alerts))
    assert row["n_det_history"] == 30
    assert row["n_cov_history"] is None
    assert row["reference_change"] is False
    alerts[0]["ref_mjd_end"] = 59001.5  # after the first detection, before the alert's own
    (row,), _, _ = _run(detections({}, {}, {}), other_tables(alerts=alerts))
    assert row["reference_change"] is True


def test_positive(detections, other_tables):
    (a, b), _, _ = _run(
        detections({"positive": False}, {"positive": True}, {"oid": "B", "positive": False}), other_tables()
    )
    assert a["any_positive"] is True
    assert b["any_positive"] is False


# --- positions ------------------------------------------------------------------------------------


def test_position_is_the_weighted_mean(detections, other_tables):
    places = [("g", 150.00001, 2.00002), ("r", 150.00003, 2.0), ("r", 149.99999, 1.99999), ("i", 150.0, 2.0)]
    table = detections(*({"band": b, "ra": ra, "dec": dec} for b, ra, dec in places))
    weights = np.array([{"g": 0.065}.get(b, 0.085) ** -2 for b, _, _ in places])
    (row,), _, _ = _run(table, other_tables())
    assert row["ra"] == pytest.approx(np.average([p[1] for p in places], weights=weights), abs=1e-10)
    assert row["dec"] == pytest.approx(np.average([p[2] for p in places], weights=weights), abs=1e-10)
    assert row["ra_err"] == pytest.approx(weights.sum() ** -0.5)


@settings(deadline=None)
@given(
    centre=st.sampled_from([0.0, 1e-9, 359.9999999, 0.00004, 180.0]),
    dec=st.floats(-89, 89),
    offsets=st.lists(st.floats(-3, 3), min_size=1, max_size=6),
)
def test_position_across_zero_hours(detections, other_tables, centre, dec, offsets):
    """Offsets in arcsec along right ascension about 0h average as they do anywhere."""
    table = detections(*({"ra": (centre + o / 3600) % 360, "dec": dec} for o in offsets))
    (row,), _, _ = _run(table, other_tables())
    away = (row["ra"] - centre - np.mean(offsets) / 3600 + 180) % 360 - 180
    assert abs(away) < 1e-9
    assert row["dec"] == pytest.approx(dec, abs=1e-8)
    assert 0 <= row["ra"] < 360


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_position_at_a_pole(detections, other_tables, pole):
    """Four detections around a pole, one arcsec away from it at every six hours, have their mean at the
    pole."""
    dec = math.copysign(90 - 1 / 3600, pole)
    table = detections(*({"ra": ra, "dec": dec} for ra in (0.0, 90.0, 180.0, 270.0)))
    (row,), _, _ = _run(table, other_tables())
    assert row["dec"] == pytest.approx(pole, abs=1e-10)
    assert 0 <= row["ra"] < 360


def test_position_agrees_with_astropy(detections, other_tables):
    from astropy.coordinates import SkyCoord

    rng = np.random.default_rng(8)
    ra, dec = (359.9999 + rng.normal(0, 3e-4, 40)) % 360, 71 + rng.normal(0, 1e-4, 40)
    (row,), _, _ = _run(detections(*({"ra": a, "dec": d} for a, d in zip(ra, dec, strict=True))), other_tables())
    mean = SkyCoord(SkyCoord(ra, dec, unit="deg").cartesian.mean(), representation_type="unitspherical")
    assert SkyCoord(row["ra"], row["dec"], unit="deg").separation(mean).arcsec < 1e-6


def test_unknown_positions_do_not_count(detections, other_tables):
    (row,), _, _ = _run(detections({"ra": 10.0, "dec": 1.0}, {"ra": None, "dec": None}), other_tables())
    assert (row["ra"], row["ra_err"]) == (pytest.approx(10.0), pytest.approx(0.065))
    (row,), _, _ = _run(detections({"ra": None, "dec": None}), other_tables())
    assert row["ra"] is row["ra_err"] is None


# --- what must not change the result --------------------------------------------------------------


def _shuffled(table, rng):
    return table.take(pa.array(rng.permutation(table.num_rows)))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_does_not_change_a_bit(random_survey, seed):
    tables = random_survey(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(tables[0].num_rows)
    stats = object_statistics(*tables)
    again = object_statistics(tables[0].take(pa.array(order)), *(_shuffled(t, rng) for t in tables[1:]))
    assert again.objects.equals(stats.objects)
    assert again.magstats.equals(stats.magstats)
    assert (again.dubious == stats.dubious[order]).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_other_objects_of_a_batch_do_not_change_a_bit(random_survey, seed):
    tables = random_survey(seed)
    stats = object_statistics(*tables)
    for place in (0, stats.objects.num_rows - 1):
        oid = stats.objects["oid"][place].as_py()
        mine = tables[0].filter(pa.compute.equal(tables[0]["oid"], oid))
        alone = object_statistics(mine, *tables[1:])  # rows of other objects are ignored
        assert alone.objects.equals(stats.objects.slice(place, 1))
        assert alone.magstats.equals(
            stats.magstats.filter(pa.compute.equal(stats.magstats["oid"], oid)).combine_chunks()
        )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rows_that_come_twice_count_once(random_survey, seed):
    tables = random_survey(seed)
    rng = np.random.default_rng(seed)
    stats = object_statistics(*tables)
    again = object_statistics(*(_shuffled(pa.concat_tables([t, t.slice(0, t.num_rows // 2)]), rng) for t in tables))
    assert again.objects.equals(stats.objects)
    assert again.magstats.equals(stats.magstats)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_two_tellings_of_one_detection(detections, other_tables, seed):
    """The row with the packet counts; which of several histories comes first does not matter."""
    told = [
        {"candid": 7, "mjd": 59007.0, "mag": 18.0, "has_stamp": True, "ref_distance": 9.0, "positive": False},
        {"candid": 7, "mjd": 59007.0, "mag": 18.1, "has_stamp": False},
        {"candid": 7, "mjd": 59007.0, "mag": 18.2, "has_stamp": False},
        {"candid": 8, "mjd": 59008.0, "mag": 17.1, "has_stamp": False},
        {"candid": 8, "mjd": 59008.0, "mag": 17.3, "has_stamp": False},
    ]
    order = np.random.default_rng(seed).permutation(len(told))
    _, (band,), dubious = _run(detections(*(told[i] for i in order)), other_tables())
    assert band["n_det"] == 2
    assert (band["mag_first"], band["mag_last"]) == (18.0, 17.1)
    # every row is answered for, also those that another stands for
    assert dubious.tolist() == [True] * 5
