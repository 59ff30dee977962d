"""What the schema at /openapi.json says of answers: made of the tables, whose columns know their units and meanings."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from alerce_dagster.storage.latency import PERCENTILES, STEPS

Schema = dict[str, Any]

_TYPES: dict[type, str] = {sa.BigInteger: "integer", sa.Double: "number", sa.Boolean: "boolean", sa.Text: "string"}
_LONG = ("candid", "parent_candid", "ps1_id_1", "ps1_id_2", "ps1_id_3", "alert_ps1_id_1")
PROBLEM: Schema = {
    "type": "object",
    "required": ["status", "code", "detail", "errors"],
    "properties": {
        "status": {"type": "integer"},
        "code": {"type": "integer", "description": "the same, under the name that ALeRCE's client reads"},
        "detail": {"type": "string", "minLength": 1, "description": "what is wrong and what to do, one sentence"},
        "errors": {"type": "object", "description": "by parameter, where one is at fault"},
    },
}
FAULTS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "what was asked is wrong", "content": {"application/json": {"schema": PROBLEM}}},
    503: {
        "description": "the database cannot answer, or would take too long",
        "content": {"application/json": {"schema": PROBLEM}},
    },
}

LATENCY: Schema = {
    "type": "object",
    "description": "seconds of each step, null where one of its moments is not known",
    "properties": {f"{begin} to {end}": {"type": ["number", "null"]} for begin, end in STEPS},
}
PERCENTILES_OF_STEPS: Schema = {
    "type": "object",
    "description": "seconds by step and percentile, for the steps that any alert has taken",
    "properties": {
        f"{begin} to {end}": {"type": "object", "properties": {f"{p}": {"type": "number"} for p in PERCENTILES}}
        for begin, end in STEPS
    },
}


def row(*columns: sa.Column | sa.Table, **more: Schema) -> Schema:
    """A row of some columns, with further named properties."""
    found = [c for given in columns for c in (given.columns if isinstance(given, sa.Table) else [given])]
    properties = {column.name: _column(column) for column in found} | more
    return {"type": "object", "required": list(properties), "properties": properties}


def _column(column: sa.Column) -> Schema:
    kind = "string" if column.name in _LONG else _TYPES.get(type(column.type))
    nullable = column.nullable or column.name in _LONG
    schema: Schema = {} if kind is None else {"type": [kind, "null"] if nullable else kind}
    return schema | ({"description": column.comment} if column.comment else {})


def listed(item: Schema) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item}


def json(schema: Schema, description: str = "the answer", status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a path that answers with JSON."""
    return {status: {"description": description, "content": {"application/json": {"schema": schema}}}}


def table_or_file(schema: Schema) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a path that answers with JSON, or with a file where `format` asks for one."""
    content = json(schema)
    content[200]["content"] |= files(
        "text/csv; charset=utf-8", "application/x-votable+xml", "application/vnd.apache.parquet"
    )
    return content


def pictures() -> dict[int | str, dict[str, Any]]:
    """The `responses` of a path that answers with a cutout."""
    return {200: {"description": "the cutout", "content": files("image/png", "application/gzip")}}


def packets() -> dict[int | str, dict[str, Any]]:
    """The `responses` of a path that answers with a packet."""
    return {200: {"description": "the packet, an Avro container", "content": files("application/avro+binary")}}


def files(*media: str) -> Mapping[str, Any]:
    """The `content` of answers that are files."""
    return {kind: {"schema": {"type": "string", "format": "binary"}} for kind in media}
