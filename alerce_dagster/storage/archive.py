"""The archive: packets as they came and bulk tables, as Parquet under one URL (a folder, s3://, gs://).

A file is written under a temporary name and renamed when it is whole, so a reader never meets half a file; a file that
the database does not name (the run died before its transaction) is never read. Packet files have small row groups:
one packet is read back without reading its neighbours.
"""

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from alerce_dagster.errors import StoreError, store_errors

_PACKETS_PER_GROUP = 32
_GROUPS_PER_READ = 4
PACKET_FILE = pa.schema([("id", pa.string()), ("source", pa.string()), ("packet", pa.large_binary())])


@dataclass(frozen=True)
class Archive:
    """An archive at any fsspec URL."""

    url: str

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        filesystem, root = fsspec.core.url_to_fs(self.url)
        return filesystem, root.rstrip("/")

    def write(self, file: str, data: pa.Table, *, compression: str = "zstd") -> int:
        """Write a table to `file` (relative to the archive), whole or not at all; returns its size in bytes.

        Raises
        ------
        StoreError
            When the place cannot be written to; nothing is left behind.
        """
        return self._write_groups(file, data.schema, [data], compression)

    def write_packets(self, file: str, ids: Sequence[str], sources: Sequence[str], packets: Sequence[bytes]) -> int:
        """Write packets, bytes as they came, to a packet file; errors as for `write`."""

        def groups() -> Iterator[pa.Table]:
            # A group at a time: one large array of all the bytes would double the memory and cost more than the disk.
            for start in range(0, len(packets), _PACKETS_PER_GROUP):
                part = slice(start, start + _PACKETS_PER_GROUP)
                columns = [pa.array(ids[part]), pa.array(sources[part]), pa.array(packets[part], pa.large_binary())]
                yield pa.table(columns, schema=PACKET_FILE)

        return self._write_groups(file, PACKET_FILE, groups(), "zstd")

    def _write_groups(self, file: str, schema: pa.Schema, groups: Iterable[pa.Table], compression: str) -> int:
        filesystem, root = self._place
        target = f"{root}/{file}"
        temporary = f"{target}.{os.getpid()}.{threading.get_ident()}.part"
        level = 1 if compression == "zstd" else None
        with store_errors(f"the archive {self.url}"):
            filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
            try:
                with filesystem.open(temporary, "wb") as stream:
                    with pq.ParquetWriter(stream, schema, compression=compression, compression_level=level) as writer:
                        for group in groups:
                            writer.write_table(group)
                    if "file" in filesystem.protocol:
                        stream.flush()
                        os.fsync(stream.fileno())
                size = filesystem.size(temporary)
                filesystem.mv(temporary, target)
            except BaseException:
                with contextlib.suppress(OSError):
                    filesystem.rm(temporary)
                raise
        return size

    def read(self, file: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a whole table back.

        Raises
        ------
        StoreError
            When the file is missing or damaged.
        """
        with self._open(file) as parquet:
            return parquet.read(columns=columns)

    def read_row(self, file: str, row: int) -> dict:
        """Read one row back, touching only its row group."""
        with self._open(file) as parquet:
            for group in range(parquet.num_row_groups):
                n_rows = parquet.metadata.row_group(group).num_rows
                if row < n_rows:
                    return parquet.read_row_group(group).slice(row, 1).to_pylist()[0]
                row -= n_rows
        raise StoreError(f"{self.url}/{file} has fewer rows than the database says; was it replaced?")

    def iter_packets(self, file: str) -> Iterator[list[bytes]]:
        """A packet file's packets in order, some hundred at a time: memory that is used again costs no page faults."""
        with self._open(file) as parquet:
            groups = range(parquet.num_row_groups)
            for start in range(0, len(groups), _GROUPS_PER_READ):
                part = list(groups[start : start + _GROUPS_PER_READ])
                yield parquet.read_row_groups(part, columns=["packet"], use_threads=False)["packet"].to_pylist()

    def n_rows(self, file: str) -> int:
        """Number of rows of a file, from its footer."""
        with self._open(file) as parquet:
            return parquet.metadata.num_rows

    def files(self, folder: str) -> list[str]:
        """Files below `folder`, relative to the archive; an absent folder has none."""
        filesystem, root = self._place
        if not filesystem.exists(f"{root}/{folder}"):
            return []
        return sorted(name.removeprefix(f"{root}/") for name in filesystem.find(f"{root}/{folder}"))

    def check_writable(self) -> None:
        """Write and remove a small file.

        Raises
        ------
        StoreError
            When that fails, saying what to do.
        """
        filesystem, root = self._place
        probe = f"{root}/.writable.{os.getpid()}"
        with store_errors(f"the archive {self.url}"):
            filesystem.makedirs(root, exist_ok=True)
            try:
                with filesystem.open(probe, "wb") as stream:
                    stream.write(b"x")
            except OSError:
                with contextlib.suppress(OSError):
                    filesystem.rm(probe)
                raise
            filesystem.rm(probe)

    @contextlib.contextmanager
    def _open(self, file: str):
        filesystem, root = self._place
        try:
            with filesystem.open(f"{root}/{file}", "rb") as stream, pq.ParquetFile(stream) as parquet:
                yield parquet
        except FileNotFoundError as error:
            raise StoreError(f"{self.url}/{file} is named in the database but missing from the archive") from error
        except pa.ArrowInvalid as error:
            raise StoreError(f"{self.url}/{file} is damaged: {str(error).splitlines()[0]}") from error


def packet_file(survey: str, night: date, batch_id: str) -> str:
    """Where a batch's packets are."""
    return f"{survey}/packets/{night}/{batch_id}.parquet"


def stamp_file(survey: str, night: date, batch_id: str) -> str:
    """Where a batch's cutouts are."""
    return f"{survey}/stamps/{night}/{batch_id}.parquet"


def quarantine_file(survey: str, night: date, batch_id: str) -> str:
    """Where the bytes of a reading's unreadable packets are."""
    return f"{survey}/quarantine/{night}/{batch_id}.parquet"
