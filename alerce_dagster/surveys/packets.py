"""Alert packets out of Avro object containers, byte for byte.

A survey sends each alert as an Avro container: magic, metadata with the writer schema, a sync marker, and
blocks of records. The framing is parsed here rather than by fastavro because the verbatim bytes of each
record are needed, and because the bytes come from outside: damage of any kind ends in a `PacketError`, with
bounded memory.

What does not belong here: what the records mean (`ztf`), where the bytes come from (`sources`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from io import BytesIO
from typing import Any, BinaryIO
from zlib import crc32

import cramjam

from alerce_dagster.surveys.avro import describe, split
from alerce_dagster.surveys.avro_schema import AvroSchema, SchemaError, compile_schema
from alerce_dagster.surveys.inflate import inflate

MAGIC = b"Obj\x01"
MAX_BLOCK_BYTES = 64 << 20  # a block, compressed or not; ZTF's largest alert is 0.3 MB
MAX_METADATA_BYTES = 4 << 20

_STARTS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"%PDF", "a PDF document"),
    (b"<", "an HTML or XML document"),
    (b"{", "a JSON document"),
    (b"[", "a JSON document"),
    (b"\x00", "a Kafka message with a schema number"),
)


class PacketError(ValueError):
    """Bytes that are not a readable packet; the message is one sentence.

    `offset` is the byte of the container where the damaged part begins, `data` the bytes of that part.
    """

    def __init__(self, message: str, offset: int = 0, data: bytes = b"") -> None:
        super().__init__(message)
        self.offset = offset
        self.data = data


@dataclass(frozen=True, slots=True)
class Packet:
    """One alert: its datum `body` as written with `schema`, and `container`, a single-record Avro container
    of it.

    `container` is the file as it came when that held one record, else the datum wrapped again, unchanged,
    with its schema (null codec, sync marker derived from the schema), or empty when wrapping was declined.
    """

    body: bytes
    schema: AvroSchema
    container: bytes


def read_container(data: bytes, wrap: bool = True) -> list[Packet]:
    """All packets of a container held in memory; raises PacketError when any part of it is damaged."""
    return list(iter_container(data, wrap))


def iter_container(
    source: bytes | BinaryIO, wrap: bool = True, damaged: Callable[[PacketError], None] | None = None
) -> Iterator[Packet]:
    """The packets of a container, one after the other, those before a damaged part included.

    `source` is bytes or a file open for reading, which is read block by block. With `wrap` False a record of
    a multi-record container gets an empty `container`. Damage raises PacketError; with `damaged`, that
    function gets the error and reading goes on behind the next sync marker (damage of the header always
    raises).
    """
    reader = _Reader(source)
    codec, schema, sync = _header(reader)
    bodies = _bodies(reader, codec, schema, sync, damaged)
    first = next(bodies, None)
    if first is None:
        return
    try:
        second = next(bodies, None)
    except PacketError:
        yield _packet(first, schema, wrap)
        raise
    if second is None:
        yield Packet(first, schema, reader.everything() if reader.whole else wrap_datum(first, schema))
        return
    reader.forget()
    yield _packet(first, schema, wrap)
    yield _packet(second, schema, wrap)
    for body in bodies:
        yield _packet(body, schema, wrap)


def wrap_datum(body: bytes, schema: AvroSchema) -> bytes:
    """A single-record Avro container (null codec) around one datum: the same bytes give the
    same container.
    """
    sync = md5(schema.text, usedforsecurity=False).digest()
    entries = [(b"avro.codec", b"null"), (b"avro.schema", schema.text)]
    metadata = b"".join(_varint(len(part)) + part for entry in entries for part in entry)
    head = MAGIC + _varint(len(entries)) + metadata + b"\x00" + sync
    return head + _varint(1) + _varint(len(body)) + body + sync


def decode_record(packet: Packet) -> dict[str, Any]:
    """The whole datum as a Python dict, for tools that show a packet; raises PacketError when it cannot be
    read.
    """
    import fastavro

    check_body(packet)
    try:
        record = fastavro.schemaless_reader(BytesIO(packet.body), packet.schema.parsed, None)
    except Exception as error:  # fastavro raises whatever the bytes provoke
        raise PacketError(f"the record cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise PacketError("the container holds something else than records")
    return record


def check_body(packet: Packet) -> None:
    """Raise PacketError when the body is not exactly one datum of its schema."""
    try:
        _, error, where = split(packet.schema, packet.body, 1)
    except SchemaError as problem:
        raise PacketError(str(problem)) from problem
    if error:
        raise PacketError(describe(error, where))


def _packet(body: bytes, schema: AvroSchema, wrap: bool) -> Packet:
    return Packet(body, schema, wrap_datum(body, schema) if wrap else b"")


def _varint(number: int) -> bytes:
    bits = number << 1  # zigzag of a number that is not negative
    out = bytearray()
    while bits > 0x7F:
        out.append(bits & 0x7F | 0x80)
        bits >>= 7
    out.append(bits)
    return bytes(out)


class _Reader:
    """A cursor over bytes or over a file, which it reads as needed and forgets block by block."""

    def __init__(self, source: bytes | BinaryIO) -> None:
        if isinstance(source, bytes | bytearray | memoryview):
            self.file, self.buffer = None, bytes(source)
        else:
            self.file, self.buffer = source, b""
        self.at = 0  # position in the buffer
        self.base = 0  # offset of the buffer in the container
        self.whole = True  # nothing was forgotten or skipped so far

    @property
    def offset(self) -> int:
        return self.base + self.at

    def has(self, size: int) -> bool:
        """Whether `size` more bytes can be taken."""
        missing = self.at + size - len(self.buffer)
        if missing > 0 and self.file is not None:
            parts = [self.buffer]
            while missing > 0:
                part = self.file.read(max(missing, 1 << 16))
                if not part:
                    break
                parts.append(part)
                missing -= len(part)
            self.buffer = b"".join(parts)
        return missing <= 0

    def take(self, size: int, what: str) -> bytes:
        if not self.has(size):
            end = self.base + len(self.buffer)
            short = self.at + size - len(self.buffer)
            raise PacketError(f"truncated at byte {end} of at least {end + short}: it ends inside {what}")
        self.at += size
        return self.buffer[self.at - size : self.at]

    def varint(self, what: str) -> int:
        bits = shift = 0
        while True:
            byte = self.take(1, what)[0]
            bits |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise PacketError(f"{what} has a number that is longer than 64 bits")
        return (bits >> 1) ^ -(bits & 1)

    def forget(self) -> None:
        """Let go of what was taken; only files are worth it."""
        if self.file is not None:
            self.whole = False
            self.buffer = self.buffer[self.at :]
            self.base += self.at
            self.at = 0

    def everything(self) -> bytes:
        return self.buffer

    def skip_past(self, marker: bytes) -> bytes:
        """Go behind the next `marker`, or to the end; return the bytes passed over (of a file, 64 MiB of
        them).
        """
        self.whole = False
        passed, size = [], 0
        while True:
            found = self.buffer.find(marker, self.at)
            stop = found + len(marker) if found >= 0 else len(self.buffer)
            more = found < 0 and self.has(len(self.buffer) - self.at + 1)
            if more:  # the marker may begin in the last bytes seen
                stop = max(self.at, stop - len(marker) + 1)
            if size < MAX_BLOCK_BYTES:
                passed.append(self.buffer[self.at : stop])
                size += stop - self.at
            self.at = stop
            if not more:
                return b"".join(passed)
            self.forget()


def _header(reader: _Reader) -> tuple[str, AvroSchema, bytes]:
    """(codec, schema, sync marker); raises PacketError."""
    try:
        return _read_header(reader)
    except PacketError as error:
        reader.at = 0
        error.data = reader.buffer
        raise


def _read_header(reader: _Reader) -> tuple[str, AvroSchema, bytes]:
    if not reader.has(1):
        raise PacketError("the file is empty")
    reader.has(16)
    start = reader.buffer[:16]
    if start[:4] != MAGIC:
        if MAGIC.startswith(start):
            raise PacketError(f"truncated at byte {len(start)}: not even the container's first four bytes are there")
        for magic, name in _STARTS:
            if start.lstrip().startswith(magic) or start.startswith(magic):
                raise PacketError(f"not an Avro container: it starts like {name}")
        raise PacketError(f"not an Avro container: it starts with {start[:8]!r}")
    reader.at = 4
    metadata: dict[bytes, bytes] = {}
    while count := reader.varint("the container's header"):
        if count < 0:
            reader.varint("the container's header")
            count = -count
        for _ in range(count):
            key = _counted(reader)
            metadata[key] = _counted(reader)
            if reader.at > MAX_METADATA_BYTES:
                raise PacketError(f"the container's header is longer than {MAX_METADATA_BYTES} bytes")
    sync = reader.take(16, "the container's header")
    codec = metadata.get(b"avro.codec", b"null").decode("ascii", "replace")
    if codec not in ("null", "deflate", "snappy"):
        raise PacketError(f"the container uses the codec {codec[:40]!r}; null, deflate and snappy are known")
    if b"avro.schema" not in metadata:
        raise PacketError("the container's header has no schema")
    try:
        return codec, compile_schema(metadata[b"avro.schema"]), sync
    except SchemaError as error:
        raise PacketError(str(error)) from error


def _counted(reader: _Reader) -> bytes:
    size = reader.varint("the container's header")
    if not 0 <= size <= MAX_METADATA_BYTES:
        raise PacketError(f"the container's header claims an entry of {size} bytes")
    return reader.take(size, "the container's header")


def _bodies(
    reader: _Reader,
    codec: str,
    schema: AvroSchema,
    sync: bytes,
    damaged: Callable[[PacketError], None] | None,
) -> Iterator[bytes]:
    """The datums of all blocks."""
    found = 0
    while reader.has(1):
        if found > 1:
            reader.forget()
        start, at = reader.offset, reader.at
        framed = False
        try:
            count = reader.varint("a block")
            size = reader.varint("a block")
            if count < 0 or not 0 <= size <= MAX_BLOCK_BYTES:
                raise PacketError(f"the block at byte {start} claims {count} records in {size} bytes")
            block = reader.take(size, "a block")
            if reader.take(16, "a block's sync marker") != sync:
                raise PacketError(f"the block at byte {start} does not end with the container's sync marker")
            framed = True
            try:
                bodies, error, where = split(schema, _decompress(block, codec, start), count)
            except SchemaError as problem:
                raise PacketError(str(problem)) from problem
            found += len(bodies)
            yield from bodies
            if error:
                which = f"record {len(bodies) + 1} of {count}" if error != 9 else "the last record"
                raise PacketError(f"{which} in the block at byte {start}: {describe(error, where)}")
        except PacketError as problem:
            problem.offset = start
            if framed:
                problem.data = reader.buffer[at : reader.at]
                reader.whole = False
            else:
                reader.at = at
                problem.data = reader.skip_past(sync)
            if damaged is None:
                raise
            damaged(problem)


def _decompress(block: bytes, codec: str, start: int) -> bytes:
    if codec == "null":
        return block
    if codec == "deflate":
        try:
            return inflate(block, -15, MAX_BLOCK_BYTES)
        except ValueError as error:
            raise PacketError(f"the block at byte {start} does not decompress (deflate): {error}") from error
    if len(block) < 5:
        raise PacketError(f"the block at byte {start} does not decompress (snappy): it is too short")
    body, check = block[:-4], int.from_bytes(block[-4:], "big")
    size = shift = 0
    for byte in body[:5]:  # snappy's own varint: the size of what comes out, not zigzag
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > MAX_BLOCK_BYTES:
        raise PacketError(f"the block at byte {start} decompresses to more than {MAX_BLOCK_BYTES} bytes")
    try:
        data = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise PacketError(f"the block at byte {start} does not decompress (snappy): {error}") from error
    if crc32(data) != check:
        raise PacketError(f"the block at byte {start} is damaged: its checksum does not match (snappy)")
    return data
