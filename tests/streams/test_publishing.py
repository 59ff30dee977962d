"""Results on Kafka: after their commit, each exactly once, whatever happens to the publisher."""

import uuid
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import fastavro
import pyarrow as pa
import pytest
import sqlalchemy as sa

from alerce_dagster.classifiers.light_curve_inputs import MIN_EPOCHS
from alerce_dagster.errors import StreamError
from alerce_dagster.stages import Night
from alerce_dagster.stages.answer_messages import put_candidates
from alerce_dagster.stages.classifications import CLASSIFIER
from alerce_dagster.stages.lightcurve_classifications import CLASSIFIER as LIGHT_CURVE
from alerce_dagster.stages.streams import Outlet
from alerce_dagster.storage import Stores, filters, ledger, outbox, tables
from alerce_dagster.storage.outbox import Outgoing
from alerce_dagster.streams import messages
from alerce_dagster.streams.cluster import Cluster
from alerce_dagster.streams.publishing import Publisher
from tests.kafka import Broker
from tests.stages.conftest import night_of, run_night
from tests.streams.conftest import read_all
from tests.zpackets import NIGHT, alert, write_packets


@pytest.fixture
def name() -> str:
    """A deployment of its own."""
    return f"test_{uuid.uuid4().hex[:10]}"


def publishing(stores: Stores, run_id: str = "run") -> Night:
    night = night_of(stores, run_id)
    return Night(stores, night.survey, night.night, run_id, publishes=True)


def put(stores: Stores, topic: str, *batches: str) -> None:
    """A parcel of two messages for each batch."""
    with stores.database.writing() as connection:
        for batch in batches:
            out = [Outgoing(b"key", f"{batch}{n}".encode(), {"n": str(n)}) for n in range(2)]
            outbox.put(connection, "ztf", date.fromisoformat(NIGHT), topic, batch, "1", out)


def values(broker: Broker, topic: str) -> list[bytes]:
    return [message.value() for message in read_all(broker, topic)]


def test_results_of_a_night(stores: Stores, apache_kafka: Broker, cluster: Cluster, classifier, tmp_path, name) -> None:
    """What a consumer gets equals what the database holds, with names ALeRCE's consumers know."""
    with stores.database.writing() as connection:
        filters.add(connection, name, "n_det >= 4 and mag < 17.35")
        filters.note_test(connection, filters.find(connection, name), date.fromisoformat(NIGHT), 10, 1)
        filters.enable(connection, name)
    records = [alert(n, f"ZTF20object{n % 5}", day=0.3 + n / 50, ra=15.0 * (n % 5)) for n in range(10)]
    run_night(publishing(stores), [write_packets(tmp_path / "in", records)], classifier)
    dated = {"stamp_classifier_20200115", "lc_classifier_20200115"}
    topics = dated | {"sn_candidates", "object_updates", f"filter_{name}"}
    before = {topic: len(read_all(apache_kafka, topic)) for topic in topics}
    sent = Outlet(cluster, name).publish(stores)
    found = {topic: read_all(apache_kafka, topic)[before[topic] :] for topic in topics}
    assert sent == sum(map(len, found.values()))
    with stores.database.reading() as connection:
        of_cutouts = tables.classification.c.classifier == CLASSIFIER
        answers = connection.execute(sa.select(tables.classification).where(of_cutouts)).mappings().all()
        objects = connection.execute(sa.select(tables.object_)).mappings().all()
        bright = connection.scalars(sa.select(tables.alert.c.candid).where(tables.alert.c.mag < 17.35)).all()
    stamps = [messages.decode(m.value()) for m in found["stamp_classifier_20200115"]]
    assert {m["candid"]: (m["objectId"], m["probabilities"], m["classifier_version"]) for m in stamps} == {
        a["candid"]: (a["oid"], a["probabilities"], a["model"]) for a in answers if a["class_name"]
    }
    updates = [messages.decode(m.value()) for m in found["object_updates"]]
    assert {m["oid"]: (m["ndet"], m["meanra"], m["lastmjd"]) for m in updates} == {
        o["oid"]: (o["n_det"], o["ra"], o["last_mjd"]) for o in objects
    }
    check_light_curve_answers(stores, [messages.decode(m.value()) for m in found["lc_classifier_20200115"]])
    check_supernovae(stores, [messages.decode(m.value()) for m in found["sn_candidates"]])
    matches = [messages.decode(m.value()) for m in found[f"filter_{name}"]]
    assert sorted(m["candid"] for m in matches) == sorted(bright)
    assert {m["filter_version"] for m in matches} == {1}
    assert all(m.key().decode() in {o["oid"] for o in objects} for ms in found.values() for m in ms)
    # Again from nothing: the same results are not results anew.
    run_night(publishing(stores, "again"), [tmp_path / "in"], classifier)
    assert Outlet(cluster, name).publish(stores) == 0


def check_light_curve_answers(stores: Stores, told: list[dict]) -> None:
    """Each object whose light curve has an answer once, with the stored numbers, and levels that add up to them."""
    answer = tables.classification.c
    chosen = sa.select(tables.classification).where(
        answer.classifier == LIGHT_CURVE, answer.probabilities.is_not(None), answer.n_epochs >= MIN_EPOCHS
    )
    with stores.database.reading() as connection:
        stored = {row["oid"]: row for row in connection.execute(chosen).mappings()}
        inputs = {row.oid: row.inputs for row in connection.execute(sa.select(tables.light_curve_input))}
    assert len(told) == len(stored) > 0
    for message in told:
        row, said = stored[message["oid"]], message["lc_classification"]
        assert said["probabilities"] == row["probabilities"]
        assert said["class"] == max(row["probabilities"], key=row["probabilities"].__getitem__)
        assert message["determined"] == (row["class_name"] is not None)
        assert (message["prediction_set"], message["reason"]) == (row["prediction_set"], row["reason"])
        assert (message["candid"], message["classifier_version"]) == (row["candid"], row["model"])
        assert list(message["features"].values()) == inputs[message["oid"]]
        levels = said["hierarchical"]
        for top, children in levels["children"].items():
            for name, share in children.items():
                assert share * levels["top"][top] == pytest.approx(row["probabilities"][name], abs=1e-12)


def check_supernovae(stores: Stores, told: list[dict]) -> None:
    """The objects that the stored rules let through, with the score and version that are stored."""
    candidate = tables.candidate.c
    with stores.database.reading() as connection:
        chosen = sa.select(candidate.oid, candidate.score).where(candidate.passed)
        expected = {oid: score for oid, score in connection.execute(chosen)}
        version = connection.scalars(
            sa.select(tables.ledger.c.version).where(tables.ledger.c.stage == "candidates").distinct()
        ).all()
    assert {message["oid"]: message["score"] for message in told} == expected
    assert len(told) == len(expected)
    assert {message["classifier_version"] for message in told} <= set(version)


def test_a_supernova_candidate_tells_of_its_newest_alert(stores: Stores, classifier, tmp_path: Path) -> None:
    """Of two objects with two alerts each, one that the rules let through and one that they do not."""
    night = night_of(stores)
    records = [alert(n, f"ZTF20object{n % 2}", day=0.3 + n / 50, ra=15.0 * (n % 2)) for n in range(4)]
    run_night(night, [write_packets(tmp_path / "in", records)], classifier)
    judged = pa.table(
        {
            "oid": ["ZTF20object0", "ZTF20object1"],
            "passed": [True, False],
            "score": [0.6, 0.9],
            "sn": [0.8, 0.95],
        }
    )
    with stores.database.writing() as connection:
        [batch] = ledger.batches(connection, "ztf", night.night)
        put_candidates(night, connection, batch, judged, "supernovae", "supernovae 1 abc")
        [parcel] = outbox.waiting(connection, 10)
    [message] = [messages.decode(each.value) for each in parcel.messages]
    assert (parcel.topic, message["oid"], message["candid"]) == ("sn_candidates", "ZTF20object0", records[2]["candid"])
    assert (message["probability"], message["score"]) == (0.8, 0.6)
    assert (message["classifier_name"], message["classifier_version"]) == ("supernovae", "supernovae 1 abc")
    assert message["ndet"] >= 2
    assert message["mjd"] == pytest.approx(records[2]["candidate"]["jd"] - 2_400_000.5)


def test_published_schemas_are_valid_and_documented() -> None:
    for schema_name in messages.NAMES:
        schema = messages.schema(schema_name)
        fastavro.parse_schema(schema.source)
        assert schema.source["doc"]
        assert all(field["doc"] for field in schema.source["fields"])
        provenance = {"survey", "run_id", "classifier_name", "classifier_version"}
        assert provenance <= {field["name"] for field in schema.source["fields"]}


def test_in_order_and_once(stores: Stores, apache_kafka: Broker, cluster: Cluster, topic, name) -> None:
    one = topic("out")
    outlet = Outlet(cluster, name)
    put(stores, one, "a", "b", "a")
    assert outlet.publish(stores) == 4
    assert outlet.publish(stores) == 0
    put(stores, one, "c", "b")
    assert outlet.publish(stores) == 2
    found = read_all(apache_kafka, one)
    assert [m.value() for m in found] == [b"a0", b"a1", b"b0", b"b1", b"c0", b"c1"]
    assert [dict(m.headers())["n"] for m in found] == [b"0", b"1"] * 3
    with stores.database.reading() as connection:
        rows = connection.execute(sa.select(tables.outbox)).mappings().all()
    assert all(row["messages"] is None and row["published_at"] for row in rows)


@pytest.mark.parametrize("dies", ["before the commit", "between commit and mark"])
def test_a_publisher_that_dies(
    stores: Stores, apache_kafka: Broker, cluster: Cluster, topic, name, monkeypatch, dies: str
) -> None:
    """The next one finds out from Kafka what has gone out."""
    one = topic("out")
    put(stores, one, "a", "b")
    with monkeypatch.context() as patched:
        if dies == "before the commit":

            def half(self, waiting, position, digest):
                self._producer.begin_transaction()
                self._producer.produce(one, b"half")
                self._producer.flush(30)
                raise SystemExit

            patched.setattr(Publisher, "send", half)
        else:
            patched.setattr(outbox, "mark_published", lambda *_: exit())
        with pytest.raises(SystemExit):
            Outlet(cluster, name).publish(stores)
    put(stores, one, "c")
    sent = Outlet(cluster, name).publish(stores)
    assert values(apache_kafka, one) == [b"a0", b"a1", b"b0", b"b1", b"c0", b"c1"]
    assert sent == (6 if dies == "before the commit" else 2)
    with stores.database.reading() as connection:
        assert outbox.waiting(connection, 10) == []


def test_two_publishers_at_once(stores: Stores, apache_kafka: Broker, cluster: Cluster, topic, name) -> None:
    """The second puts the first out of work; the first begins anew when it has something to send."""
    one = topic("out")
    first, second = Outlet(cluster, name), Outlet(cluster, name)
    put(stores, one, "a")
    assert first.publish(stores) == 2
    put(stores, one, "b")
    assert second.publish(stores) == 2
    put(stores, one, "c")
    assert first.publish(stores) == 0
    assert first.publish(stores) == 2
    assert Counter(values(apache_kafka, one)) == Counter([b"a0", b"a1", b"b0", b"b1", b"c0", b"c1"])


def test_another_database_does_not_publish_under_the_same_name(
    stores: Stores, apache_kafka: Broker, cluster: Cluster, topic, name
) -> None:
    """Its parcels have the same numbers: Kafka's note would be taken for its own."""
    one = topic("out")
    put(stores, one, "a")
    Outlet(cluster, name).publish(stores)
    with stores.database.writing() as connection:
        connection.execute(tables.outbox.delete())
    put(stores, one, "z")
    with pytest.raises(StreamError, match="ALERCE_STREAMS_NAME"):
        Outlet(cluster, name).publish(stores)
    assert values(apache_kafka, one) == [b"a0", b"a1"]


def test_what_goes_out_was_committed_before(stores: Stores, cluster: Cluster, classifier, tmp_path: Path) -> None:
    """A transaction that is undone leaves nothing in the outbox."""
    folder = write_packets(tmp_path / "in", [alert(n) for n in range(2)])
    night = publishing(stores)

    class Deadly(Exception):
        pass

    def die(*_):
        raise Deadly

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("alerce_dagster.storage.ledger.record", _after_outbox(stores, die))
        with pytest.raises(Deadly):
            run_night(night, [folder], classifier)
    with stores.database.reading() as connection:
        assert outbox.waiting(connection, 10) == []
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.classification)) == 0


def _after_outbox(stores: Stores, die):
    from alerce_dagster.storage import ledger

    record = ledger.record

    def recorded(connection, entry):
        if entry.stage == "classifications":
            assert outbox.waiting(connection, 10), "the results lie in the outbox by now"
            die()
        record(connection, entry)

    return recorded


def test_the_time_of_publication_is_kept(stores: Stores, apache_kafka: Broker, cluster: Cluster, topic, name) -> None:
    put(stores, topic("out"), "a")
    began = datetime.now(UTC)
    Outlet(cluster, name).publish(stores)
    with stores.database.reading() as connection:
        when = connection.scalar(sa.select(tables.outbox.c.published_at))
    assert began <= when.replace(tzinfo=UTC) <= datetime.now(UTC)
