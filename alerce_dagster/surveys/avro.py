"""Avro datums, many at once, straight to columns.

`decode` runs the program of a schema (see `avro_schema`) over a batch of datums and hands out columns:
numbers as they are, text and bytes as places in the batch until they are asked for.

What does not belong here: container framing and codecs (`packets`), and every survey's field names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alerce_dagster.surveys.avro_schema import (
    K_BOOLEAN,
    K_BYTES,
    K_DOUBLE,
    K_ENUM,
    K_FLOAT,
    K_INT,
    K_TEXT,
    MAX_DATUM_BYTES,
    AvroSchema,
)

_ERRORS = {
    1: "the record ends before its last field",
    2: "a number is longer than 64 bits",
    3: "a union names a branch that its schema does not have",
    4: "a text or byte string claims more bytes than there are",
    5: "an array or map claims more items than its bytes can hold",
    6: "the record is nested too deeply",
    7: "a boolean is neither 0 nor 1",
    8: "an enum names a symbol that its schema does not have",
    9: "bytes are left over after the record",
    10: "an integer does not fit 32 bits",
    11: "the record takes too many steps to read for its length",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a decoded table: `values` as 64 bits each, `kinds` telling what they are (0: null)."""

    values: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.uint8]
    buffer: npt.NDArray[np.uint8]
    symbols: Sequence[str] = ()

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Where there is a value."""
        return self.kinds != 0

    def is_text(self) -> npt.NDArray[np.bool_]:
        """Where the value is text (a string or an enum's symbol)."""
        return (self.kinds == K_TEXT) | (self.kinds == K_ENUM)

    def is_number(self) -> npt.NDArray[np.bool_]:
        """Where the value is a number or a flag."""
        kinds = self.kinds
        return (kinds == K_INT) | (kinds == K_FLOAT) | (kinds == K_DOUBLE) | (kinds == K_BOOLEAN)

    def is_flag(self) -> npt.NDArray[np.bool_]:
        """Where the value is a boolean."""
        return self.kinds == K_BOOLEAN

    def integers(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Values as exact 64-bit integers, and where the value was an integer or a flag."""
        valid = (self.kinds == K_INT) | (self.kinds == K_BOOLEAN)
        return np.where(valid, self.values, 0), valid

    def floats(self) -> npt.NDArray[np.float64]:
        """Values as float64, NaN where there is none (or where it is not a number)."""
        kinds = self.kinds
        values = np.ascontiguousarray(self.values)
        out = np.full(len(values), np.nan)
        for kind, numbers in (
            (K_DOUBLE, values.view(np.float64)),
            (K_FLOAT, values.view(np.float32)[::2] if _LITTLE else values.view(np.float32)[1::2]),
            (K_INT, values),
            (K_BOOLEAN, values),
        ):
            np.copyto(out, numbers, where=kinds == kind)
        return out

    def spans(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(offset into `buffer`, length) of text and bytes; length −1 where there is none."""
        valid = (self.kinds == K_TEXT) | (self.kinds == K_BYTES)
        return np.where(valid, self.values >> 27, 0), np.where(valid, self.values & ((1 << 27) - 1), -1)

    def binary(self) -> pa.Array:
        """Text, symbols and bytes as an Arrow large_binary array, null elsewhere."""
        from alerce_dagster.surveys.avro_kernel import gather

        offsets, lengths = self.spans()
        ends = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(np.maximum(lengths, 0), out=ends[1:])
        data = np.empty(ends[-1], np.uint8)
        gather(self.buffer, offsets, lengths, ends, data)
        mask = np.packbits(lengths >= 0, bitorder="little")
        buffers = [pa.py_buffer(mask), pa.py_buffer(ends), pa.py_buffer(data)]
        out = pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers)
        if self.symbols and (self.kinds == K_ENUM).any():
            names = [symbol.encode() for symbol in self.symbols]
            rows = zip(out.to_pylist(), self.kinds, self.values, strict=True)
            mixed = [names[value] if kind == K_ENUM else text for text, kind, value in rows]
            out = pa.array(mixed, pa.large_binary())
        return out

    def text(self) -> pa.Array:
        """Text as an Arrow string array; bytes that are not UTF-8 become null."""
        raw = self.binary()
        try:
            return raw.cast(pa.string())
        except pa.ArrowInvalid:
            return pa.array([_utf8(value) for value in raw.to_pylist()], pa.string())


_LITTLE = np.little_endian


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


@dataclass(frozen=True, slots=True)
class Rows:
    """One decoded table: the datum each row came from, and its columns by name."""

    parent: npt.NDArray[np.int64]
    columns: dict[str, Column]

    def __len__(self) -> int:
        return len(self.parent)

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What `decode` returns. `root` has one row per datum (all null where it could not be read)."""

    root: Rows
    tables: dict[str, Rows]
    starts: npt.NDArray[np.int64]
    errors: npt.NDArray[np.int64]
    error_offsets: npt.NDArray[np.int64]

    def problems(self) -> list[tuple[int, str]]:
        """(index of the datum, one sentence) of each datum that could not be read."""
        return [
            (
                int(index),
                describe(int(self.errors[index]), int(self.error_offsets[index] - self.starts[index])),
            )
            for index in np.flatnonzero(self.errors)
        ]


def describe(error: int, offset: int) -> str:
    """One sentence for an error code of the kernel and the byte of the record where it happened."""
    return f"{_ERRORS[error]} (byte {offset} of the record)"


def decode(
    schema: AvroSchema,
    bodies: Sequence[bytes],
    columns: Sequence[str],
    tables: Mapping[str, Sequence[str]] | None = None,
) -> Decoded:
    """Decode `bodies` (one datum each, all written with `schema`).

    `columns` are dotted paths of scalars ("candidate.jd"); `tables` maps the path of an array to the paths,
    relative to its items, to keep ("" when the items are scalars themselves). A path the schema lacks gives
    nulls. A damaged datum costs only itself: see `Decoded.problems`. Raises ValueError when a body is longer
    than MAX_DATUM_BYTES.
    """
    from alerce_dagster.surveys.avro_kernel import walk

    program = schema.program(columns, tables or {})
    n = len(bodies)
    sizes = np.fromiter(map(len, bodies), np.int64, n)
    if n and sizes.max() > MAX_DATUM_BYTES:
        raise ValueError(f"a datum is longer than {MAX_DATUM_BYTES} bytes")
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    buffer = np.frombuffer(b"".join(bodies), np.uint8)
    widths = program.widths
    counts = np.zeros(len(widths), np.int64)
    errors, offsets = np.zeros(n, np.int64), np.zeros(n, np.int64)
    ends = starts[1:].copy()
    nothing = np.zeros(1, np.int64)

    def run(rows: npt.NDArray[np.int64], store: bool) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
        cells = np.concatenate([[0], np.cumsum(rows * widths)])
        parents = np.concatenate([[0], np.cumsum(rows)])
        values = np.empty(max(int(cells[-1]), 1), np.int64) if store else nothing
        kinds = np.zeros(max(int(cells[-1]), 1), np.uint8) if store else nothing.astype(np.uint8)
        parent = np.empty(max(int(parents[-1]), 1), np.int64) if store else nothing
        walk(
            buffer, starts, ends, False, program.code, program.jumps, widths, cells, parents,
            values, kinds, parent, counts, errors, offsets, store,
        )  # fmt: skip
        return values, kinds, parent

    if len(widths) > 1:  # rows of the arrays are not known beforehand: count, then fill exactly
        run(np.zeros(len(widths), np.int64), False)
    rows = counts.copy()
    rows[0] = n
    counts[:] = 0
    values, kinds, parent = run(rows, True)
    found, cell, row = [], 0, 0
    for table, names in enumerate(program.columns):
        size, width = int(rows[table]), len(names)
        block = values[cell : cell + size * width].reshape(size, width)
        marks = kinds[cell : cell + size * width].reshape(size, width)
        columns_here = {
            name: Column(block[:, i], marks[:, i], buffer, program.symbols.get((table, i), ()))
            for i, name in enumerate(names)
        }
        found.append(Rows(np.arange(n) if table == 0 else parent[row : row + size], columns_here))
        cell, row = cell + size * width, row + size
    return Decoded(found[0], dict(zip(program.paths[1:], found[1:], strict=True)), starts, errors, offsets)


def split(schema: AvroSchema, data: bytes, count: int) -> tuple[list[bytes], int, int]:
    """Cut `data`, which holds `count` datums one after the other, into its datums.

    Returns (datums up to the first damaged one, error code or 0, offset of the error in `data`). Bytes left
    over after the last datum are error 9.
    """
    from alerce_dagster.surveys.avro_kernel import walk

    # `count` comes from the bytes: never reserve for more datums than there can be.
    if count < 0 or count * schema.least > len(data) or (schema.least == 0 and count > len(data) + 1):
        return [], 5, 0
    program = schema.program((), {})
    buffer = np.frombuffer(data, np.uint8)
    starts, ends = np.zeros(count + 1, np.int64), np.full(count, len(data), np.int64)
    errors, offsets = np.zeros(count, np.int64), np.zeros(count, np.int64)
    none = np.zeros(2, np.int64)
    walk(
        buffer, starts, ends, True, program.code, program.jumps, program.widths, none, none,
        none, none.astype(np.uint8), none, none.copy(), errors, offsets, False,
    )  # fmt: skip
    bad = np.flatnonzero(errors)
    whole = int(bad[0]) if len(bad) else count
    datums = [data[starts[i] : ends[i]] for i in range(whole)]
    if len(bad):
        return datums, int(errors[whole]), int(offsets[whole])
    last = int(ends[-1]) if count else 0
    return (datums, 0, last) if last == len(data) else (datums, 9, last)
