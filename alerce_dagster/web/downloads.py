"""Rows as files: CSV, VOTable and Parquet, with units and meanings where the format has a place for them.

Identifiers of 64 bits stay whole: numbers in VOTable and Parquet, digits in CSV.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import sqlalchemy as sa
from fastapi import Query
from starlette.responses import Response

from alerce_dagster.web.answers import Json

FORMATS = ("json", "csv", "votable", "parquet")
Format = Annotated[str, Query(alias="format", pattern=f"^({'|'.join(FORMATS)})$")]

_ARROW: dict[type, pa.DataType] = {
    sa.BigInteger: pa.int64(),
    sa.Double: pa.float64(),
    sa.Boolean: pa.bool_(),
}
_MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "votable": "application/x-votable+xml",
    "parquet": "application/vnd.apache.parquet",
}


def answer(rows: Sequence[Mapping[str, Any]], columns: Sequence[sa.Column], kind: str, name: str) -> Response:
    """Rows of the named columns in one of FORMATS; all but JSON come as a file called `name`."""
    if kind == "json":
        return Json([{column.name: _safe(column, row[column.name]) for column in columns} for row in rows])
    return _file(to_arrow(rows, columns), kind, name)


def arrow_answer(table: pa.Table, units: Mapping[str, str], kind: str, name: str) -> Response:
    """An Arrow table in one of FORMATS, its integers of 64 bits as text in JSON; `units` by column."""
    if kind == "json":
        values = {
            field.name: [None if v is None else str(v) for v in table[field.name].to_pylist()]
            if pa.types.is_int64(field.type) or pa.types.is_uint64(field.type)
            else table[field.name].to_pylist()
            for field in table.schema
        }
        return Json([dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)])
    fields = [
        pa.field(f.name, _plain_type(f.type), metadata={"comment": f"{f.name} [{units.get(f.name)}]"})
        if units.get(f.name)
        else pa.field(f.name, _plain_type(f.type))
        for f in table.schema
    ]
    return _file(table.cast(pa.schema(fields)), kind, name)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """One of the types that the files are made of."""
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_integer(kind):
        return pa.int64()
    return kind if pa.types.is_boolean(kind) else pa.string()


def _file(table: pa.Table, kind: str, name: str) -> Response:
    out = io.BytesIO()
    if kind == "csv":
        pa_csv.write_csv(table, out, pa_csv.WriteOptions(quoting_style="needed"))
    elif kind == "parquet":
        pq.write_table(table, out, compression="zstd")
    else:
        _write_votable(table, out)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{"xml" if kind == "votable" else kind}"'}
    return Response(out.getvalue(), media_type=_MEDIA[kind], headers=headers)


def to_arrow(rows: Sequence[Mapping[str, Any]], columns: Sequence[sa.Column]) -> pa.Table:
    """Rows as an Arrow table; each column's comment is its metadata."""
    fields = [
        pa.field(
            column.name,
            _ARROW.get(type(column.type), pa.string()),
            metadata={"comment": column.comment} if column.comment else None,
        )
        for column in columns
    ]
    arrays = [pa.array([row[field.name] for row in rows], type=field.type) for field in fields]
    return pa.table(arrays, schema=pa.schema(fields))


def _safe(column: sa.Column, value: Any) -> Any:
    """Identifiers of 64 bits as text: JavaScript's numbers have 53."""
    if value is not None and column.name in ("candid", "parent_candid", "ps1_id_1", "ps1_id_2", "ps1_id_3"):
        return str(value)
    return value


def _write_votable(table: pa.Table, out: io.BytesIO) -> None:
    import numpy as np
    from astropy.io.votable import from_table, writeto
    from astropy.table import MaskedColumn, Table

    columns = []
    for field in table.schema:
        values = table[field.name].to_pylist()
        empty: Any = {pa.int64(): 0, pa.float64(): np.nan, pa.bool_(): False}.get(field.type, "")
        dtype = {pa.int64(): np.int64, pa.float64(): float, pa.bool_(): bool}.get(field.type, str)
        comment = (field.metadata or {}).get(b"comment", b"").decode()
        meaning, _, unit = comment.removesuffix("]").rpartition(" [") if comment.endswith("]") else (comment, "", "")
        columns.append(
            MaskedColumn(
                np.array([empty if v is None else v for v in values], dtype=dtype),
                mask=[v is None for v in values],
                name=field.name,
                description=meaning or None,
                unit=unit or None,
            )
        )
    votable = from_table(Table(columns, masked=True))
    writeto(votable, out)
