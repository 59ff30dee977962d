"""Any number of different packets out of a few: real ones where there are some, else simulated ones.

A copy gets a candid, an object and a place of its own by patching the bytes: all have a fixed length, so nothing else
moves and a copy costs microseconds.
"""

import io
import itertools
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fastavro

from alerce_dagster.surveys.packets import read_container
from alerce_dagster.surveys.sources import SourcedPacket, files_in, iter_packets

NIGHT = "2020-01-15"
_DAYS = 1109  # of that night since 2017-01-01
_EPOCH_JD = 2457754.5
_GOLDEN = 137.50776405  # degrees: copies of one packet are spread evenly


@dataclass(frozen=True)
class Template:
    """A packet, and where in its bytes stand what makes a copy another alert of another object elsewhere."""

    container: bytes
    candids: list[int]
    names: list[int]
    places: list[tuple[int, float]]  # offset and right ascension, of the alert and of its history


def templates(limit: int = 200) -> tuple[str, list[Template]]:
    """What the packets are, and some of them, moved to one night."""
    folder = Path(os.environ.get("ALERCE_REAL_DATA", "../shared/data")) / "ztf_alerts" / "avro"
    if folder.is_dir():
        return "real ZTF packets", list(itertools.islice(_moved(folder), limit))
    import tempfile
    from datetime import date

    from alerce_dagster.simulation.ztf import write_simulation

    out = Path(tempfile.mkdtemp(prefix="alerce-bench-"))
    write_simulation(out, n_alerts=limit, nights=1, seed=1, start=date.fromisoformat(NIGHT), archive=False)
    return "simulated ZTF packets", list(itertools.islice(_moved(out), limit))


def _moved(folder: Path) -> Iterator[Template]:
    """Packets with three cutouts, re-written for one night so that they make one partition."""
    for file in files_in(folder):
        for item in iter_packets(str(file)):
            if item.packet is None or len(item.data) < 20_000:
                continue
            stream = io.BytesIO(item.data)
            reader = fastavro.reader(stream)
            record = next(reader)
            if len(record["objectId"]) != 12 or "cutoutScience" not in record:
                continue
            candidate = record["candidate"]
            candidate["jd"] = _EPOCH_JD + _DAYS + candidate["jd"] % 1 * 0.5
            candid = _DAYS * 10**15 + record["candid"] % 10**15
            record["candid"] = candidate["candid"] = candid
            out = io.BytesIO()
            fastavro.writer(out, reader.writer_schema, [record], sync_marker=b"0123456789abcdef")
            yield _template(out.getvalue(), candid, record)


def _template(container: bytes, candid: int, record: dict) -> Template:
    rows = [record["candidate"], *(record["prv_candidates"] or [])]
    places = {row["ra"] for row in rows if row.get("ra") is not None}
    return Template(
        container,
        _found(container, _zigzag(candid)),
        _found(container, record["objectId"].encode()),
        [(at, ra) for ra in places for at in _found(container, struct.pack("<d", ra))],
    )


def _found(data: bytes, pattern: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(pattern), data)]


def copies(sources: list[Template], n: int) -> Iterator[SourcedPacket]:
    """`n` packets with different candids, objects and places, made as they are asked for."""
    for i in range(n):
        template = sources[i % len(sources)]
        data = bytearray(template.container)
        candid, name = _zigzag(_DAYS * 10**15 + 10**10 + i), f"ZTF20{_letters(i)}".encode()
        for at in template.candids:
            data[at : at + len(candid)] = candid
        for at in template.names:
            data[at : at + len(name)] = name
        shift = i // len(sources) * _GOLDEN % 360
        for at, ra in template.places:
            struct.pack_into("<d", data, at, (ra + shift) % 360)
        made = bytes(data)
        yield SourcedPacket(f"copy {i}", read_container(made)[0], None, made)


def _zigzag(value: int) -> bytes:
    """Avro's encoding of a long; nine bytes for every candid of this century."""
    value <<= 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _letters(n: int) -> str:
    letters = ""
    for _ in range(7):
        n, rest = divmod(n, 26)
        letters = chr(97 + rest) + letters
    return letters
