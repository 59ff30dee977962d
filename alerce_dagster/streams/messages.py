"""Results as messages: Avro containers of one record with their schema inside, as ALeRCE's consumers expect them.

The schemas are the package's own files, `streams/schemas/*.avsc`. Field names are those of ALeRCE's public streams
where these have the field, and provenance is added.
"""

import io
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from alerce_dagster.surveys.avro_schema import AvroSchema, compile_schema
from alerce_dagster.surveys.packets import decode_record, read_container, wrap_datum

NAMES = ("stamp_classifier", "lc_classifier", "sn_candidates", "object_updates", "filter_match", "watch_match")


@lru_cache(maxsize=len(NAMES))
def schema(name: str) -> AvroSchema:
    """The published schema called `name`."""
    file = resources.files("alerce_dagster.streams") / "schemas" / f"{name}.avsc"
    return compile_schema(file.read_bytes())


def encode(name: str, record: Mapping[str, Any]) -> bytes:
    """A message of the schema called `name`; fields of the record that it does not have are left out."""
    import fastavro

    target = schema(name)
    body = io.BytesIO()
    fastavro.schemaless_writer(body, target.parsed, record)
    return wrap_datum(body.getvalue(), target)


def decode(message: bytes) -> dict[str, Any]:
    """The record of a message; raises PacketError when it is not one."""
    [packet] = read_container(message)
    return decode_record(packet)
