"""Packets out of files, folders and archives: everything that is there is accounted for."""

import gzip
import io
import random
import tarfile

import pytest

from alerce_dagster.surveys import sources
from alerce_dagster.surveys.packets import decode_record
from alerce_dagster.surveys.sources import iter_packets, source_size
from tests.surveys.make_packets import container, ztf_record
from tests.surveys.test_packets import RECORDS, SCHEMA, SYNC

ALERT = container([ztf_record()])


def tar(members, mode="w:gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            if data is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data or b""))
    return out.getvalue()


def summary(items):
    return [(item.source, item.packet is not None, item.reason) for item in items]


def test_a_single_packet(tmp_path):
    file = tmp_path / "one.avro"
    file.write_bytes(ALERT)
    (item,) = iter_packets(str(file))
    assert (item.source, item.reason, item.data) == ("one.avro", None, ALERT)
    assert item.packet.container == ALERT
    assert source_size(str(file)) == len(ALERT)


@pytest.mark.parametrize("compress", [False, True])
def test_a_container_of_several(tmp_path, compress):
    file = tmp_path / "many.avro"
    data = container(RECORDS, SCHEMA, "snappy", sync_interval=50)
    file.write_bytes(gzip.compress(data) if compress else data)
    items = list(iter_packets(str(file)))
    assert [item.source for item in items] == [f"many.avro#{i}" for i in range(len(RECORDS))]
    assert [decode_record(item.packet) for item in items] == RECORDS


def test_a_folder_is_read_in_order_and_damage_does_not_stop_it(tmp_path):
    night = tmp_path / "night"
    (night / "deep").mkdir(parents=True)
    (night / "b.avro").write_bytes(ALERT)
    (night / "a.avro").write_bytes(ALERT[:-100])
    (night / "c.AVRO").write_bytes(b"")
    (night / "deep" / "x.tar").write_bytes(tar([("d", None), ("d/1.avro", ALERT), ("d/2.avro", b"no")], "w"))
    (night / "notes.txt").write_bytes(b"not looked at")
    items = list(iter_packets(str(night)))
    assert summary(items) == [
        (
            "night/a.avro",
            False,
            f"truncated at byte {len(ALERT) - 100} of at least {len(ALERT) - 16}: it ends inside a block",
        ),
        ("night/b.avro", True, None),
        ("night/c.AVRO", False, "the file is empty"),
        ("night/deep/x.tar:d/1.avro", True, None),
        ("night/deep/x.tar:d/2.avro", False, "not an Avro container: it starts with b'no'"),
    ]
    assert [item.data for item in items] == [ALERT[:-100], ALERT, b"", ALERT, b"no"]


def test_an_archive_of_packets_and_containers(tmp_path):
    file = tmp_path / "n.tar.gz"
    members = [("1.avro", ALERT), ("2.avro", container(RECORDS[:3], SCHEMA)), ("3.avro", container([], SCHEMA))]
    file.write_bytes(tar(members))
    seen = []
    items = list(iter_packets(str(file), progress=seen.append))
    assert summary(items) == [
        ("n.tar.gz:1.avro", True, None),
        *((f"n.tar.gz:2.avro#{i}", True, None) for i in range(3)),
        ("n.tar.gz:3.avro", False, "the container holds no record"),
    ]
    assert seen == sorted(seen)
    assert seen[-1] == source_size(str(file))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_truncated_archives_give_what_came_before(tmp_path, mode):
    noise = random.Random(4).randbytes(30_000)  # so that compression does not move everything to the front
    data = tar([(f"{i}.avro", ALERT + noise) for i in range(3)], mode)
    file = tmp_path / "n.tar"
    for end in range(600, len(data) - 12_000, 997):
        file.write_bytes(data[:end])
        items = list(iter_packets(str(file)))
        assert items[-1].reason is not None
        assert "damaged" in items[-1].reason or "truncated" in items[-1].reason
        whole = [item for item in items if item.packet is not None]
        assert all(item.packet.container != b"" for item in whole)
        assert len(whole) <= 3
        if items[-1].data:
            assert (ALERT + noise).startswith(items[-1].data)


def test_flipped_bytes_in_archives_never_raise(tmp_path):
    file = tmp_path / "n.tar"
    rng = random.Random(9)
    for mode in ("w", "w:gz"):
        good = tar([(f"{i}.avro", container(RECORDS[:4], SCHEMA)) for i in range(3)], mode)
        for _ in range(150):
            data = bytearray(good)
            for _ in range(rng.randint(1, 6)):
                data[rng.randrange(2, len(data))] = rng.randrange(256)
            file.write_bytes(data)
            for item in iter_packets(str(file)):
                assert (item.packet is None) != (item.reason is None)


def test_noise_never_raises(tmp_path):
    file = tmp_path / "noise"
    rng = random.Random(2)
    for start in (b"", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"Obj\x01", bytes(257) + b"ustar"):
        for size in (0, 1, 30, 600, 5000):
            file.write_bytes(start + rng.randbytes(size))
            items = list(iter_packets(str(file)))
            assert items
            assert all(item.packet is None and item.reason for item in items)


def test_a_damaged_block_is_an_item_between_the_others(tmp_path):
    data = bytearray(container(RECORDS, SCHEMA, "snappy", sync_interval=100))
    blocks = [at for at in range(len(data)) if data.startswith(SYNC, at)]
    data[blocks[2] - 1] ^= 1
    file = tmp_path / "many.avro"
    file.write_bytes(data)
    items = list(iter_packets(str(file)))
    (bad,) = [item for item in items if item.packet is None]
    assert bad.source == "many.avro"
    assert bad.data == data[blocks[1] + 16 : blocks[2] + 16]
    assert 20 < len(items) <= len(RECORDS)


def test_large_files_are_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_IN_MEMORY", 300)
    data = container(RECORDS, SCHEMA, sync_interval=100)
    for name, content in (("c.avro", data), ("c.tar", tar([("m.avro", data)], "w"))):
        (tmp_path / name).write_bytes(content)
        assert [decode_record(item.packet) for item in iter_packets(str(tmp_path / name))] == RECORDS


def test_a_location_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(iter_packets(str(tmp_path / "nothing")))
    (tmp_path / "empty").mkdir()
    assert list(iter_packets(str(tmp_path / "empty"))) == []


@pytest.mark.realdata
def test_the_real_night_archive(real_data):
    (file,) = (real_data / "ztf_alerts" / "nightly_archives").glob("*.tar.gz")
    items = list(iter_packets(str(file)))
    assert len(items) == 30
    assert all(item.packet is not None and item.packet.container == item.data for item in items)
    with tarfile.open(file) as archive:
        for item in items:
            assert archive.extractfile(item.source.split(":")[1]).read() == item.data


def test_a_bad_header_inside_an_archive_is_told_and_the_rest_is_read(tmp_path):
    data = bytearray(tar([(f"{i}.avro", ALERT) for i in range(3)], "w"))
    size = 512 + -(-len(ALERT) // 512) * 512
    data[size + 150] ^= 1  # in the checksum of the second header
    file = tmp_path / "n.tar"
    file.write_bytes(data)
    items = list(iter_packets(str(file)))
    assert [item.source for item in items] == ["n.tar:0.avro", "n.tar", "n.tar:2.avro"]
    assert (
        items[1].reason
        == f"the archive is damaged behind 0.avro: {size // 512} blocks of 512 bytes belong to no member"
    )
    assert items[1].data == data[size : 2 * size]


def test_an_archive_cut_between_two_members_is_told(tmp_path):
    size = 512 + -(-len(ALERT) // 512) * 512
    file = tmp_path / "n.tar"
    file.write_bytes(tar([(f"{i}.avro", ALERT) for i in range(3)], "w")[: 2 * size])
    items = list(iter_packets(str(file)))
    assert [item.packet is not None for item in items] == [True, True, False]
    assert items[2].reason == "the archive is damaged: it stops without its end mark"
