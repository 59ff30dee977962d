"""The archive gives back what it got, or says what is wrong; it never shows half a file."""

from pathlib import Path

import pyarrow as pa
import pytest

from alerce_dagster.errors import StoreError
from alerce_dagster.storage.archive import Archive


def test_packets_come_back_one_by_one(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    packets = [bytes([n % 256]) * (n * 37 % 5000) for n in range(300)]
    archive.write_packets("ztf/packets/x.parquet", [str(n) for n in range(300)], ["s"] * 300, packets)
    assert archive.n_rows("ztf/packets/x.parquet") == 300
    for n in (0, 31, 32, 33, 299):
        assert archive.read_row("ztf/packets/x.parquet", n) == {"id": str(n), "source": "s", "packet": packets[n]}
    with pytest.raises(StoreError, match="fewer rows"):
        archive.read_row("ztf/packets/x.parquet", 300)


def test_memory_filesystem_works_like_a_folder() -> None:
    """Object stores are reached through the same interface."""
    archive = Archive("memory://alerce-test")
    archive.check_writable()
    archive.write("a/b.parquet", pa.table({"x": [1, 2]}))
    assert archive.read("a/b.parquet").to_pydict() == {"x": [1, 2]}
    assert archive.files("a") == ["a/b.parquet"]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: the error says what to do and no half file stays."""

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    archive = Archive(str(tmp_path))
    monkeypatch.setattr("alerce_dagster.storage.archive.pq.ParquetWriter", full)
    with pytest.raises(StoreError, match="the disk is full"):
        archive.write("a/b.parquet", pa.table({"x": [1]}))
    assert list(tmp_path.rglob("*.p*")) == []


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write to the archive .*file"):
        Archive(str(tmp_path / "archive")).check_writable()


def test_missing_and_damaged_files_are_told_apart(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    with pytest.raises(StoreError, match="missing from the archive"):
        archive.read("nowhere.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(StoreError, match="is damaged"):
        archive.read("bad.parquet")
