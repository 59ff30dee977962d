"""Containers: what comes out is what went in, and damage has a reason."""

import io
import json
import tracemalloc
import zlib

import cramjam
import fastavro
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from alerce_dagster.surveys import packets as module
from alerce_dagster.surveys.packets import (
    MAGIC,
    Packet,
    PacketError,
    decode_record,
    iter_container,
    read_container,
    wrap_datum,
)
from tests.surveys.make_packets import container, ztf_record

SCHEMA = {
    "type": "record",
    "name": "tiny",
    "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": ["null", "string"]}],
}
RECORDS = [{"a": i * 10**15, "b": None if i % 3 else "x" * i} for i in range(40)]
SYNC = b"0123456789abcdef"


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_a_single_record_keeps_its_file(codec):
    data = container([ztf_record()], codec=codec)
    for source in (data, io.BytesIO(data)):
        (packet,) = iter_container(source)
        assert packet.container == data
        assert decode_record(packet)["candid"] == 1234567890123456789


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
@pytest.mark.parametrize("interval", [1, 100, 16000])
def test_several_records_are_wrapped_one_by_one(codec, interval):
    data = container(RECORDS, SCHEMA, codec, sync_interval=interval)
    packets = read_container(data)
    assert [decode_record(packet) for packet in packets] == RECORDS
    assert packets == list(iter_container(io.BytesIO(data)))
    for packet, record in zip(packets, RECORDS, strict=True):
        assert list(fastavro.reader(io.BytesIO(packet.container))) == [record]
        assert packet.container == wrap_datum(packet.body, packet.schema)
        (again,) = read_container(packet.container)
        assert again == packet
    assert all(packet.container == b"" for packet in read_container(data, wrap=False))


def test_no_record_at_all():
    assert read_container(container([], SCHEMA)) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n", "starts like a PNG image"),
        (b"\x1f\x8b\x08", "starts like a gzip file"),
        (b'{"objectId": 1}', "starts like a JSON document"),
        (b"\n\n <!DOCTYPE html>", "starts like an HTML or XML document"),
        (b"SIMPLE  =   T", "starts like a FITS file"),
        (b"\0\0\0\0\1abc", "Kafka message with a schema number"),
        (b"Obj\x02", "starts with b'Obj"),
        (b"Ob", "truncated at byte 2"),
        (MAGIC, "truncated at byte 4 of at least 5"),
        (MAGIC + b"\0" + SYNC, "no schema"),
        (MAGIC + b"\xff" * 20, "longer than 64 bits"),
        (MAGIC + b"\2" + b"\xfe\xff\xff\xff\xff\xff\xff\x7f", "claims an entry of"),
        (MAGIC + b"\2\x16avro.schema\4{}\0" + SYNC, "not a type"),
        (MAGIC + b"\2\x16avro.schema\4xx\0" + SYNC, "not JSON"),
        (MAGIC + b"\4\x14avro.codec\6lzo\x16avro.schema\x0a\"int\"\0" + SYNC, "codec 'lzo'"),
    ],
)  # fmt: skip
def test_what_is_not_a_container_is_called_by_its_name(data, reason):
    for source in (data, io.BytesIO(data)):
        with pytest.raises(PacketError, match=reason) as caught:
            list(iter_container(source))
        assert caught.value.data == data


def test_damage_of_one_block_costs_that_block():
    data = container(RECORDS, SCHEMA, "snappy", sync_interval=100)
    blocks = [at for at in range(len(data)) if data.startswith(SYNC, at)]
    broken = bytearray(data)
    broken[blocks[2] - 1] ^= 1  # the checksum of the second block
    found = []
    with pytest.raises(PacketError, match=r"checksum does not match \(snappy\)") as caught:
        found.extend(iter_container(bytes(broken)))
    before = len(found)
    assert 0 < before < len(RECORDS)
    assert caught.value.offset == blocks[1] + 16
    assert caught.value.data == broken[blocks[1] + 16 : blocks[2] + 16]
    for source in (bytes(broken), io.BytesIO(bytes(broken))):
        damage = []
        rest = list(iter_container(source, damaged=damage.append))
        lost = len(RECORDS) - len(rest)
        assert len(damage) == 1
        assert 0 < lost < 20
        assert [decode_record(packet) for packet in rest] == RECORDS[:before] + RECORDS[before + lost :]


def test_a_lost_sync_marker_is_found_again():
    data = container(RECORDS, SCHEMA, sync_interval=60)
    blocks = [at for at in range(len(data)) if data.startswith(SYNC, at)]
    broken = data[: blocks[3] + 3] + data[blocks[3] + 9 :]
    for source in (broken, io.BytesIO(broken)):
        damage = []
        rest = list(iter_container(source, damaged=damage.append))
        assert [str(error) for error in damage] == [
            f"the block at byte {blocks[2] + 16} does not end with the container's sync marker"
        ]
        assert len(RECORDS) - 12 < len(rest) < len(RECORDS)


def test_trailing_bytes_are_told():
    data = container(RECORDS[:1], SCHEMA)
    with pytest.raises(PacketError, match=r"truncated|claims|sync marker"):
        read_container(data + b"garbage and more of it")
    # A block whose record is shorter than the block.
    schema = json.dumps("int").encode()
    head = MAGIC + b"\2\x16avro.schema" + bytes([2 * len(schema)]) + schema + b"\0" + SYNC
    with pytest.raises(PacketError, match=r"the last record in the block .* left over"):
        read_container(head + b"\2\6\2\2\2" + SYNC)


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_truncation_at_every_byte(codec):
    data = container(RECORDS[:3], SCHEMA, codec)
    for end in range(len(data)):
        try:
            assert read_container(data[:end]) == []  # the header alone is a container without records
            assert data[:end].endswith(SYNC)
        except PacketError:
            pass


@settings(max_examples=500, deadline=None)
@given(st.data(), st.sampled_from(["null", "deflate", "snappy"]))
def test_flipped_bytes_never_raise_anything_else(data, codec):
    broken = bytearray(container(RECORDS[:5], SCHEMA, codec, sync_interval=20))
    for _ in range(data.draw(st.integers(1, 5))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    for source in (bytes(broken), io.BytesIO(bytes(broken))):
        try:
            for packet in iter_container(source, damaged=lambda error: None):
                decode_record(packet)
        except PacketError:
            pass


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_behind_a_good_header(noise):
    head = container([], SCHEMA)
    with_noise = list(iter_container(head + noise, damaged=lambda error: None))
    assert all(isinstance(packet, Packet) for packet in with_noise)


@pytest.mark.parametrize("codec", ["deflate", "snappy"])
def test_decompression_bombs_are_refused(codec, monkeypatch):
    monkeypatch.setattr(module, "MAX_BLOCK_BYTES", 1 << 20)
    zeros = bytes(50 << 20)
    if codec == "deflate":
        engine = zlib.compressobj(9, zlib.DEFLATED, -15)
        block = engine.compress(zeros) + engine.flush()
    else:
        block = bytes(cramjam.snappy.compress_raw(zeros))[: 1 << 19] + b"\0\0\0\0"
    data = container([], SCHEMA, codec)
    size = len(block)
    del zeros
    data += module._varint(5) + module._varint(size) + block + SYNC
    tracemalloc.start()
    with pytest.raises(PacketError, match="more than 1048576 bytes"):
        read_container(data)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_counts_that_cannot_be():
    head = container([], SCHEMA)
    for count in (10**17, 3):
        with pytest.raises(PacketError, match="block"):
            read_container(head + module._varint(count) + module._varint(2) + b"\0\0" + SYNC)
    with pytest.raises(PacketError, match="claims"):
        read_container(head + b"\1\0" + SYNC)


def test_a_body_that_is_no_record():
    (packet,) = read_container(container(RECORDS[:1], SCHEMA))
    for body in (b"", packet.body[:-1], packet.body + b"\0"):
        with pytest.raises(PacketError):
            decode_record(Packet(body, packet.schema, b""))
