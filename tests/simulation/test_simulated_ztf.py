"""Simulated ZTF packets: deterministic, true to the schema, and consistent with one another and with the
truth."""

import gzip
import io
import tarfile
from collections import defaultdict
from datetime import date, timedelta

import fastavro
import numpy as np
import pyarrow.parquet as pq
import pytest

from alerce_dagster.simulation.populations.taxonomy import CLASSES, STAMP_CLASS, STAMP_CLASSES
from alerce_dagster.simulation.world import earlier_alerts
from alerce_dagster.simulation.ztf import TRUTH, simulate, write_simulation
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE, ztf_schema

START, NIGHTS, N_ALERTS = date(2024, 9, 2), 4, 600


@pytest.fixture(scope="module")
def simulation():
    """(truth by object, packets, decoded records)"""
    made = simulate(N_ALERTS, NIGHTS, seed=7, start=START)
    packets = list(made.packets)
    records = [next(fastavro.reader(io.BytesIO(packet.data))) for packet in packets]
    return {row["oid"]: row for row in made.truth.to_pylist()}, packets, records


@pytest.fixture(scope="module")
def classes(simulation):
    """Records by stamp class."""
    truth, _, records = simulation
    by_class = defaultdict(list)
    for record in records:
        by_class[truth[record["objectId"]]["stamp_class"]].append(record)
    return by_class


# --- determinism ----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes():
    first, again, other = (simulate(60, 2, seed=seed) for seed in (3, 3, 4))
    assert first.truth.equals(again.truth)
    packets = list(first.packets)
    assert packets == list(again.packets)
    assert {packet.data for packet in packets}.isdisjoint(packet.data for packet in other.packets)


def test_written_files_are_the_same_each_time(tmp_path):
    arguments = {"n_alerts": 40, "nights": 2, "seed": 5, "start": START}
    for name, archive in (("a", False), ("b", False), ("c", True), ("d", True)):
        truth = write_simulation(tmp_path / name, archive=archive, **arguments)
        assert pq.read_table(tmp_path / name / "truth.parquet").equals(truth)
    files = {
        name: {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "abcd"
    }
    assert files["a"] == files["b"]
    assert files["c"] == files["d"]
    assert set(files["c"]) == {"truth.parquet", "ztf_public_20240902.tar.gz", "ztf_public_20240903.tar.gz"}
    for name, data in files["c"].items():
        if name.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for member in tar.getmembers():
                    packet = tar.extractfile(member).read()
                    assert files["a"][f"{name[11:19]}/{member.name}"] == packet


# --- packets --------------------------------------------------------------------------------------


def test_packets_follow_the_schema(simulation):
    _, packets, records = simulation
    parsed = fastavro.parse_schema(ztf_schema())
    for packet, record in list(zip(packets, records, strict=True))[::12]:
        reader = fastavro.reader(io.BytesIO(packet.data))
        assert reader.writer_schema["version"] == "4.02"
        assert len(list(reader)) == 1
        fastavro.validate(record, parsed, raise_errors=True)


def test_as_many_alerts_as_asked_for_in_the_order_of_time(simulation):
    truth, packets, records = simulation
    assert len(packets) == N_ALERTS
    assert sum(row["n_alerts"] for row in truth.values()) == N_ALERTS
    times = [record["candidate"]["jd"] for record in records]
    assert times == sorted(times)


def test_nights_are_those_asked_for_and_the_utc_dates_of_the_exposures(simulation):
    _, packets, records = simulation
    assert {packet.night for packet in packets} == {START + timedelta(days=i) for i in range(NIGHTS)}
    for packet, record in zip(packets, records, strict=True):
        mjd = record["candidate"]["jd"] - 2400000.5
        assert packet.night == date(1858, 11, 17) + timedelta(days=int(mjd))


def test_identifiers(simulation):
    """candid is night, fraction of the day, readout channel, 15, sign and number, as in
    1311156250015010003."""
    _, packets, records = simulation
    assert len({packet.candid for packet in packets}) == len(packets)
    for packet, record in zip(packets, records, strict=True):
        c = record["candidate"]
        assert packet.candid == record["candid"] == c["candid"]
        night = c["jd"] - 2457754.5
        assert c["nid"] == int(night)
        assert c["pid"] // 10_000 == pytest.approx(night * 1e5, abs=1)
        assert c["pid"] % 10_000 == c["rcid"] * 100 + 15
        sign = 15 if c["isdiffpos"] == "t" else 10
        assert c["candid"] == c["pid"] * 1_000_000 + sign * 1000 + c["tblid"]
        assert record["objectId"][:3] == "ZTF"
        assert len(record["objectId"]) == 12


def test_candids_are_unique_where_images_hold_many_alerts():
    """A hundred times more objects than a night needs: many fall on one readout channel of one exposure."""
    candids = [packet.candid for packet in simulate(300, 1, seed=1, n_objects=20_000).packets]
    assert len(set(candids)) == 300
    assert len({candid // 1_000_000 for candid in candids}) < 300


def test_truth_covers_every_object(simulation):
    truth, _, records = simulation
    assert {record["objectId"] for record in records} == set(truth)
    counts = defaultdict(int)
    for record in records:
        counts[record["objectId"]] += 1
    for oid, row in truth.items():
        assert row["n_alerts"] == counts[oid]
        assert row["stamp_class"] == STAMP_CLASS[row["class_name"]]
        assert row["subclass"]
        assert (row["redshift"] is not None) == (row["stamp_class"] in ("SN", "AGN"))
        assert (row["host_offset"] is not None) == (row["stamp_class"] == "SN")
    assert {row["class_name"] for row in truth.values()} == set(CLASSES)
    assert simulate(10, 1, 1).truth.schema.equals(TRUTH, check_metadata=True)


def test_positions_are_those_of_the_truth(simulation):
    truth, _, records = simulation
    for record in records:
        c, true = record["candidate"], truth[record["objectId"]]
        east = ((c["ra"] - true["ra"] + 180) % 360 - 180) * np.cos(np.radians(true["dec"]))
        assert np.hypot(east, c["dec"] - true["dec"]) * 3600 < 1.5


@pytest.mark.parametrize(("n_alerts", "nights", "n_objects"), [(0, 1, None), (1, 0, None), (1, 1, 0)])
def test_nonsense_is_refused(n_alerts, nights, n_objects):
    with pytest.raises(ValueError, match="at least one"):
        simulate(n_alerts, nights, 1, n_objects=n_objects)


# --- history --------------------------------------------------------------------------------------


def test_history_is_that_of_thirty_days_in_order(simulation):
    _, _, records = simulation
    for record in records:
        jd = record["candidate"]["jd"]
        for name in ("prv_candidates", "fp_hists"):
            times = [entry["jd"] for entry in record[name] or []]
            assert times == sorted(times)
            assert all(jd - 30 <= time < jd for time in times)
        if record["fp_hists"]:
            assert [e["pid"] for e in record["fp_hists"]] == [e["pid"] for e in record["prv_candidates"]]


def test_what_an_alert_told_later_alerts_tell_again(simulation):
    """Detections of an earlier alert and the alert itself come again, unchanged, while they are younger
    than 30 d."""
    _, _, records = simulation
    told = defaultdict(dict)  # by object and candid
    repeated = 0
    for record in records:
        c = record["candidate"]
        previous = {p["candid"]: p for p in record["prv_candidates"] or [] if p["candid"] is not None}
        known = told[record["objectId"]]
        for candid, before in known.items():
            if c["jd"] - before["jd"] <= 30:
                again = previous[candid]
                repeated += 1
                for name in ("jd", "magpsf", "sigmapsf", "ra", "dec", "isdiffpos", "rb", "distnr", "diffmaglim"):
                    assert again[name] == before[name]
        known.update(previous)
        known[c["candid"]] = c
    assert repeated > 100


def test_counts_of_the_history_grow(simulation):
    _, _, records = simulation
    last = {}
    for record in records:
        c = record["candidate"]
        n_previous = sum(p["candid"] is not None for p in record["prv_candidates"] or [])
        assert c["ndethist"] > n_previous
        assert c["ncovhist"] > len(record["prv_candidates"] or [])
        assert c["jdstarthist"] <= c["jd"] == c["jdendhist"]
        # forced photometry begins with the second detection
        assert (record["fp_hists"] is None) == (c["ndethist"] == 1 or record["prv_candidates"] is None)
        if record["objectId"] in last:
            before = last[record["objectId"]]
            assert c["ndethist"] > before["ndethist"]
            assert c["ncovhist"] > before["ncovhist"]
            assert c["jdstarthist"] == before["jdstarthist"]
        last[record["objectId"]] = c


def test_upper_limits_carry_a_limit_and_nothing_else(simulation):
    _, _, records = simulation
    limits = [p for record in records for p in record["prv_candidates"] or [] if p["candid"] is None]
    assert limits
    for limit in limits:
        assert 18 < limit["diffmaglim"] < 22
        for name in ("ra", "dec", "magpsf", "sigmapsf", "isdiffpos", "distnr", "rb", "tblid"):
            assert limit[name] is None


def test_forced_photometry_agrees_with_the_detections(simulation):
    """Two measurements of one flux, each with its error; the sign is that of the detection."""
    _, _, records = simulation
    pulls = []
    for record in records:
        forced = {f["pid"]: f for f in record["fp_hists"] or []}
        for p in record["prv_candidates"] or []:
            if p["candid"] is not None and p["pid"] in forced:
                f = forced[p["pid"]]
                flux = 10 ** (0.4 * (f["magzpsci"] - p["magpsf"])) * (1 if p["isdiffpos"] == "t" else -1)
                error = np.hypot(f["forcediffimfluxunc"], p["sigmapsf"] / 1.0857 * abs(flux))
                pulls.append((f["forcediffimflux"] - flux) / error)
    assert len(pulls) > 100
    assert abs(np.median(pulls)) < 0.2
    assert np.mean(np.abs(pulls) < 4) > 0.99


# --- classes --------------------------------------------------------------------------------------


def test_classes_look_like_themselves(simulation, classes):
    truth, _, _ = simulation

    def median(name, field):
        return np.median([record["candidate"][field] for record in classes[name]])

    for record in classes["asteroid"] + classes["bogus"]:
        assert truth[record["objectId"]]["n_alerts"] == 1
        assert record["prv_candidates"] is None or all(p["candid"] is None for p in record["prv_candidates"])
    assert all(r["candidate"]["ndethist"] == 1 for r in classes["asteroid"])
    known = [r for r in classes["asteroid"] if truth[r["objectId"]]["subclass"] != "unknown"]
    assert all(0 <= r["candidate"]["ssdistnr"] < 5 for r in known)
    others = [r for r in (*classes["SN"], *classes["VS"], *classes["AGN"], *classes["bogus"])]
    assert all(r["candidate"]["ssdistnr"] == -999 and r["candidate"]["ssnamenr"] == "null" for r in others)
    assert all(r["candidate"]["isdiffpos"] == "t" for r in (*classes["SN"], *classes["asteroid"]))
    assert {r["candidate"]["isdiffpos"] for r in (*classes["VS"], *classes["AGN"])} == {"t", "f"}
    assert median("VS", "sgscore1") > 0.9 > 0.4 > median("SN", "sgscore1")
    assert median("VS", "distnr") < 0.5 < median("SN", "distnr") < median("asteroid", "distnr")
    assert max(median("bogus", "rb"), 0.5) < min(median(name, "rb") for name in STAMP_CLASSES[:4])
    assert median("bogus", "drb") < 0.2 < 0.99 < median("SN", "drb")


def test_no_supernova_is_seen_before_it_explodes(simulation, classes):
    truth, _, _ = simulation
    for record in classes["SN"]:
        detections = [p["jd"] for p in record["prv_candidates"] or [] if p["candid"] is not None]
        first = min([*detections, record["candidate"]["jd"]]) - 2400000.5
        assert first > truth[record["objectId"]]["explosion_mjd"]


def test_detections_are_brighter_than_the_limit(simulation):
    _, _, records = simulation
    for record in records:
        c = record["candidate"]
        assert c["magpsf"] < c["diffmaglim"]
        assert 0 < c["sigmapsf"] < 0.3


def test_distnr_is_the_separation_in_pixels(simulation):
    _, _, records = simulation
    for record in records:
        c = record["candidate"]
        east = ((c["ra"] - c["ranr"] + 180) % 360 - 180) * np.cos(np.radians(c["dec"]))
        pixels = np.hypot(east, c["dec"] - c["decnr"]) * 3600 / PIXEL_SCALE
        assert c["distnr"] == pytest.approx(pixels, abs=0.01)


# --- cutouts --------------------------------------------------------------------------------------


def _images(record):
    from astropy.io import fits

    images = []
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        with fits.open(io.BytesIO(gzip.decompress(record[name]["stampData"]))) as hdus:
            images.append(hdus[0].data.astype(float))
    return images


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_science_is_template_plus_difference(simulation, classes):
    """Away from bright sources, whose profiles differ with the seeing, to within the noise."""
    for record in classes["SN"][:40] + classes["asteroid"][:40]:
        science, template, difference = _images(record)
        assert science.shape == template.shape == difference.shape
        noise = 1.4826 * np.median(np.abs(difference - np.median(difference)))
        left = science - template - difference
        assert abs(np.median(left)) < 0.5 * noise
        assert np.median(np.abs(left)) < 0.5 * noise
        # one exposure is noisier than many
        assert np.median(np.abs(template - np.median(template))) < np.median(np.abs(science - np.median(science)))


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_the_difference_image_holds_the_flux_of_the_alert(classes):
    """Aperture photometry of the difference image gives magpsf, for negative alerts as well: they are shown
    positive."""
    y, x = np.mgrid[:63, :63] - 31
    ratios = {"t": [], "f": []}
    inside = np.hypot(x, y) < 8
    classes = {name: [r for r in of_class if r["candidate"]["mindtoedge"] > 33] for name, of_class in classes.items()}
    for record in classes["VS"] + classes["SN"] + classes["asteroid"]:
        c = record["candidate"]
        # bright ones, on sources that are not so bright that what is left of them counts
        if c["magpsf"] < 18 and c["magnr"] > max(14.5, c["magpsf"] - 1.5):
            difference = _images(record)[2]
            flux = difference[inside].sum() - np.median(difference) * inside.sum()
            ratios[c["isdiffpos"]].append(flux / 10 ** (0.4 * (c["magzpsci"] - c["magpsf"])))
    for of_sign in ratios.values():
        assert len(of_sign) > 8
        assert np.median(of_sign) == pytest.approx(1, abs=0.08)
        assert min(of_sign) > 0.6


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_cutouts_end_where_the_detector_ends(simulation):
    """As in real packets: smaller images, nothing hidden, and none of the three differs from the others."""
    _, _, records = simulation
    clipped = 0
    for record in records:
        c = record["candidate"]
        width = 1 + min(31, int(c["xpos"])) + min(31, int(3072 - c["xpos"]))
        height = 1 + min(31, int(c["ypos"])) + min(31, int(3080 - c["ypos"]))
        images = _images(record)
        assert {image.shape for image in images} == {(height, width)}
        assert all(np.isfinite(image).all() for image in images)
        clipped += (height, width) != (63, 63)
    assert 5 < clipped < 0.06 * len(records)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_background_and_noise_are_those_of_real_cutouts(real_data, simulation):
    """Medians over packets of level and robust scatter of each image agree to a quarter."""

    def levels(records):
        values = []
        for record in records:
            try:
                images = _images(record)
            except (OSError, KeyError):
                continue
            if all(image.shape == (63, 63) and np.isfinite(image).all() for image in images):
                medians = [np.median(image) for image in images]
                values.append(medians[:2] + [np.median(np.abs(i - m)) for i, m in zip(images, medians, strict=True)])
        return np.median(values, axis=0)

    real = []
    for path in sorted((real_data / "ztf_alerts" / "avro").glob("*.avro"))[::3]:
        with path.open("rb") as file:
            real.append(next(fastavro.reader(file)))
    assert levels(simulation[2]) == pytest.approx(levels(real), rel=0.25)


# --- history beyond a packet's thirty days --------------------------------------------------------


def test_earlier_packets_tell_of_the_nights_before():
    """Alerts of the night are as many as without history; what all packets of an object say joins without a hole."""
    made = simulate(150, 1, seed=12, history=80, start=START)
    told, alerts = defaultdict(set), defaultdict(list)
    night = (START - date(1858, 11, 17)).days
    for packet in made.packets:
        record = next(fastavro.reader(io.BytesIO(packet.data)))
        mjd = record["candidate"]["jd"] - 2400000.5
        alerts[record["objectId"]].append(mjd)
        assert (packet.night < START) == (mjd < night)
        told[record["objectId"]] |= {mjd} | {p["jd"] - 2400000.5 for p in record["prv_candidates"] or ()}
    assert sum(mjd >= night for times in alerts.values() for mjd in times) == 150
    truth = {row["oid"]: row for row in made.truth.to_pylist()}
    assert {oid: len(times) for oid, times in alerts.items()} == {oid: row["n_alerts"] for oid, row in truth.items()}
    reached = []
    for oid, times in alerts.items():
        assert max(times) >= night
        assert np.diff(sorted(times), prepend=night).max() <= 31
        if truth[oid]["stamp_class"] in ("asteroid", "bogus"):
            assert len(times) == 1
        else:
            reached.append(max(times) - min(told[oid]))
    assert np.percentile(reached, 80) > 75
    assert max(reached) <= 80 + 31


def test_earlier_alerts_of_a_light_curve():
    """Detected every night from 100 to 199, asked at 200: packets at 170, 140, and no more for the last ten nights."""
    mjd = np.arange(100.0, 201.0)[None]
    detected = np.ones(mjd.shape, bool)
    alerts = mjd == 200
    assert mjd[earlier_alerts(mjd, detected, alerts, 200.0, 60.0)].tolist() == [170]
    assert mjd[earlier_alerts(mjd, detected, alerts, 200.0, 90.0)].tolist() == [140, 170]
    assert mjd[earlier_alerts(mjd, detected & (mjd % 7 == 0), alerts, 200.0, 90.0)].tolist() == [119, 147, 175]
    assert not earlier_alerts(mjd, detected & (mjd > 195), alerts, 200.0, 30.0).any()
    assert not earlier_alerts(mjd, detected & (mjd < 150), alerts, 200.0, 90.0).any()
