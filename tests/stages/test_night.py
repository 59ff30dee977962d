"""A night through all stages: every packet accounted for, every product right, a second run changes nothing."""

import random
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from alerce_dagster.stages import alerts as alerts_stage
from alerce_dagster.stages.alerts import ingest, night_counts
from alerce_dagster.stages.classifications import CLASSIFIER
from alerce_dagster.stages.places import read_places
from alerce_dagster.storage import Stores, ledger, quarantine, queries, tables
from tests.stages.conftest import contents, night_of, run_night
from tests.zpackets import alert, candid_of, packet, write_packets


def test_every_packet_has_its_products(stores: Stores, counted, classifier, tmp_path: Path) -> None:
    folder = write_packets(tmp_path / "in", [alert(n) for n in range(12)])
    night = night_of(stores)
    entry = run_night(night, [folder], classifier).entry
    assert (entry.n_in, entry.n_out, entry.n_known, entry.n_aside) == (12, 12, 0, 0)
    assert counted(tables.alert) == 12
    assert counted(tables.detection) == 12 * 4
    assert counted(tables.non_detection) == 12 * 3
    assert counted(tables.forced_photometry) == 12 * 2
    assert counted(tables.object_) == 12
    assert counted(tables.classification) == 12 * 3  # stamps, light curves, combined
    assert counted(tables.object_class) == 12 * 3
    assert set(night_counts(night).values()) == {12}
    with stores.database.reading() as connection:
        sums = ledger.totals(connection, "ztf", night.night, {})
    few = ("features", "lightcurve_classifications", "outliers")  # four detections each are not enough
    for stage in few:
        total = sums.pop(stage)
        assert (total.n_in, total.n_out, total.n_aside) == (12, 0, 12), stage
    judged = sums.pop("candidates")  # which of these are candidates is for the rules to say
    assert (judged.n_in, judged.n_out + judged.n_aside) == (12, 12)
    done = dict.fromkeys(set(ledger.STAGES) - {*few, "candidates"}, (12, 12))
    assert {stage: (total.n_in, total.n_out) for stage, total in sums.items()} == done


def test_second_run_changes_nothing(stores: Stores, classifier, tmp_path: Path) -> None:
    folder = write_packets(tmp_path / "in", [alert(n) for n in range(8)])
    (folder / "empty.avro").write_bytes(b"")
    run_night(night_of(stores, "first"), [folder], classifier)
    before = contents(stores)
    entry = run_night(night_of(stores, "second"), [folder], classifier).entry
    assert (entry.n_in, entry.n_out, entry.n_known, entry.n_aside) == (9, 0, 8, 1)
    assert contents(stores) == before
    with stores.database.reading() as connection:
        assert len(quarantine.listing(connection)) == 1
        runs = set(connection.scalars(sa.select(tables.classification.c.run_id)))
    assert runs == {"first"}


def test_packets_come_back_verbatim(stores: Stores, tmp_path: Path) -> None:
    """Whatever the codec, the archive gives back the bytes that came."""
    folder = tmp_path / "in"
    folder.mkdir()
    sent = {}
    for n, codec in enumerate(("null", "deflate", "snappy")):
        sent[candid_of(n)] = packet(alert(n), codec)
        (folder / f"{n}.avro").write_bytes(sent[candid_of(n)])
    ingest(night_of(stores), read_places([str(folder)]))
    assert {candid: queries.packet(stores, "ztf", candid) for candid in sent} == sent


BAD = {
    "empty.avro": (b"", "empty"),
    "picture.avro": (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG"),
    "truncated.avro": (packet(alert(1))[:-500], "truncated"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_set_aside_with_its_bytes(stores: Stores, counted, tmp_path: Path, name: str) -> None:
    data, said = BAD[name]
    folder = write_packets(tmp_path / "in", [alert(0)])
    (folder / name).write_bytes(data)
    entry = ingest(night_of(stores), read_places([str(folder)])).entry
    assert (entry.n_in, entry.n_out, entry.n_aside) == (2, 1, 1)
    with stores.database.reading() as connection:
        [row] = quarantine.listing(connection)
    assert said in row["reason"]
    assert name in row["source"]
    assert quarantine.read_bytes(stores.archive, row) == data


def test_input_without_one_readable_packet(stores: Stores, counted, tmp_path: Path) -> None:
    (tmp_path / "empty.avro").write_bytes(b"")
    entry = ingest(night_of(stores), read_places([str(tmp_path / "empty.avro")])).entry
    assert (entry.n_in, entry.n_out, entry.n_aside) == (1, 0, 1)
    assert counted(tables.alert) == 0


def test_same_candid_with_other_content_is_set_aside(stores: Stores, counted, tmp_path: Path) -> None:
    """Within one reading and against what is stored; the first one stands."""
    first = write_packets(tmp_path / "a", [alert(0, magpsf=18.0)])
    changed = write_packets(tmp_path / "b", [alert(0, magpsf=19.0)])
    for _ in range(2):
        entry = ingest(night_of(stores), read_places([str(first), str(changed)])).entry
        assert entry.reasons == {"candid # is stored with different content": 1}
    with stores.database.reading() as connection:
        assert connection.scalars(sa.select(tables.alert.c.mag)).all() == [pytest.approx(18.0)]
        assert len(quarantine.listing(connection)) == 1


def test_other_nights_are_counted_and_left(stores: Stores, counted, tmp_path: Path) -> None:
    folder = write_packets(tmp_path / "in", [alert(0), alert(1, day=1.3), alert(2, day=1.4)])
    ingested = ingest(night_of(stores), read_places([str(folder)]))
    assert counted(tables.alert) == 1
    assert {str(day): n for day, n in ingested.other_nights.items()} == {"2020-01-16": 2}


def test_order_of_arrival_does_not_matter(stores: Stores, classifier, tmp_path: Path, monkeypatch) -> None:
    """Three alerts of each of four objects, in any order and batching, end in the same tables."""
    records = [alert(n + 10 * k, f"ZTF20object{n}", day=0.1 * (k + 1), ra=15.0 * n) for n in range(4) for k in range(3)]
    monkeypatch.setattr(alerts_stage, "PACKETS_PER_BATCH", 5)
    order = random.Random(4)
    found = []
    for attempt in range(3):
        order.shuffle(records)
        for half in (records[:6], records[6:]):
            folder = write_packets(tmp_path / f"{attempt}-{len(found)}-{half is records[:6]}-{order.random()}", half)
            run_night(night_of(stores), [folder], classifier)
        found.append(contents(stores))
        with stores.database.writing() as connection:
            for table in tables.metadata.sorted_tables:
                connection.execute(table.delete())
    assert found[0] == found[1] == found[2]
    assert len(found[0]["object"]) == 4


def test_object_probability_is_the_mean_over_its_alerts(stores: Stores, classifier, tmp_path: Path) -> None:
    folder = write_packets(tmp_path / "in", [alert(n, "ZTF20same", day=0.2 + n / 100) for n in range(3)])
    run_night(night_of(stores), [folder], classifier)
    with stores.database.reading() as connection:
        alerts, objects = tables.classification, tables.object_class
        each = connection.scalars(sa.select(alerts.c.probabilities).where(alerts.c.classifier == CLASSIFIER)).all()
        chosen = sa.select(objects).where(objects.c.classifier == CLASSIFIER)
        [whole] = connection.execute(chosen).mappings().all()
    assert whole["n_alerts"] == 3
    for name, value in whole["probabilities"].items():
        assert value == pytest.approx(np.mean([p[name] for p in each]), abs=1e-6)
    assert whole["class_name"] == max(whole["probabilities"], key=whole["probabilities"].get)


def test_known_asteroid_and_missing_cutouts_are_answered(stores: Stores, classifier, tmp_path: Path) -> None:
    """Nothing is dropped silently: an ephemeris answers without the model, and no cutout is a reason."""
    asteroid = alert(0, ssdistnr=0.5, ssmagnr=18.2, ssnamenr="433 Eros")
    blind = alert(1)
    for kind in ("Science", "Template", "Difference"):
        blind[f"cutout{kind}"] = None
    half = alert(2)
    half["cutoutTemplate"] = None
    run_night(night_of(stores), [write_packets(tmp_path / "in", [asteroid, blind, half])], classifier)
    with stores.database.reading() as connection:
        answers = tables.classification
        chosen = sa.select(answers).where(answers.c.classifier == CLASSIFIER).order_by(answers.c.candid)
        rows = connection.execute(chosen).mappings().all()
        sums = ledger.totals(connection, "ztf", night_of(stores).night, {})
    assert (rows[0]["class_name"], rows[0]["probability"]) == ("asteroid", 1.0)
    assert "433 Eros" in rows[0]["reason"]
    assert (rows[1]["class_name"], rows[1]["probabilities"], rows[1]["reason"]) == (None, None, "no cutout")
    assert rows[2]["class_name"] is not None
    assert "template missing" in rows[2]["reason"]
    assert sums["stamps"].n_aside == 2
    assert (sums["classifications"].n_out, sums["classifications"].n_aside) == (2, 1)
