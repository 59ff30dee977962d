"""Five objects against the corrected photometry and statistics that ALeRCE's production code gave for them.

Every column that means the same is compared to 1e-5 mag. The columns listed in DIFFERENT are those where
that code errs or means something else; for each the test says what it holds and what ours gives.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.lightcurves.statistics import object_statistics
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE

pytestmark = pytest.mark.realdata

BANDS = {1: "g", 2: "r", 3: "i"}

# ours -> ALeRCE's, per object and band
SAME_PER_BAND = {
    "corrected": "corrected",
    "stellar": "stellar",
    "n_det": "ndet",
    "n_dubious": "ndubious",
    **{f"mag_{name}": f"magpsf_{name}" for name in ("mean", "median", "max", "min", "first", "last")},
    **{f"mag_{name}_corr": f"magpsf_corr_{name}" for name in ("mean", "median", "max", "min", "first", "last")},
    "first_mjd": "first_mjd",
    "last_mjd": "last_mjd",
}
SAME_PER_OBJECT = {
    "n_det": "ndet",
    "n_det_history": "ndethist",
    "n_cov_history": "ncovhist",
    "mjd_start_history": "mjdstarthist",
    "mjd_end_history": "mjdendhist",
    "first_mjd": "firstmjd",
    "last_mjd": "lastmjd",
    "delta_mjd": "deltamjd",
    "g_r_max": "g-r_max",
    "g_r_max_corr": "g-r_max_corr",
    "g_r_mean": "g-r_mean",
    "g_r_mean_corr": "g-r_mean_corr",
}
DIFFERENT = {
    "sigmapsf_corr": "100 where the error is undefined; null in ours",
    "stellarZTF, stellarPS1": "each holds the other's flag; ours has neither, `stellar` itself is right",
    "meanra, meandec": "plain means of the angles; ours are weighted means on the sphere",
    "sigmara, sigmadec": "scatter of a detection, degrees; ours is the error of the mean, arcsec",
    "corrected, stellar per object": "all bands must agree; ours are those of the first detection",
}


def _table(schema, columns, n):
    return pa.table({f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in schema}, schema=schema)


@pytest.fixture(scope="module")
def theirs(real_data):
    folder = real_data / "photometric_correction"
    names = ("corrected", "magstats", "objstats", "non_detections")
    tables = {name: pd.read_parquet(folder / f"10_objects_{name}.parquet") for name in names}
    tables["raw"] = pd.read_parquet(folder / "10_objects_detections.parquet").set_index("candid")
    tables["magstats"] = tables["magstats"].sort_values(["objectId", "fid"])
    tables["objstats"] = tables["objstats"].sort_values("objectId")
    return tables


@pytest.fixture(scope="module")
def ours(theirs):
    frame = theirs["corrected"]
    columns = {
        "oid": frame.objectId,
        "candid": frame.candid,
        "mjd": frame.mjd,
        "band": frame.fid.map(BANDS),
        "ra": frame.ra,
        "dec": frame.dec,
        "mag": frame.magpsf,
        "mag_err": frame.sigmapsf,
        "positive": theirs["raw"].isdiffpos.loc[frame.candid].isin(["t", "1"]),
        "ref_distance": frame.distnr * PIXEL_SCALE,
        "ref_mag": frame.magnr,
        "ref_mag_err": frame.sigmagnr,
        "ref_chi": frame.chinr,
        "ref_sharp": frame.sharpnr,
        "has_stamp": frame.has_stamp,
        "ps1_star_score_1": frame.sgscore1,
        "ps1_distance_1": frame.distpsnr1,
        "n_det_history": frame.ndethist,
        "n_cov_history": frame.ncovhist,
        "mjd_first_history": frame.jdstarthist - 2400000.5,
        "mjd_last_history": frame.jdendhist - 2400000.5,
        "ref_mjd_end": frame.mjdendref,
    }
    columns = {name: np.asarray(values) for name, values in columns.items()}
    limits = theirs["non_detections"]
    limit_columns = {
        "oid": limits.objectId,
        "band": limits.fid.map(BANDS),
        "mjd": limits.jd - 2400000.5,
        "mag_limit": limits.diffmaglim,
    }
    detections = correct(_table(DETECTIONS, columns, len(frame)))
    stats = object_statistics(
        detections,
        _table(NON_DETECTIONS, {k: np.asarray(v) for k, v in limit_columns.items()}, len(limits)),
        _table(ALERTS, columns, len(frame)),
        FORCED_PHOTOMETRY.empty_table(),
    )
    return detections.to_pandas(), stats.objects.to_pandas(), stats.magstats.to_pandas(), stats.dubious


def _assert_same(ours, theirs):
    ours, theirs = (np.asarray(values, dtype=float) for values in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("column", SAME_PER_BAND)
def test_per_band(ours, theirs, column):
    assert ours[2].oid.tolist() == theirs["magstats"].objectId.tolist()
    _assert_same(ours[2][column], theirs["magstats"][SAME_PER_BAND[column]])


@pytest.mark.parametrize("column", SAME_PER_OBJECT)
def test_per_object(ours, theirs, column):
    assert ours[1].oid.tolist() == theirs["objstats"].objectId.tolist()
    _assert_same(ours[1][column], theirs["objstats"][SAME_PER_OBJECT[column]])


def test_corrected_magnitudes(ours, theirs):
    frame = theirs["corrected"]
    assert (ours[0].corrected.to_numpy() == frame.corrected.to_numpy()).all()
    _assert_same(ours[0].mag_corr, frame.magpsf_corr)
    _assert_same(ours[0].mag_corr_err_ext, frame.sigmapsf_corr_ext)
    assert (ours[3] == frame.dubious.to_numpy()).all()


def test_undefined_errors_are_null_and_not_100(ours, theirs):
    undefined = theirs["corrected"].sigmapsf_corr.to_numpy() == 100
    assert undefined.sum() == 151
    assert ours[0].mag_corr_err[undefined].isna().all()
    _assert_same(ours[0].mag_corr_err[~undefined], theirs["corrected"].sigmapsf_corr[~undefined])


def test_positions_are_weighted_means(ours, theirs):
    """theirs: plain means; ours: weights of the bands. They agree within the errors and differ beyond
    rounding."""
    frame = theirs["corrected"].assign(weight=lambda d: np.where(d.fid == 1, 0.065, 0.085) ** -2)
    for row, (oid, group) in zip(ours[1].itertuples(), frame.groupby("objectId"), strict=True):
        assert row.oid == oid
        assert row.ra == pytest.approx(np.average(group.ra, weights=group.weight), abs=1e-8)
        assert row.dec == pytest.approx(np.average(group.dec, weights=group.weight), abs=1e-8)
        assert row.dec_err == pytest.approx(group.weight.sum() ** -0.5)
    difference = np.abs(ours[1].ra.to_numpy() - theirs["objstats"].meanra.to_numpy()) * 3600
    assert difference.max() < 0.1
    assert difference[0] > 1e-4  # the one with hundreds of detections in both bands


def test_flags_of_an_object_are_those_of_its_first_detection(ours, theirs):
    """ZTF18abdkytr: near a reference source in g, where it was first seen, and not in r."""
    row = ours[1].set_index("oid").loc["ZTF18abdkytr"]
    assert row.corrected
    assert not theirs["objstats"].set_index("objectId").corrected["ZTF18abdkytr"]


def test_stellar_ztf_and_stellar_ps1_are_swapped_in_theirs(theirs):
    """The first detection of ZTF18abdkytr in g has chi 3.2 (no star) and a PS1 score of 0.5 (a star)."""
    row = theirs["magstats"].set_index(["objectId", "fid"]).loc[("ZTF18abdkytr", 1)]
    assert row.stellarZTF
    assert not row.stellarPS1
    assert row.stellar
