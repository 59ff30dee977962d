"""Against ALeRCE's own values and its own preprocessed rows on the same light curves, and periods against the truth."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from alerce_dagster.lightcurves.features import FEATURES, Batch, compute, from_reference_folder
from benchmarks import features_agreement as measured

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    return real_data / "features" / "reference_200"


@pytest.fixture(scope="module")
def batch(folder: Path) -> Batch:
    return from_reference_folder(folder)


@pytest.fixture(scope="module")
def ours(batch: Batch) -> np.ndarray:
    return compute(batch)


@pytest.fixture(scope="module")
def theirs(folder: Path, batch: Batch) -> dict[str, np.ndarray]:
    return measured.reference(folder, batch)


def test_names(folder: Path) -> None:
    assert ("oid", *FEATURES) == tuple(pq.read_schema(folder / measured.THEIRS).names)


@pytest.mark.parametrize("unit", ["magnitude", "diff_flux"])
def test_preprocessing_row_by_row(folder: Path, batch: Batch, unit: str) -> None:
    rows = pq.read_table(folder / "observations_preprocessed_27.5.7.parquet")
    rows = rows.filter(pc.equal(rows["unit"], unit))
    place = {oid: k for k, oid in enumerate(batch.oids)}
    owner = np.array([place[oid] for oid in rows["oid"].to_pylist()])
    order = np.lexsort((rows["mjd"].to_numpy(), owner))
    value, error = (batch.mag, batch.mag_err) if unit == "magnitude" else (batch.flux, batch.flux_err)
    np.testing.assert_array_equal(owner[order], batch.owners())
    np.testing.assert_allclose(rows["mjd"].to_numpy()[order], batch.mjd, rtol=0, atol=1e-9)
    np.testing.assert_allclose(rows["brightness"].to_numpy()[order], value, rtol=1e-12)
    np.testing.assert_allclose(rows["e_brightness"].to_numpy()[order], error, rtol=1e-12)
    np.testing.assert_array_equal(np.array(rows["table"].to_pylist())[order] == "forced", batch.forced)


# Groups of columns whose values agree only in part, by prefix: the share within 10 %, and why.
LOOSE = {
    "GP_DRW_tau": 0.8,  # unconstrained where the likelihood is flat
    "PPE": 0.95,  # phases in single precision there
    "Power_rate_1": 0.7,
    "Power_rate": 0.9,
    "Period_band": 0.95,
    "delta_period": 0.9,
    "IAR_phi": 0.95,  # several maxima
    "TDE_decay_": 0.95,  # a line through one point there
    "TDE_mag0": 0.95,
}
FITTED = ("SPM_", "fleet_", "ulens_")  # judged by what is minimised


def test_values_agree(batch: Batch, ours: np.ndarray, theirs: dict[str, np.ndarray]) -> None:
    found = measured.like_for_like(batch, ours, theirs)
    for name in FEATURES:
        if name.startswith(FITTED):
            continue
        _, _, percent, tenth = measured.agreement(found[name], theirs[name])
        loose = next((share for prefix, share in LOOSE.items() if name.startswith(prefix)), None)
        if loose is None:
            assert percent >= 0.99, name
        else:
            assert tenth >= loose, name


def test_fits_are_at_least_as_good(batch: Batch, ours: np.ndarray, theirs: dict[str, np.ndarray]) -> None:
    for title, ratio in measured.objectives(batch, ours, theirs):
        assert ratio.size >= 100, title
        assert np.mean(ratio <= 1.02) >= 0.95, title


def test_nothing_is_null_that_alerce_has(ours: np.ndarray, theirs: dict[str, np.ndarray]) -> None:
    """But for the line through one point."""
    for k, name in enumerate(FEATURES):
        more = np.isnan(ours[:, k]) & ~np.isnan(theirs[name])
        assert more.sum() <= (5 if name.startswith("TDE_") else 0), name


def test_true_periods(real_data: Path) -> None:
    folder = real_data / "features" / "periodic_420"
    found = compute(from_reference_folder(folder))[:, FEATURES.index("Multiband_period_g,r")]
    exact, simple = measured.period_score(found, pq.read_table(folder / "objects.parquet")["period"].to_numpy())
    assert exact >= 0.82
    assert simple >= 0.94
