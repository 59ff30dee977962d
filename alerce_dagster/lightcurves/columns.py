"""Between Arrow columns and NumPy arrays: nulls become NaN or false on the way in, NaN becomes null on the
way out."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def floats(table: pa.Table, name: str) -> np.ndarray:
    """A numeric column as float64, NaN where it is null."""
    chunks = table[name].cast(pa.float64())
    return chunks.to_numpy()


def flags(table: pa.Table, name: str) -> np.ndarray:
    """A boolean column, false where it is null."""
    return pc.fill_null(table[name], False).to_numpy()


def integers(table: pa.Table, name: str) -> np.ndarray:
    """An integer column as int64. Raises ValueError where it is null: identifiers must be there."""
    chunks = table[name]
    if chunks.null_count:
        raise ValueError(f"column {name} holds {chunks.null_count} nulls and must hold none")
    return chunks.cast(pa.int64()).to_numpy()


def nullable(values: np.ndarray) -> pa.Array:
    """Floats as an Arrow column, null where they are NaN or infinite."""
    return pa.array(values, mask=~np.isfinite(values))


def nullable_bool(values: np.ndarray, known: np.ndarray) -> pa.Array:
    """Booleans as an Arrow column, null where they are not known."""
    return pa.array(values, mask=~known)


def append(table: pa.Table, schema: pa.Schema, columns: dict[str, pa.Array]) -> pa.Table:
    """The table with further columns, described by `schema`.

    A column of the same name is replaced, so that a correction can be repeated.
    """
    table = table.select([name for name in table.column_names if name not in columns])
    for name, values in columns.items():
        table = table.append_column(schema.field(name), values)
    return table
