"""Where packets come from: files, containers, folders, tar archives, and URLs of any of these.

What a file is, its bytes decide, not its name. Everything that comes is accounted for: a damaged file or
member is an item with its reason and its bytes, and the rest goes on.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast
from urllib.parse import urlsplit

from isal import igzip

from alerce_dagster.surveys.download import Download, DownloadError, remote_size
from alerce_dagster.surveys.inflate import INFLATE_ERROR
from alerce_dagster.surveys.packets import Packet, PacketError, iter_container

MAX_IN_MEMORY = 64 << 20  # a file or member up to this size is read whole, so that its bytes can be set aside
SUFFIXES = (".avro", ".tar", ".tar.gz", ".tgz")
Progress = Callable[[int], None]
_DAMAGE = (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, INFLATE_ERROR)


@dataclass(frozen=True, slots=True)
class SourcedPacket:
    """One packet, or one thing that is not: exactly one of `packet` and `reason` is None.

    `source` says where it came from: "night/1.avro", "night.tar.gz:1.avro", and "#17" behind either for
    record 17 (counted from 0) of a container with several. `data` holds the bytes as they came; of a record
    out of several, its own container; of a damaged part, as much of it as there was.
    """

    source: str
    packet: Packet | None
    reason: str | None
    data: bytes


def is_url(location: str) -> bool:
    """Whether the location is an http or https URL."""
    return urlsplit(location).scheme.lower() in ("http", "https")


def source_size(location: str) -> int | None:
    """Bytes that `iter_packets` will read (compressed, as they are stored), or None when
    that is not known.
    """
    if is_url(location):
        return remote_size(location)
    path = Path(location)
    return sum(file.stat().st_size for file in files_in(path)) if path.is_dir() else path.stat().st_size


def files_in(folder: Path) -> list[Path]:
    """The packet files and archives below a folder, sorted; links to folders are not followed."""
    found = [
        Path(where) / name
        for where, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
    return sorted(found)


def iter_packets(
    location: str, *, cache: Path | None = None, progress: Progress | None = None
) -> Iterator[SourcedPacket]:
    """Every packet at `location`: a file (packet, container, tar, tar.gz), a folder of them, or an http(s)
    URL.

    `cache` is the folder where what comes from a URL is kept (see `download`); `progress` is called with the
    number of bytes read so far. Raises FileNotFoundError (or another OSError) when the location itself cannot
    be opened, and DownloadError when a download breaks off for good: that is no fault of the packets, and
    trying again resumes it.
    """
    if is_url(location):
        with Download(location, cache) as download:
            yield from _stream(location, _Counted(download, progress))
        return
    path = Path(location)
    if not path.is_dir():
        with path.open("rb") as file:
            yield from _stream(path.name, _Counted(file, progress))
        return
    done = 0
    for file_path in files_in(path):
        name = str(Path(path.name) / file_path.relative_to(path))
        try:
            with file_path.open("rb") as file:
                counted = _Counted(file, progress, done)
                yield from _stream(name, counted)
                done = counted.total
        except OSError as error:
            yield SourcedPacket(name, None, f"the file cannot be read: {error.strerror or error}", b"")


class _Counted(io.RawIOBase):
    """A file whose bytes are counted as they are read."""

    def __init__(self, file: BinaryIO | io.RawIOBase, progress: Progress | None, total: int = 0) -> None:
        super().__init__()
        self.file, self.progress, self.total = file, progress, total

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        count = self.file.readinto(buffer) or 0  # type: ignore[union-attr, arg-type]
        self.total += count
        if self.progress is not None and count:
            self.progress(self.total)
        return count


def _stream(name: str, raw: io.RawIOBase) -> Iterator[SourcedPacket]:
    """Whatever a stream turns out to hold."""
    stream = io.BufferedReader(raw, 1 << 18)
    compressed = stream.peek(2)[:2] == b"\x1f\x8b"
    if compressed:
        opened = igzip.IGzipFile(fileobj=stream, mode="rb")
        stream = io.BufferedReader(opened, 1 << 18)  # type: ignore[arg-type]  # it has all that is used
        try:
            start = stream.peek(512)
        except DownloadError:
            raise
        except _DAMAGE as error:
            yield SourcedPacket(name, None, f"damaged gzip file: {_sentence(error)}", b"")
            return
    else:
        start = stream.peek(512)
    if start[257:262] == b"ustar":
        yield from _archive(name, stream, compressed)
    else:
        yield from _file(name, stream)


def _archive(name: str, stream: BinaryIO, compressed: bool) -> Iterator[SourcedPacket]:
    """The members of a tar archive, one after the other."""
    member: tarfile.TarInfo | None = None
    parts: list[bytes] = []
    headers = _watched_headers()

    def lost() -> Iterator[SourcedPacket]:
        if headers.bad:
            count, data = len(headers.bad), b"".join(headers.bad)
            headers.bad.clear()
            behind = f" behind {member.name}" if member is not None else ""
            reason = f"the archive is damaged{behind}: {count} blocks of 512 bytes belong to no member"
            yield SourcedPacket(name, None, reason, data)

    try:
        # ignore_zeros makes tarfile look for the next good header behind a bad one, instead of stopping in silence.
        with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 18, tarinfo=headers, ignore_zeros=True) as archive:
            for following in archive:
                yield from lost()
                member = following
                archive.members = []  # type: ignore[attr-defined]  # else it remembers every member of the night
                if member.isdir():
                    continue
                source = f"{name}:{member.name}"
                file = archive.extractfile(member) if member.isreg() else None
                if file is None:
                    yield SourcedPacket(source, None, "not a file, but a link or a device in the archive", b"")
                elif member.size > MAX_IN_MEMORY:
                    yield from _container(source, cast(BinaryIO, file))
                else:
                    parts = []
                    while part := file.read(1 << 20):
                        parts.append(part)
                    data, parts = b"".join(parts), []
                    if len(data) < member.size:
                        reason = f"truncated at byte {len(data)} of {member.size}: the archive ends there"
                        yield SourcedPacket(source, None, reason, data)
                        return
                    yield from _container(source, data)
        yield from lost()
        if not (compressed or headers.ended):  # gzip has checked its own end; some writers leave out tar's
            yield SourcedPacket(name, None, "the archive is damaged: it stops without its end mark", b"")
    except DownloadError:
        raise
    except _DAMAGE as error:
        yield from lost()
        where = f"{name}:{member.name}" if member is not None and parts else name
        yield SourcedPacket(where, None, f"the archive is damaged: {_sentence(error)}", b"".join(parts))


def _watched_headers() -> Any:
    """A header class for one archive that notes what tarfile itself passes over: bad headers, and the end mark."""

    class Header(tarfile.TarInfo):
        bad: ClassVar[list[bytes]] = []
        ended: ClassVar[bool] = False

        @classmethod
        def frombuf(cls, buf, encoding, errors):
            try:
                return super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                if buf and not any(buf):
                    Header.ended = True
                elif buf and len(Header.bad) < MAX_IN_MEMORY // 512:
                    Header.bad.append(bytes(buf))
                raise error

    return Header


def _file(name: str, stream: BinaryIO) -> Iterator[SourcedPacket]:
    """A file that is a packet or a container, or should have been."""
    data = b""
    try:
        data = stream.read(MAX_IN_MEMORY)
        if len(data) < MAX_IN_MEMORY:
            yield from _container(name, data)
        else:
            yield from _container(name, io.BufferedReader(_Joined(data, stream), 1 << 18))
    except DownloadError:
        raise
    except _DAMAGE as error:
        yield SourcedPacket(name, None, f"the file is damaged: {_sentence(error)}", data)


class _Joined(io.RawIOBase):
    """Bytes read already, and the stream they came from."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self.start, self.rest = io.BytesIO(start), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        return self.start.readinto(buffer) or self.rest.readinto(buffer) or 0  # type: ignore[arg-type, attr-defined]


def _container(name: str, source: bytes | BinaryIO) -> Iterator[SourcedPacket]:
    """The records of one container; a damaged part becomes an item in its place."""
    damage: list[PacketError] = []
    held: Packet | None = None  # the first packet, until it is known whether more follow
    number = 0

    def damaged() -> Iterator[SourcedPacket]:
        while damage:
            error = damage.pop(0)
            alone = number == 0 and held is None and isinstance(source, bytes)
            yield SourcedPacket(name, None, str(error), source if alone else error.data)  # type: ignore[arg-type]

    try:
        for packet in iter_container(source, damaged=damage.append):
            if number == 0 and held is None:
                held = packet
                continue
            if held is not None:
                yield SourcedPacket(f"{name}#0", held, None, held.container)
                held, number = None, 1
            yield SourcedPacket(f"{name}#{number}", packet, None, packet.container)
            number += 1
            yield from damaged()
    except PacketError as error:
        damage.append(error)
    if held is not None:
        yield SourcedPacket(f"{name}#0" if damage else name, held, None, held.container)
        number = 1
    elif number == 0 and not damage:
        data = source if isinstance(source, bytes) else b""
        yield SourcedPacket(name, None, "the container holds no record", data)
    yield from damaged()


def _sentence(error: BaseException) -> str:
    """An exception's message without its line ends, or its kind when it has none."""
    return " ".join(str(error).split()) or type(error).__name__
