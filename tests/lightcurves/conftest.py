"""Small tables for the tests of the light curves."""

import numpy as np
import pyarrow as pa
import pytest

from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS

_PLAIN_DETECTION = {
    "oid": "A",
    "band": "g",
    "ra": 150.0,
    "dec": 2.0,
    "mag": 18.0,
    "mag_err": 0.1,
    "positive": True,
    "ref_distance": 0.2,
    "ref_mag": 19.0,
    "ref_mag_err": 0.02,
    "ref_chi": 1.0,
    "ref_sharp": 0.0,
    "has_stamp": True,
}


def table(schema: pa.Schema, rows: list[dict]) -> pa.Table:
    """A table of the schema from dicts; what a dict does not say is null."""
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


@pytest.fixture(scope="session")
def detections():
    """Corrected detections from dicts over a plain one; candid and mjd count up where they are not given."""

    def make(*rows: dict) -> pa.Table:
        full = [_PLAIN_DETECTION | {"candid": i, "mjd": 59000.0 + i} | row for i, row in enumerate(rows, 1)]
        return correct(table(DETECTIONS, full))

    return make


@pytest.fixture(scope="session")
def other_tables():
    """(non_detections, alerts, forced) from lists of dicts, empty by default."""

    def make(non_detections=(), alerts=(), forced=()):
        return (
            table(NON_DETECTIONS, list(non_detections)),
            table(ALERTS, list(alerts)),
            table(FORCED_PHOTOMETRY, list(forced)),
        )

    return make


@pytest.fixture(scope="session")
def random_survey():
    """Whole tables of n objects with nulls, two or three bands, histories, limits and forced photometry."""

    def make(seed: int, n_objects: int = 12):
        rng = np.random.default_rng(seed)
        detections, limits, alerts, forced = [], [], [], []
        for number in range(n_objects):
            oid, n = f"ZTF18{rng.integers(1e6):06d}{number}", int(rng.integers(1, 90))
            ra, dec = rng.uniform(0, 360), rng.uniform(-90, 90)
            for i in range(n):
                row = _PLAIN_DETECTION | {
                    "oid": oid,
                    "candid": number * 10_000 + i,
                    # Coarse times: equal ones occur, as they do where two fields overlap.
                    "mjd": 59000 + float(rng.integers(0, 60)) / 2,
                    "band": str(rng.choice(["g", "r", "i"], p=[0.5, 0.4, 0.1])),
                    "ra": (ra + rng.normal(0, 2e-5)) % 360,
                    "dec": float(np.clip(dec + rng.normal(0, 2e-5), -90, 90)),
                    "mag": None if rng.random() < 0.05 else rng.uniform(12, 20),
                    "mag_err": None if rng.random() < 0.1 else rng.uniform(0.01, 0.3),
                    "positive": None if rng.random() < 0.05 else bool(rng.random() < 0.6),
                    "ref_distance": None if rng.random() < 0.1 else rng.uniform(0, 2.5),
                    "ref_mag": None if rng.random() < 0.1 else rng.uniform(12, 21),
                    "has_stamp": bool(rng.random() < 0.4),
                }
                detections.append(row)
                if row["has_stamp"]:
                    alerts.append(
                        row
                        | {
                            "ps1_distance_1": rng.uniform(0, 3),
                            "ps1_star_score_1": rng.uniform(0, 1),
                            "ref_mjd_end": 58980 + rng.uniform(0, 40),
                            "n_det_history": i,
                        }
                    )
            for i in range(int(rng.integers(0, 20))):
                band = str(rng.choice(["g", "r"]))
                mjd = 58990 + float(rng.integers(0, 40))
                limits.append({"oid": oid, "band": band, "mjd": mjd, "mag_limit": rng.uniform(19, 21)})
                forced.append({"oid": oid, "band": band, "mjd": mjd, "image_id": i, "flux": rng.normal()})
        return (
            correct(table(DETECTIONS, detections)),
            table(NON_DETECTIONS, limits),
            table(ALERTS, alerts),
            table(FORCED_PHOTOMETRY, forced),
        )

    return make
