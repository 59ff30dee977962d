"""ZTF's ways of writing values, undone: sentinels, filters, signs of the difference, Julian dates.

All functions work on whole columns and return Arrow arrays with null where ZTF measured nothing. Which field
goes to which column of the common tables is said in `alerts` and `history`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.surveys.avro import Column, Decoded, decode
from alerce_dagster.surveys.avro_schema import MAX_DATUM_BYTES, AvroSchema, SchemaError
from alerce_dagster.surveys.packets import Packet
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE

SENTINELS = (
    -999.0,
    -9999.0,
    -99999.0,
)  # "not measured": the first in candidates, the last in forced photometry
JD_MINUS_MJD = 2_400_000.5
BANDS = {1: "g", 2: "r", 3: "i"}
CHUNK_BYTES = 16 << 20  # bodies decoded in one call; larger does not get faster

_SIGN = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}


def decoded(
    packets: Sequence[Packet],
    columns: Callable[[AvroSchema], Sequence[str]],
    tables: Mapping[str, Sequence[str]],
    problems: list[tuple[int, str]],
) -> Iterator[tuple[AvroSchema, npt.NDArray[np.int64], Decoded]]:
    """Decode a batch, schema by schema and in bounded pieces: (schema, indices of the packets, their columns).

    Packets whose schema is not ZTF's, or that no schema could hold, go to `problems` and nowhere else.
    """
    groups: dict[int, list[int]] = {}
    for index, packet in enumerate(packets):
        groups.setdefault(id(packet.schema), []).append(index)
    for indices in groups.values():
        schema = packets[indices[0]].schema
        reason = other_survey(schema)
        try:
            paths = columns(schema)
            schema.program(paths, tables)
        except SchemaError as error:
            reason = str(error)
        if reason is not None:
            problems.extend((index, reason) for index in indices)
            continue
        for where in _pieces(packets, indices, problems):
            yield schema, where, decode(schema, [packets[index].body for index in where], paths, tables)


def _pieces(
    packets: Sequence[Packet], indices: Sequence[int], problems: list[tuple[int, str]]
) -> Iterator[npt.NDArray[np.int64]]:
    piece: list[int] = []
    room = CHUNK_BYTES
    for index in indices:
        size = len(packets[index].body)
        if size > MAX_DATUM_BYTES:
            problems.append((index, f"the record has {size} bytes; {MAX_DATUM_BYTES} is the limit"))
            continue
        if piece and size > room:
            yield np.array(piece, np.int64)
            piece, room = [], CHUNK_BYTES
        piece.append(index)
        room -= size
    if piece:
        yield np.array(piece, np.int64)


def other_survey(schema: AvroSchema) -> str | None:
    """Why packets of this schema are not ZTF's, or None when they have a ZTF candidate."""
    fields = {name for name, _ in schema.root.fields}
    name = schema.name.lower()
    if "diaSource" in fields or name.startswith(("lsst", "elasticc")):
        other = "lsst"
    elif name.startswith("atlas") or "Mag" in schema.scalars("candidate"):
        other = "atlas"
    elif {"jd", "fid", "magpsf"} <= set(schema.scalars("candidate")):
        return None
    else:
        what = "has no candidate with jd, fid and magpsf"
        return f"not a ZTF alert packet: its schema ({schema.name[:60]}) {what}"
    return f"a packet of another survey ({other}), not of ztf"


def measured(values: npt.NDArray[np.float64], sentinels: Sequence[float] = SENTINELS) -> npt.NDArray[np.float64]:
    """A copy with NaN for infinities and sentinels."""
    out = np.where(np.isfinite(values), values, np.nan)
    for sentinel in sentinels:
        out[out == sentinel] = np.nan
    return out


def number(column: Column) -> pa.Array:
    """float64, null for NaN, infinities and sentinels."""
    return nullable(measured(column.floats()))


def pixels(column: Column) -> pa.Array:
    """float64 arcsec of a distance that candidates give in pixels."""
    return nullable(measured(column.floats()) * PIXEL_SCALE)


def nullable(values: npt.NDArray[np.float64]) -> pa.Array:
    """float64 with null for NaN."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def integer(column: Column) -> pa.Array:
    """Exact int64, null for sentinels."""
    values, valid = column.integers()
    return pa.array(values, pa.int64(), mask=~valid | np.isin(values, np.array(SENTINELS, np.int64)))


def date(column: Column) -> pa.Array:
    """MJD of a Julian date, null for sentinels and NaN."""
    return nullable(measured(column.floats()) - JD_MINUS_MJD)


def text(column: Column) -> pa.Array:
    """Text; null for the empty string, the word "null" (as ssnamenr has it) and bytes that are not UTF-8."""
    values = column.text()
    missing = pc.or_(pc.equal(values, ""), pc.equal(values, "null"))
    values = pc.if_else(missing, pa.scalar(None, pa.string()), values)
    # PostgreSQL cannot store the character 0.
    return pc.replace_substring(values, "\0", "")


def band(column: Column) -> pa.Array:
    """g, r or i from ZTF's filter number 1, 2 or 3; null for any other."""
    values, valid = column.integers()
    names = np.array([None, *BANDS.values()], object)
    return pa.array(names[np.where(valid & (values >= 1) & (values <= 3), values, 0)], pa.string())


def sign(column: Column) -> pa.Array:
    """True where the difference is positive: ZTF wrote t and f, in 2018 also 1 and 0."""
    if column.is_number().any():
        values, valid = column.integers()
        numbers = pa.array(values == 1, mask=~(valid & ((values == 0) | (values == 1))))
        if not column.is_text().any():
            return numbers
    coded = text(column).dictionary_encode()
    meanings = [_SIGN.get(word.lower()) if word is not None else None for word in coded.dictionary.to_pylist()]
    found = pa.array(meanings, pa.bool_()).take(coded.indices)
    return pc.coalesce(found, numbers) if column.is_number().any() else found
