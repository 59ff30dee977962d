"""Writing Avro: records of ZTF's schema and containers of one record, the little that the simulation needs.

In Avro a record is its fields one after the other, so a packet can be joined from parts that were encoded
before. General writers do this too, more slowly; the tests read everything back with one of them.
"""

import json
import struct
from typing import Any

from alerce_dagster.surveys.ztf.schema import Field

SYNC = b"simulated alerts"  # sixteen bytes, the same in every file
SECOND_BRANCH = b"\x02"  # of a union of null and something: the something

_pack_float, _pack_double = struct.Struct("<f").pack, struct.Struct("<d").pack


def long(value: int) -> bytes:
    """An int or long: zig-zag, seven bits a byte, the lowest first."""
    rest = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def text(value: str) -> bytes:
    """A string: its length and its UTF-8."""
    data = value.encode()
    return long(len(data)) + data


def data(value: bytes) -> bytes:
    """Bytes: their length and themselves."""
    return long(len(value)) + value


_ENCODERS = {
    "float": _pack_float,
    "double": _pack_double,
    "int": long,
    "long": long,
    "string": text,
    "bytes": data,
}


def record_encoder(fields: tuple[Field, ...]) -> Any:
    """A function that encodes dicts as records of these fields; a missing name is null.

    The function raises KeyError for a missing name that may not be null.
    """
    plan = [(f.name, f.type[-1] in "?~", _ENCODERS[f.type.rstrip("?~")]) for f in fields]

    def encode(values: dict[str, Any]) -> bytes:
        out = bytearray()
        for name, nullable, encoder in plan:
            if nullable:
                value = values.get(name)
                if value is None:
                    out.append(0)
                    continue
                out += SECOND_BRANCH
                out += encoder(value)
            else:
                out += encoder(values[name])
        return bytes(out)

    return encode


def array(items: list[bytes]) -> list[bytes]:
    """A nullable array in one block, as parts to be joined; null when it is empty."""
    if not items:
        return [b"\x00"]
    return [SECOND_BRANCH, long(len(items)), *items, b"\x00"]


def container_header(schema: dict[str, Any]) -> bytes:
    """The head of an object container file without compression."""
    meta = {"avro.schema": json.dumps(schema).encode(), "avro.codec": b"null"}
    entries = b"".join(text(key) + data(value) for key, value in meta.items())
    return b"Obj\x01" + long(len(meta)) + entries + b"\x00" + SYNC
