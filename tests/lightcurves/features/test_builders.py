"""Light curves out of folders and tables, and the page that describes the features."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, get_body_barycentric
from astropy.time import Time

from alerce_dagster.errors import InputError
from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.lightcurves.features import FEATURES, compute, from_reference_folder, from_tables
from alerce_dagster.lightcurves.features.document import markdown
from alerce_dagster.lightcurves.features.earth import barycentric
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS


def test_light_travel_time_against_astropy() -> None:
    rng = np.random.default_rng(1)
    mjd = rng.uniform(57000, 62000, 200)
    ra, dec = rng.uniform(0, 360, 200), rng.uniform(-89, 89, 200)
    earth = get_body_barycentric("earth", Time(mjd, format="mjd", scale="utc"), ephemeris="builtin")
    towards = SkyCoord(ra * u.deg, dec * u.deg).cartesian
    expected = (earth.dot(towards).to(u.lightyear) / (1 * u.lightyear) * u.year).to_value(u.day)
    np.testing.assert_allclose(barycentric(mjd, ra, dec) - mjd, expected, atol=1e-8)


def test_times_without_a_place_or_a_sense() -> None:
    given = np.array([58000.0, np.nan, 1e300, -5.0])
    found = barycentric(given, np.array([np.nan, 1.0, 1.0, 1.0]), np.array([np.nan, 1.0, 1.0, 1.0]))
    assert found[0] == 58000.0
    assert np.isnan(found[1:]).all()


def _folder(path: Path, csv: bool = False, **changes: pa.Table) -> Path:
    path.mkdir()
    n = 30
    rng = np.random.default_rng(0)
    t = 58300 + np.sort(rng.uniform(0, 100, n))
    measured = {
        "oid": ["a"] * n,
        "mjd": t,
        "fid": [1, 2] * (n // 2),
        "magpsf": rng.normal(19, 0.3, n),
        "sigmapsf": np.full(n, 0.1),
        "isdiffpos": [1, -1] * (n // 2),
        "mag_corr": rng.normal(17, 0.1, n),
        "e_mag_corr": np.full(n, 0.03),
        "ra": np.full(n, 10.0),
        "dec": np.full(n, 5.0),
        "rb": np.where(np.arange(n) == 0, 0.2, 0.9),
    }
    tables = {
        "detections": pa.table(measured),
        "forced": pa.table({k: v for k, v in measured.items() if k != "rb"}).slice(0, 4),
        "non_detections": pa.table({"oid": ["a"], "mjd": [58290.0], "fid": [1], "diffmaglim": [20.5]}),
        "objects": pa.table({"oid": ["b", "a"], "sgscore1": [0.1, 0.9], "W1": [None, 15.0], "W2": [None, 14.5]}),
    } | changes
    for name, table in tables.items():
        if table is None:
            continue
        if csv:
            pa_csv.write_csv(table, path / f"{name}.csv")
        else:
            pq.write_table(table, path / f"{name}.parquet")
    return path


def test_folder(tmp_path: Path) -> None:
    batch = from_reference_folder(_folder(tmp_path / "p"))
    assert batch.oids.tolist() == ["b", "a"]
    assert np.diff(batch.starts).tolist() == [0, 33]  # one detection has a low real-bogus score
    assert (~batch.forced).sum() == 29
    assert batch.limit_mag.tolist() == [20.5]
    values = dict(zip(FEATURES, compute(batch).T, strict=True))
    assert np.isnan(values["Mean_g"][0])
    assert values["W1-W2_nan"][1] == pytest.approx(0.5)
    assert values["sgscore1_nan"].tolist() == [0.1, 0.9]
    assert values["Coordinate_z_nan"][1] == pytest.approx(np.sin(np.deg2rad(5)))
    text = from_reference_folder(_folder(tmp_path / "c", csv=True))
    np.testing.assert_allclose(compute(text)[1], compute(batch)[1], rtol=1e-9)


def test_folder_without_forced_photometry(tmp_path: Path) -> None:
    batch = from_reference_folder(_folder(tmp_path / "p", forced=None, non_detections=None))
    assert not batch.forced.any()


def test_status_and_signs(tmp_path: Path) -> None:
    rows = {"oid": ["a"] * 4, "mjd": [58301.0, 58302.0, 58303.0, 58304.0], "fid": ["g", "r", "i", "g"]}
    rows |= {"magpsf": [19.0, 19.0, 19.0, 100.0], "sigmapsf": [0.1, 0.1, 0.1, 100.0]}
    rows |= {"isdiffpos": ["t", "f", "1", "0"], "procstatus": ["0", "57", "61", "0"]}
    batch = from_reference_folder(_folder(tmp_path / "p", forced=pa.table(rows)))
    forced = batch.forced
    assert forced.sum() == 2  # one has a bad status, one no magnitude
    assert np.sign(batch.flux[forced]).tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"detections": None}, "holds neither detections.parquet nor detections.csv"),
        ({"objects": pa.table({"name": ["a"]})}, "has no column oid"),
        ({"detections": pa.table({"oid": ["a"], "mjd": [1.0]})}, "has no column fid, magpsf, sigmapsf, isdiffpos"),
    ],
)
def test_folder_that_cannot_be_used(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        from_reference_folder(_folder(tmp_path / "p", **changes))


def test_no_folder_and_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        from_reference_folder(tmp_path / "nowhere")
    folder = _folder(tmp_path / "p")
    (folder / "objects.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"cannot read .*objects.parquet"):
        from_reference_folder(folder)
    words = pa.table({"oid": ["a"], "mjd": ["soon"], "fid": [1], "magpsf": [1.0], "sigmapsf": [1.0], "isdiffpos": [1]})
    with pytest.raises(InputError, match="column mjd must hold numbers"):
        from_reference_folder(_folder(tmp_path / "q", detections=words))


def test_broker_tables() -> None:
    """Fluxes out of the two tables, the nearest Pan-STARRS source, statuses, AllWISE."""

    def rows(schema: pa.Schema, *values: dict) -> pa.Table:
        return pa.table([pa.array([v.get(f.name) for v in values], f.type) for f in schema], schema=schema)

    source = {"ref_distance": 0.3, "ref_mag": 18.0, "ref_mag_err": 0.02}
    seen = [
        {"oid": o, "candid": k, "mjd": 58300.0 + k, "band": "gri"[k % 3], "ra": 359.9 + 0.2 * (k % 2), "dec": 1.0}
        | {"mag": 19.0, "mag_err": 0.1, "positive": k % 2 == 0, "real_bogus": 0.5 if k == 5 else 0.9}
        | source
        for k, o in enumerate("bbaaaa")
    ]
    later = [
        {"oid": "a", "image_id": k, "mjd": 58310.0 + k, "band": "r", "flux": -20.0, "flux_err": 4.0, "status": s}
        | source
        for k, s in enumerate(("0", "61", None))
    ]
    alerts = [
        {"oid": "a", "candid": 2, "ps1_distance_1": 3.0, "ps1_star_score_1": 0.1},
        {"oid": "a", "candid": 3, "ps1_distance_1": 0.5, "ps1_star_score_1": 0.9},
        {"oid": "z", "candid": 9, "ps1_distance_1": 0.1, "ps1_star_score_1": 0.2},
    ]
    limits = [{"oid": "a", "band": "g", "mjd": 58299.0, "mag_limit": 20.0}]
    batch = from_tables(
        correct(rows(DETECTIONS, *seen)),
        correct(rows(FORCED_PHOTOMETRY, *later)),
        rows(NON_DETECTIONS, *limits),
        rows(ALERTS, *alerts),
        pa.table({"oid": ["b", "q"], "w1": [15.0, 1.0], "w2": [14.0, 1.0], "w3": [None, 1.0], "w4": [None, 1.0]}),
    )
    assert batch.oids.tolist() == ["a", "b"]
    assert np.diff(batch.starts).tolist() == [5, 2]
    assert batch.objects["ps1_star_score"].tolist()[0] == 0.9
    assert batch.objects["w1"].tolist()[1] == 15.0
    assert batch.flux[0] == pytest.approx(10 ** (-0.4 * (19 - 23.9)))
    assert batch.flux[1] == pytest.approx(-(10 ** (-0.4 * (19 - 23.9))))
    assert batch.flux[batch.forced].tolist() == [-20.0, -20.0]
    assert batch.mag[0] < 18.0 < batch.mag[1]
    assert batch.objects["ra"][1] == pytest.approx(0.0, abs=1e-9)  # across the seam at 0 h
    assert np.diff(batch.limit_starts).tolist() == [1, 0]


def test_page_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "features.md"
    assert page.read_text(encoding="utf-8") == markdown(), "run: python -m alerce_dagster.lightcurves.features"
    for name in FEATURES:
        assert f"`{name.rpartition('_')[0]}`" in markdown()
