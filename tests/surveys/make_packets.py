"""Packets made for tests: ZTF's newest schema, one plausible record, any container."""

import gzip
import io
import json
from typing import Any

import fastavro
import numpy as np

from alerce_dagster.surveys.ztf.schema import ztf_schema


def fits(image: np.ndarray, extra: tuple[str, ...] = ()) -> bytes:
    """A primary FITS image, written by hand."""
    bits = {"f4": -32, "f8": -64, "i2": 16}[image.dtype.str[1:]]
    height, width = image.shape
    cards = ["SIMPLE  =                    T", f"BITPIX  = {bits:20d}", f"NAXIS   = {2:20d}"]
    cards += [f"NAXIS1  = {width:20d}", f"NAXIS2  = {height:20d}", *extra, "END"]
    header = "".join(card.ljust(80) for card in cards).encode()
    data = image.astype(image.dtype.newbyteorder(">")).tobytes()
    return header + b" " * (-len(header) % 2880) + data + b"\0" * (-len(data) % 2880)


def stamp(seed: int = 0, shape: tuple[int, int] = (63, 63)) -> bytes:
    """A gzipped cutout of noise."""
    image = np.random.default_rng(seed).normal(100, 5, shape).astype(np.float32)
    return gzip.compress(fits(image), mtime=0)


def _value(kind: Any) -> Any:
    if isinstance(kind, list):
        return _value(next(branch for branch in kind if branch != "null"))
    if isinstance(kind, dict):
        return {field["name"]: _value(field["type"]) for field in kind["fields"]} if kind["type"] == "record" else []
    return {
        "string": "x",
        "float": 1.5,
        "double": 2.5,
        "int": 3,
        "long": 4,
        "bytes": b"",
        "boolean": True,
    }.get(kind)


def ztf_record(candidate: dict | None = None, **changes: Any) -> dict:
    """A full ZTF record; `candidate` and `changes` replace fields of the candidate and of the packet."""
    schema = ztf_schema()
    record = {
        field["name"]: _value(field["type"]) if not field["name"].startswith("cutout") else None
        for field in schema["fields"]
    }
    record["candidate"] |= {
        "jd": 2459000.75,
        "fid": 1,
        "candid": 1234567890123456789,
        "ra": 10.5,
        "dec": -20.25,
        "magpsf": 18.5,
        "isdiffpos": "t",
        "xpos": 1000.0,
        "ypos": 1000.0,
    } | (candidate or {})
    record |= {"objectId": "ZTF20aaaaaaa", "candid": 1234567890123456789, "schemavsn": "4.02"}
    for number, name in enumerate(("Science", "Template", "Difference")):
        record[f"cutout{name}"] = {"fileName": f"{name}.fits.gz", "stampData": stamp(number)}
    return record | {"prv_candidates": [], "fp_hists": []} | changes


def container(records: list[Any], schema: Any = None, codec: str = "null", **options: Any) -> bytes:
    """An Avro object container, written by fastavro."""
    out = io.BytesIO()
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema or ztf_schema())))
    fastavro.writer(out, parsed, records, codec=codec, sync_marker=b"0123456789abcdef", **options)
    return out.getvalue()
