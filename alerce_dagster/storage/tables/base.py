"""What all tables share: the metadata, and columns made of Arrow schemas, with their units and meanings as comments."""

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData()

Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

_TYPES: dict[pa.DataType, type[sa.types.TypeEngine] | sa.types.TypeEngine] = {
    pa.int64(): sa.BigInteger,
    pa.float64(): sa.Double,
    pa.string(): sa.Text,
    pa.bool_(): sa.Boolean,
}


def columns(schema: pa.Schema, *, keys: tuple[str, ...]) -> list[sa.Column]:
    """Database columns of an Arrow schema; those in `keys` form the primary key, after the survey."""
    built = []
    for field in schema:
        unit, meaning = (field.metadata[key].decode() for key in (b"unit", b"meaning"))
        built.append(
            sa.Column(
                field.name,
                _TYPES[field.type],
                primary_key=field.name in keys,
                nullable=field.name not in keys,
                comment=f"{meaning} [{unit}]" if unit else meaning,
            )
        )
    return built


def survey_table(name: str, schema: pa.Schema, keys: tuple[str, ...], *extra: sa.schema.SchemaItem) -> sa.Table:
    """A table of one of the survey's products, clustered by its key: a light curve is one stretch of the disk."""
    ordered = pa.schema([schema.field(key) for key in keys] + [f for f in schema if f.name not in keys])
    return sa.Table(
        name,
        metadata,
        sa.Column("survey", sa.Text, primary_key=True, nullable=False),
        *columns(ordered, keys=keys),
        *extra,
        sqlite_with_rowid=False,
    )
