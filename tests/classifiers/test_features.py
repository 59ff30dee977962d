"""The metadata features: one function for training and inference, missing values explicit."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from alerce_dagster.classifiers.features import (
    FEATURE_COLUMNS,
    FEATURE_NAMES,
    FEATURES,
    GROUPS,
    drop_group,
    earlier_in_history,
    feature_matrix,
    galactic_latitude,
)
from alerce_dagster.classifiers.labelled_stamps import load_labelled
from alerce_dagster.surveys.tables import ALERTS
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE

ROWS = [
    {
        "oid": "a", "candid": 1, "mjd": 59000.25, "mag": 18.5, "mag_err": 0.1, "positive": True,
        "ref_distance": 1.0, "ref_mag": 19.0, "ps1_star_score_1": 0.5, "ps1_distance_1": 0.02,
        "star_shape": 0.94, "n_det_history": 1, "ra": 10.0, "dec": 41.0,
    },
    {
        "oid": "b", "candid": 2, "mjd": 59000.5, "mag": 20.0, "mag_err": 0.2, "positive": False,
        "ref_distance": 10.0, "ref_mag": 22.0, "star_shape": 0.5, "n_det_history": 400, "ra": 266.4, "dec": -29.0,
    },
]  # fmt: skip


def alerts(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=ALERTS)


def value(matrix: np.ndarray, row: int, name: str) -> float:
    return float(matrix[row, FEATURE_NAMES.index(name)])


def test_values_and_flags_by_hand() -> None:
    matrix = feature_matrix(alerts(ROWS))
    assert matrix.shape == (2, len(FEATURE_NAMES))
    assert matrix.dtype == np.float32
    assert value(matrix, 0, "mag") == 0
    assert value(matrix, 1, "mag") == pytest.approx(1)
    assert value(matrix, 0, "positive") == 1
    assert value(matrix, 1, "positive") == -1
    assert value(matrix, 0, "ref_distance") == 0
    assert value(matrix, 0, "ps1_distance") == -1  # nearer than 0.1 arcsec is on the source
    assert value(matrix, 0, "n_det_history") == -1
    assert value(matrix, 1, "n_det_history") == 1
    assert value(matrix, 0, "ps1_missing") == 0
    assert value(matrix, 1, "ps1_missing") == 1
    assert value(matrix, 1, "ps1_star_score") == 0


def test_null_nan_absent_and_impossible_are_all_missing() -> None:
    null = alerts([{**ROWS[0], "ps1_distance_1": None, "ps1_star_score_1": None}])
    nan = {name: np.array([ROWS[0].get(name, np.nan)], dtype=float) for name in FEATURE_COLUMNS}
    nan["ps1_distance_1"] = nan["ps1_star_score_1"] = np.array([np.nan])
    absent = null.drop_columns(["ps1_distance_1", "ps1_star_score_1"])
    impossible = alerts([{**ROWS[0], "ps1_distance_1": 120.0, "ps1_star_score_1": -999.0}])
    expected = feature_matrix(null)
    for other in (nan, absent, impossible):
        np.testing.assert_array_equal(feature_matrix(other), expected)
    assert np.isfinite(expected).all()


def test_a_table_of_nulls_is_finite_and_says_that_all_is_missing() -> None:
    matrix = feature_matrix(alerts([{"oid": "a", "candid": 1}]))
    for name in FEATURE_NAMES:
        assert value(matrix, 0, name) == (1 if name.endswith("_missing") else 0)


def test_every_feature_belongs_to_one_group() -> None:
    members = [name for _, names in GROUPS for name in names]
    assert sorted(members) == sorted(feature.name for feature in FEATURES)


@pytest.mark.parametrize(("flag", "members"), GROUPS)
def test_hiding_a_group_is_what_null_columns_give(flag: str, members: tuple[str, ...]) -> None:
    matrix = feature_matrix(alerts(ROWS))
    drop_group(matrix, np.array([True, False]), flag)
    columns = {feature.name: feature.column for feature in FEATURES} | {"plane_distance": "ra"}
    hidden = alerts([{**ROWS[0], **{columns[name]: None for name in members}}, ROWS[1]])
    np.testing.assert_array_equal(matrix, feature_matrix(hidden))


def test_going_back_in_history_is_what_a_smaller_count_gives() -> None:
    matrix = feature_matrix(alerts(ROWS))
    earlier_in_history(matrix, np.array([1.0, 7.0]))
    np.testing.assert_array_equal(matrix, feature_matrix(alerts([ROWS[0], {**ROWS[1], "n_det_history": 7}])))


def test_no_input_that_would_give_the_label_away() -> None:
    forbidden = {"real_bogus", "deep_real_bogus", "ss_distance", "ss_mag", "mjd", "candid", "oid", "fwhm"}
    assert not forbidden & set(FEATURE_COLUMNS)
    assert set(FEATURE_COLUMNS) <= set(ALERTS.names)


def test_of_the_position_only_the_distance_to_the_galactic_plane_is_seen() -> None:
    coordinates = pytest.importorskip("astropy.coordinates")
    rng = np.random.default_rng(8)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    expected = coordinates.SkyCoord(ra, dec, unit="deg").galactic.b.deg
    np.testing.assert_allclose(galactic_latitude(ra, dec), expected, atol=1e-4)
    matrix = feature_matrix(alerts([{**ROWS[0], "ra": a, "dec": d} for a, d in zip(ra, dec, strict=True)]))
    plane = matrix[:, FEATURE_NAMES.index("plane_distance")]
    np.testing.assert_allclose(plane, np.minimum(np.abs(expected), 20) / 10 - 1, atol=1e-4)
    others = np.delete(matrix, FEATURE_NAMES.index("plane_distance"), axis=1)
    assert (others == others[0]).all()


def test_training_rows_and_alert_rows_give_the_same_features(tmp_path) -> None:
    """A labelled set on disk under ZTF's names, and the same alerts as the survey reader would give them."""
    frame = pd.DataFrame(
        [
            {
                "candid": row["candid"], "objectId": row["oid"], "label": "SN", "evidence": "",
                "ra": row["ra"],
                "dec": row["dec"], "jd": row["mjd"] + 2400000.5, "magpsf": row["mag"], "sigmapsf": row["mag_err"],
                "isdiffpos": "t" if row["positive"] else "f", "distnr": row["ref_distance"] / PIXEL_SCALE,
                "magnr": row["ref_mag"], "sgscore1": row.get("ps1_star_score_1", -999.0),
                "distpsnr1": row.get("ps1_distance_1", -999.0), "classtar": row["star_shape"],
                "ndethist": row["n_det_history"], "ssdistnr": -999.0, "ssnamenr": None, "ssmagnr": -999.0,
                "fwhm": 2.0,
            }
            for row in ROWS
        ]
    )  # fmt: skip
    np.savez(tmp_path / "s.npz", stamps=np.zeros((2, 31, 31, 3), np.float32), candid=frame["candid"].to_numpy())
    with gzip.open(tmp_path / "s_metadata.csv.gz", "wt") as file:
        frame.to_csv(file, index=False)
    labelled = load_labelled(tmp_path)
    np.testing.assert_allclose(feature_matrix(labelled.alerts), feature_matrix(alerts(ROWS)), atol=1e-6)
    assert labelled.alerts.column("ss_distance").null_count == 2
    assert labelled.nights.tolist() == [59000, 59000]
