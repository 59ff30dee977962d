"""The small Avro writer of the simulation against a general one."""

import io

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.simulation import avro
from alerce_dagster.surveys.ztf import schema as ztf

RECORDS = {"candidate": ztf.CANDIDATE, "prv_candidate": ztf.PRV_CANDIDATE, "fp_hist": ztf.FP_HIST, "cutout": ztf.CUTOUT}

_VALUES = {
    "double": st.floats(allow_nan=False),
    "float": st.floats(allow_nan=False, width=32),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "string": st.text(max_size=20),
    "bytes": st.binary(max_size=20),
}


@pytest.fixture(scope="module")
def schemas():
    named: dict = {}
    fastavro.parse_schema(ztf.ztf_schema(), named_schemas=named)
    return named


@pytest.mark.parametrize("name", RECORDS)
@settings(deadline=None)
@given(data=st.data())
def test_records_are_those_of_fastavro(schemas, name, data):
    values = {}
    for field in RECORDS[name]:
        kind = _VALUES[field.type.rstrip("?~")]
        values[field.name] = data.draw(st.none() | kind if field.type[-1] in "?~" else kind)
    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, schemas[f"ztf.alert.{name}"], values)
    assert avro.record_encoder(RECORDS[name])(values) == expected.getvalue()


def test_a_missing_name_is_null_and_an_error_where_null_is_not_allowed():
    encode = avro.record_encoder(ztf.FP_HIST)
    full = {field.name: 0 for field in ztf.FP_HIST if not field.type.endswith("?")}
    assert encode(full) == encode(full | {"field": None, "procstatus": None})
    del full["pid"]
    with pytest.raises(KeyError, match="pid"):
        encode(full)


def test_containers_are_read_by_fastavro():
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "x", "type": ["null", {"type": "array", "items": "long"}]}],
    }
    for items in ([], [3], [-1, 2**40]):
        body = b"".join(avro.array([avro.long(item) for item in items]))
        file = b"".join([avro.container_header(schema), avro.long(1), avro.data(body), avro.SYNC])
        assert list(fastavro.reader(io.BytesIO(file))) == [{"x": items or None}]
