"""What of labelled sources is seen, and whether magnitudes agree, on places and offsets made for the purpose."""

import numpy as np
import pyarrow as pa
import pytest

from alerce_dagster.assets.release_report import comparison
from alerce_dagster.releases.classes import variable_sources
from alerce_dagster.releases.comparison import Agreement, Seen, alerts_against_release, seen_by_class


def test_seen_by_class() -> None:
    variability = pa.table({"ra": [10.0, 11.0, 12.0], "dec": [0.0] * 3, "variable": [True, False, None]})
    label = np.array(["AGN", "AGN", "AGN", "RRL", "AGN"])
    ra = np.array([10.0 + 1 / 3600, 11.0, 11.5, 12.0, 200.0])
    found = seen_by_class(
        label, ra, np.zeros(5), variability, (np.array([11.5]), np.zeros(1)), np.array([True] * 4 + [False])
    )
    assert [(s.label, s.n_labelled, s.n_covered, s.n_release, s.n_variable, s.n_alerts) for s in found] == [
        ("AGN", 4, 3, 2, 1, 1),
        ("RRL", 1, 1, 1, 0, 0),
    ]
    told = comparison(found, [Agreement(1, 400, 0.03, 0.01)])
    assert "| AGN | 4 | 3 | 2 (67%) | 1 (33%) | 1 (33%) |" in told
    assert "| g | 400 | +0.0300 | 0.0100 |" in told
    assert "data:image/svg+xml" in told
    assert "none to see" in comparison([Seen("AGN", 5, 0, 0, 0, 0)], [])


def test_alert_photometry_of_common_stars() -> None:
    rng = np.random.default_rng(1)
    n = 500
    ra, dec, mag = rng.uniform(10, 11, n), rng.uniform(0, 1, n), rng.uniform(14, 19, n)
    recalibrated = pa.table(
        {"ra": ra, "dec": dec, "mean_mag": mag, "filterid": np.ones(n, int), "ensemble": np.arange(n) < 400}
    )
    other = mag + 0.03 + rng.normal(0, 0.01, n)
    (found,) = alerts_against_release(recalibrated, ra + 0.3 / 3600, dec, np.ones(n, int), other)
    assert found.n_stars == 400
    assert found.offset == pytest.approx(0.03, abs=0.002)
    assert found.scatter == pytest.approx(0.01, rel=0.15)
    assert alerts_against_release(recalibrated, ra, dec, np.full(n, 2), other) == []


def test_light_curves_of_a_variable_source_go_together() -> None:
    """All its channels in g and r, in the order of time, usable epochs only."""
    rows = pa.table(
        {
            "id": [1, 2, 3, 4],
            "source_id": [1, 1, 3, 1],
            "filterid": [1, 2, 1, 3],
            "ra": [10.0, 10.0, 20.0, 10.0],
            "dec": [1.0, 1.0, 2.0, 1.0],
            "hmjd": [[5.0, 1.0], [3.0, 2.0], [1.0], [9.0]],
            "mag": [[18.0, 18.1], [17.0, 17.1], [15.0], [16.0]],
            "magerr": [[0.1, 0.1], [0.2, 0.2], [0.1], [0.1]],
            "usable": [[True, True], [True, False], [True], [True]],
        }
    )
    batch = variable_sources(rows, [2])
    assert batch.oids.tolist() == ["1"]
    assert batch.mjd.tolist() == [1.0, 3.0, 5.0]
    assert batch.band.tolist() == [0, 1, 0]
    assert batch.mag.tolist() == [18.1, 17.0, 18.0]
    assert batch.objects["ra"].tolist() == [10.0]
    assert len(variable_sources(rows, [])) == 0
