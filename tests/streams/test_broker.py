"""The broker the tests use keeps what Kafka promises."""

import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.kafka import Broker


def test_messages_come_back_in_order_with_their_key_and_time(kafka: Broker) -> None:
    topic = f"broker_{uuid.uuid4().hex[:8]}"
    kafka.create_topic(topic, 2)
    producer = Producer({"bootstrap.servers": kafka.address})
    for n in range(10):
        producer.produce(topic, str(n).encode(), key=b"same", partition=1, timestamp=1_000 + n)
    assert producer.flush(30) == 0
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 1, 3)])
    messages = consumer.consume(7, 30)
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 1), timeout=10)
    consumer.close()
    assert [(m.offset(), m.value(), m.key(), m.timestamp()[1]) for m in messages] == [
        (n, str(n).encode(), b"same", 1_000 + n) for n in range(3, 10)
    ]
    assert (low, high) == (0, 10)


@pytest.mark.parametrize("commit", [True, False])
def test_a_reader_of_what_is_committed_sees_no_aborted_message(apache_kafka: Broker, commit: bool) -> None:
    topic = f"broker_{uuid.uuid4().hex[:8]}"
    apache_kafka.create_topic(topic)
    producer = Producer({"bootstrap.servers": apache_kafka.address, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"one")
    producer.flush(30)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)
    producer.begin_transaction()
    producer.produce(topic, b"last")
    producer.commit_transaction(30)
    consumer = Consumer({"bootstrap.servers": apache_kafka.address, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    expected = [b"one", b"last"] if commit else [b"last"]
    messages = consumer.consume(len(expected), 30)
    consumer.close()
    assert [m.value() for m in messages] == expected
