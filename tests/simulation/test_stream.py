"""A simulated survey over Kafka: pace, topics, keys, bytes, and a broker that is not there."""

import socket
import uuid
from datetime import date

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from alerce_dagster.errors import StoreError
from alerce_dagster.simulation.stream import due, publish
from alerce_dagster.simulation.ztf import SimulatedPacket, simulate
from tests.kafka import Broker


@pytest.mark.parametrize(("rate", "burst"), [(333.0, 1), (333.0, 10_000), (5.0, 3), (1000.0, 7)])
def test_bursts_leave_at_the_mean_rate(rate, burst):
    n = 3 * burst + 1
    times = np.array([due(number, rate, burst) for number in range(n)])
    assert times[0] == 0
    assert np.all(np.diff(times) >= 0)
    assert len(set(times)) == 4  # three whole bursts and one message
    assert np.unique(np.diff(np.unique(times))) == pytest.approx(burst / rate)
    assert np.all(np.arange(n) / rate - times < burst / rate)  # never a burst ahead of an even stream
    assert np.all(np.arange(n) / rate >= times - 1e-9)


def test_without_a_rate_all_are_due_at_once():
    assert {due(number, None, burst) for number in (0, 1, 99) for burst in (1, 10)} == {0.0}


def received(kafka: Broker, topic: str) -> list:
    """All messages of a topic, partition by partition."""
    settings = {"bootstrap.servers": kafka.address, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
    consumer = Consumer(settings)
    messages = []
    for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        place = TopicPartition(topic, partition, 0)
        consumer.assign([place])
        _, high = consumer.get_watermark_offsets(place, timeout=10)
        if high:
            messages += consumer.consume(high, 30)
    consumer.close()
    return messages


def test_packets_arrive_as_they_are_keyed_by_object_in_the_topic_of_their_night(kafka: Broker):
    name = uuid.uuid4().hex[:8]
    for day in (2, 3):
        kafka.create_topic(f"{name}_202409{day:02d}", 3)
    packets = list(simulate(60, 2, seed=3, n_objects=30, start=date(2024, 9, 2)).packets)
    sent = publish(packets, kafka.address, f"{name}_%Y%m%d")
    assert sent.messages == 60
    assert sent.topics == [f"{name}_20240902", f"{name}_20240903"]
    for topic, night in zip(sent.topics, (date(2024, 9, 2), date(2024, 9, 3)), strict=True):
        expected = {packet.data: packet for packet in packets if packet.night == night}
        messages = received(kafka, topic)
        assert len(messages) == len(expected)
        assert {message.value() for message in messages} == set(expected)
        where: dict[bytes, set] = {}
        for message in messages:
            assert message.key() == expected[message.value()].oid.encode()
            where.setdefault(message.key(), set()).add(message.partition())
        assert {len(partitions) for partitions in where.values()} == {1}  # an object's alerts keep their order


def test_a_topic_that_is_not_there_is_made_and_bursts_keep_their_time(kafka: Broker):
    topic = f"paced_{uuid.uuid4().hex[:8]}"
    packets = [SimulatedPacket(date(2024, 9, 2), n, f"ZTF{n}", bytes([n])) for n in range(25)]
    sent = publish(iter(packets), kafka.address, topic, rate=50.0, burst=10)
    messages = sorted(received(kafka, topic), key=lambda message: message.value())
    assert [message.value() for message in messages] == [packet.data for packet in packets]
    times = np.array([message.timestamp()[1] for message in messages]) / 1000  # when they were given to the producer
    planned = np.array([due(number, 50.0, 10) for number in range(25)])
    assert np.all(times - times[0] > planned - 0.01)  # none leaves before its time
    assert sent.seconds >= 0.4


def test_a_burst_larger_than_memory_may_hold_goes_by_way_of_the_disk(kafka: Broker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("alerce_dagster.simulation.stream._IN_MEMORY", 1 << 20)
    topic = f"large_{uuid.uuid4().hex[:8]}"
    packets = [SimulatedPacket(date(2024, 9, 2), n, "same", bytes([n]) * 100_000) for n in range(40)]
    assert publish(iter(packets), kafka.address, topic, rate=1000.0, burst=40).messages == 40
    messages = received(kafka, topic)
    assert [message.value() for message in messages] == [packet.data for packet in packets]


def test_a_broker_that_is_away_is_one_sentence_before_any_packet_is_made(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    monkeypatch.setattr("alerce_dagster.simulation.stream._ANSWER", 0.5)
    packets = simulate(10, 1, seed=1).packets
    with pytest.raises(StoreError, match=f"no Kafka broker answers at 127.0.0.1:{free}"):
        publish(packets, f"127.0.0.1:{free}")
    assert len(list(packets)) == 10


def test_a_refused_packet_is_one_sentence(kafka: Broker):
    topic = f"refused_{uuid.uuid4().hex[:8]}"
    huge = SimulatedPacket(date(2024, 9, 2), 1, "ZTF1", bytes(2_000_000))
    with pytest.raises(StoreError, match="did not take a packet"):
        publish([huge], kafka.address, topic)
