"""Topics with messages, and what is on them."""

import uuid
from collections.abc import Callable, Sequence

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from alerce_dagster.streams.cluster import Cluster
from tests.kafka import Broker
from tests.stages.conftest import classifier as classifier
from tests.stages.conftest import counted as counted


@pytest.fixture
def cluster(kafka: Broker) -> Cluster:
    return Cluster("ALERCE_ZTF_KAFKA", kafka.address)


@pytest.fixture
def topic(kafka: Broker) -> Callable[..., str]:
    """Makes a topic with a name of its own."""

    def make(prefix: str = "ztf", partitions: int = 1, **config: str) -> str:
        name = f"{prefix}_{uuid.uuid4().hex[:10]}"
        kafka.create_topic(name, partitions, **config)
        return name

    return make


def send(broker: Broker, topic: str, values: Sequence[bytes], partitions: int = 1, **more) -> None:
    """Messages, in turns to the partitions."""
    producer = Producer({"bootstrap.servers": broker.address, "message.max.bytes": 4_000_000})
    for n, value in enumerate(values):
        producer.produce(topic, value, partition=n % partitions, **more)
    assert producer.flush(60) == 0


def read_all(broker: Broker, topic: str) -> list[Message]:
    """Every committed message of a topic, partition after partition; none where there is no such topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "test",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    described = consumer.list_topics(topic, timeout=30).topics[topic]
    if described.error is not None:
        return []
    consumer.assign([TopicPartition(topic, number, 0) for number in described.partitions])
    left, found = set(described.partitions), []
    while left:
        message = consumer.poll(30)
        assert message is not None, f"{topic} does not come to its end"
        error = message.error()
        if error is None:
            found.append(message)
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error
            left.discard(message.partition())
    consumer.close()
    return sorted(found, key=lambda message: (message.partition(), message.offset()))
