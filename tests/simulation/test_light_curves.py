"""Light curves without packets: true to the broker's tables, to the truth, and to what packets carry."""

import io
from datetime import date

import fastavro
import numpy as np
import pytest

from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.simulation.light_curves import COUNTERPARTS, simulate_light_curves
from alerce_dagster.simulation.populations.taxonomy import LASTING_MIX
from alerce_dagster.simulation.truth import TRUTH
from alerce_dagster.simulation.ztf import simulate
from alerce_dagster.surveys.tables import DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS


@pytest.fixture(scope="module")
def made():
    return simulate_light_curves(12, seed=5, nights=400)


def test_tables_are_the_brokers(made):
    schemas = (DETECTIONS, NON_DETECTIONS, FORCED_PHOTOMETRY, COUNTERPARTS, TRUTH)
    assert [table.schema for table in made] == list(schemas)
    required = ("oid", "candid", "mjd", "band", "ra", "dec", "mag", "mag_err", "image_id", "flux", "flux_err")
    for table in made[:3]:
        assert not any(table[name].null_count for name in required if name in table.column_names)
    assert len(set(made.detections["candid"].to_pylist())) == made.detections.num_rows


def test_as_many_objects_of_each_class_as_asked_for_all_with_enough_detections(made):
    truth = made.truth.to_pandas()
    assert truth["class_name"].value_counts().to_dict() == dict.fromkeys(LASTING_MIX, 12)
    assert truth["oid"].is_unique
    assert truth["oid"].tolist() == made.objects["oid"].to_pylist()
    per_band = made.detections.to_pandas().groupby(["oid", "band"]).size().unstack(fill_value=0)
    assert per_band.max(axis=1).min() >= 6
    assert per_band.sum(axis=1)[truth["oid"]].tolist() == truth["n_alerts"].tolist()


def test_the_same_seed_gives_the_same_tables():
    first, again = (simulate_light_curves({"RRL": 20, "TDE": 3}, seed=2, nights=200) for _ in range(2))
    assert all(a.equals(b) for a, b in zip(first, again, strict=True))
    other = simulate_light_curves({"RRL": 20}, seed=3, nights=200)
    assert not set(other.truth["ra"].to_pylist()) & set(first.truth["ra"].to_pylist())


def test_upper_limits_and_forced_photometry_are_of_the_thirty_days_before_an_alert(made):
    candids = dict(zip(made.detections["candid"].to_pylist(), made.detections["mjd"].to_pylist(), strict=True))
    for table in (made.non_detections, made.forced):
        gaps = np.array([candids[candid] for candid in table["parent_candid"].to_pylist()]) - table["mjd"].to_numpy()
        assert gaps.min() > 0
        assert gaps.max() <= 30
    for table in (made.detections, made.non_detections, made.forced):  # one row an image
        frame = table.to_pandas()
        assert not frame.duplicated(["oid", "image_id", "band"]).any()
    detected = set(zip(made.detections["oid"].to_pylist(), made.detections["image_id"].to_pylist(), strict=True))
    assert not detected & set(
        zip(made.non_detections["oid"].to_pylist(), made.non_detections["image_id"].to_pylist(), strict=True)
    )


def test_forced_photometry_agrees_with_the_detections_within_the_errors(made):
    forced = made.forced.to_pandas().merge(made.detections.to_pandas(), on=["oid", "image_id"])
    sign = np.where(forced["positive"], 1, -1)
    flux = sign * 10 ** (-0.4 * (forced["mag"] - 23.9))
    error = np.hypot(forced["flux_err"], np.hypot(1.1 / 0.8 * forced["flux_err"], 0.02 * flux))
    assert len(forced) > 1000
    assert np.std((flux - forced["flux"]) / error) == pytest.approx(1, abs=0.12)


def test_periods_are_in_the_light_curves():
    """Folded with the true period a pulsating star's corrected magnitudes scatter less than around a wrong one."""
    found = simulate_light_curves({"RRL": 10, "CEP": 10}, seed=4)
    corrected = correct(found.detections).to_pandas()
    better = 0
    for row in found.truth.to_pylist():
        curve = corrected[(corrected["oid"] == row["oid"]) & (corrected["band"] == "r")].dropna(subset=["mag_corr"])
        strings = [_string(curve["mjd"], curve["mag_corr"], row["period"] * factor) for factor in (1, 1.037)]
        better += strings[0] < 0.7 * strings[1]
    assert better >= 18


def _string(mjd, mag, period: float) -> float:
    """Mean squared step of the folded curve over its variance."""
    folded = np.asarray(mag)[np.argsort(np.asarray(mjd) % period)]
    return float(np.mean(np.diff(folded) ** 2) / np.var(folded))


def test_explosions_are_seen_after_they_happened():
    found = simulate_light_curves({"SNIa": 60}, seed=6, nights=365, start=date(2023, 1, 1))
    truth = found.truth.to_pandas().set_index("oid")
    assert truth["explosion_mjd"].between(59945 - 70, 59945 + 365).all()
    age = found.detections["mjd"].to_numpy() - truth.loc[found.detections["oid"].to_pylist(), "explosion_mjd"]
    assert (age > 0).mean() > 0.998  # noise reaches five sigma now and then
    assert np.median(age) < 60


def test_infrared_colours_tell_quasars_from_stars(made):
    frame = made.objects.to_pandas().assign(name=made.truth["class_name"].to_pandas())
    colour = (frame["w1_mag"] - frame["w2_mag"]).groupby(frame["name"]).median()
    assert colour["QSO"] > 0.8  # Stern et al. 2012
    assert colour[["RRL", "CEP", "E", "DSCT"]].abs().max() < 0.2
    assert frame["w1_mag"].max() < 17.3


def test_packets_hold_what_the_function_gives():
    """The same quantities in the packets' own fields are distributed alike."""
    packets = simulate(400, 3, seed=8).packets
    candidates = [next(fastavro.reader(io.BytesIO(p.data)))["candidate"] for p in packets]
    lasting = [c for c in candidates if c["ndethist"] > 1]
    ours = simulate_light_curves(15, seed=9, nights=120, min_detections=1).detections.to_pandas()
    for field, name in (("diffmaglim", "mag_limit"), ("fwhm", "fwhm"), ("rb", "real_bogus")):
        theirs = np.array([c[field] for c in lasting])
        assert np.median(ours[name]) == pytest.approx(np.median(theirs), rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"n_per_class": {"asteroid": 3}}, "no lasting class asteroid"),
        ({"n_per_class": 0}, "at least one"),
        ({"n_per_class": 3, "nights": 0}, "at least one"),
        ({"n_per_class": {"SNIa": 3}, "nights": 3, "min_detections": 90}, "hardly any SNIa has 90 detections"),
    ],
)
def test_impossible_wishes(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        simulate_light_curves(seed=1, **arguments)
