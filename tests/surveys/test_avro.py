"""The compiled Avro reader against fastavro, and against hostile bytes."""

import io
import json
import math
import time

import fastavro
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from alerce_dagster.surveys.avro import decode, split
from alerce_dagster.surveys.avro_schema import SchemaError, compile_schema

INT32, INT64 = 2**31, 2**63
SCALARS = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-INT32, INT32 - 1),
    "long": st.integers(-INT64, INT64 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=40),
    "string": st.text(max_size=20),
}


@st.composite
def schemas(draw, names, depth=3, inside_union=False):
    """A random schema; `names` collects the named types met so far."""
    kinds = [*SCALARS, "enum", "fixed"]
    if depth:
        kinds += ["record", "array", "map"] + ([] if inside_union else ["union", "union"])
    kind = draw(st.sampled_from(kinds))
    name = f"T{len(names)}"
    if kind == "enum":
        names.append(name)
        return {"type": "enum", "name": name, "symbols": [f"S{i}" for i in range(draw(st.integers(1, 4)))]}
    if kind == "fixed":
        names.append(name)
        return {"type": "fixed", "name": name, "size": draw(st.integers(0, 9))}
    if kind == "record":
        return draw(records(names, depth))
    if kind == "array":
        return {"type": "array", "items": draw(schemas(names, depth - 1))}
    if kind == "map":
        return {"type": "map", "values": draw(schemas(names, depth - 1))}
    if kind == "union":
        branches = draw(st.lists(st.sampled_from(list(SCALARS)), unique=True, min_size=1, max_size=4))
        if draw(st.booleans()):
            more = draw(schemas(names, depth - 1, True))
            branches += [] if more in branches else [more]
        return branches
    return kind


@st.composite
def records(draw, names, depth=3):
    """A random record schema, now and then one that refers to itself."""
    name = f"T{len(names)}"
    names.append(name)
    fields = [
        {"name": f"f{i}", "type": draw(schemas(names, depth - 1))}
        for i in range(draw(st.integers(0 if depth < 3 else 1, 5)))
    ]
    if draw(st.integers(0, 4)) == 0:
        fields.append({"name": "again", "type": ["null", name]})
    return {"type": "record", "name": name, "fields": fields}


def values(draw, schema, named, depth=4):
    """A random value of a schema."""
    if isinstance(schema, list):
        if depth <= 0 and "null" in schema:
            return None
        return values(draw, draw(st.sampled_from(schema)), named, depth)
    if isinstance(schema, str):
        return draw(SCALARS[schema]) if schema in SCALARS else values(draw, named[schema], named, depth - 1)
    kind = schema["type"]
    if "name" in schema:
        named[schema["name"]] = schema
    if kind == "record":
        return {field["name"]: values(draw, field["type"], named, depth - 1) for field in schema["fields"]}
    if kind == "array":
        return [values(draw, schema["items"], named, depth - 1) for _ in range(draw(st.integers(0, 3)))]
    if kind == "map":
        return {f"k{i}": values(draw, schema["values"], named, depth - 1) for i in range(draw(st.integers(0, 2)))}
    if kind == "enum":
        return draw(st.sampled_from(schema["symbols"]))
    return draw(st.binary(min_size=schema["size"], max_size=schema["size"]))


def paths(schema, named, prefix="", seen=()):
    """(scalar paths, array paths -> scalar paths of their items) reachable without entering arrays."""
    scalars, arrays = [], {}
    if isinstance(schema, list):
        for branch in schema:
            more, tables = paths(branch, named, prefix, seen)
            scalars += more
            for path, inner in tables.items():
                arrays.setdefault(path, []).extend(inner)
    elif isinstance(schema, str) and schema in named and len(seen) < 6:
        return paths(named[schema], named, prefix, seen)
    elif isinstance(schema, dict) and schema["type"] == "record":
        named[schema["name"]] = schema
        if seen.count(schema["name"]) < 2:
            for field in schema["fields"]:
                path = f"{prefix}.{field['name']}" if prefix else field["name"]
                more, tables = paths(field["type"], named, path, (*seen, schema["name"]))
                scalars += more
                for inner_path, inner in tables.items():
                    arrays.setdefault(inner_path, []).extend(inner)
    elif isinstance(schema, dict) and schema["type"] == "array":
        arrays[prefix] = paths(schema["items"], named, "", seen)[0]
    elif not (isinstance(schema, dict) and schema["type"] == "map"):
        scalars.append(prefix)
    return list(dict.fromkeys(scalars)), {path: list(dict.fromkeys(inner)) for path, inner in arrays.items()}


def at(value, path):
    """What fastavro's dict holds at a path; None where a step is missing or the end is no scalar."""
    for name in path.split(".") if path else []:
        value = value.get(name) if isinstance(value, dict) else None
    return None if isinstance(value, dict | list) else value


def cells(column):
    """A column as Python values, whatever their kinds."""
    numbers, (whole, is_whole), texts, flags = (
        column.floats(),
        column.integers(),
        column.binary().to_pylist(),
        column.is_flag(),
    )
    is_text, is_number = column.is_text(), column.is_number()
    out = []
    for i in range(len(numbers)):
        if not column.valid[i]:
            out.append(None)
        elif is_whole[i]:
            out.append(bool(whole[i]) if flags[i] else int(whole[i]))
        elif is_number[i]:
            out.append(float(numbers[i]))
        else:
            # Damage may leave text that is none; what becomes of it is `text`'s to say.
            out.append(texts[i].decode(errors="replace") if is_text[i] else texts[i])
    return out


def same(ours, theirs):
    if isinstance(theirs, float) and isinstance(ours, float) and math.isnan(theirs):
        return math.isnan(ours)
    return ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)


def written(schema, records):
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    bodies = []
    for record in records:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, record)
        bodies.append(out.getvalue())
    return parsed, bodies


@st.composite
def written_records(draw):
    schema = draw(records([]))
    parsed, bodies = written(schema, [values(draw, schema, {}) for _ in range(draw(st.integers(1, 4)))])
    return schema, bodies, [fastavro.schemaless_reader(io.BytesIO(body), parsed, None) for body in bodies]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(written_records())
def test_random_schemas_decode_as_fastavro_does(case):
    schema, bodies, truth = case
    compiled = compile_schema(json.dumps(schema).encode())
    columns, tables = paths(schema, {})
    found = decode(compiled, bodies, columns, tables)
    assert not found.errors.any()
    for path in columns:
        ours, theirs = cells(found.root[path]), [at(record, path) for record in truth]
        assert all(map(same, ours, theirs)), (path, ours, theirs)
    for path, inner in tables.items():
        rows = [(i, item) for i, record in enumerate(truth) for item in _items(record, path)]
        assert found.tables[path].parent.tolist() == [i for i, _ in rows]
        for name in inner:
            ours, theirs = cells(found.tables[path][name]), [at(item, name) for _, item in rows]
            assert all(map(same, ours, theirs)), (path, name, ours, theirs)


def _items(record, path):
    for name in path.split("."):
        record = record.get(name) if isinstance(record, dict) else None
    return record if isinstance(record, list) else []


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(written_records(), st.data())
def test_damaged_datums_end_in_an_error_and_leave_their_neighbours_alone(case, data):
    schema, bodies, truth = case
    compiled = compile_schema(json.dumps(schema).encode())
    columns, tables = paths(schema, {})
    broken = bytearray(data.draw(st.sampled_from(bodies)))
    for _ in range(data.draw(st.integers(1, 4))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    broken = broken[: data.draw(st.integers(0, len(broken)))]
    found = decode(compiled, [bodies[0], bytes(broken), bodies[-1]], columns, tables)
    assert not found.errors[[0, 2]].any()
    assert [index for index, _ in found.problems()] in ([], [1])
    if found.errors[1]:
        assert all(not found.root[path].valid[1] for path in columns)
        assert all(1 not in rows.parent for rows in found.tables.values())
    for path in columns:
        ours = cells(found.root[path])
        assert same(ours[0], at(truth[0], path))
        assert same(ours[2], at(truth[-1], path))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(written_records(), st.binary(max_size=200))
def test_noise_never_raises(case, noise):
    compiled = compile_schema(json.dumps(case[0]).encode())
    decode(compiled, [noise], *paths(case[0], {}))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(written_records())
def test_split_finds_every_datum(case):
    schema, bodies, _ = case
    compiled = compile_schema(json.dumps(schema).encode())
    if compiled.least == 0:
        return
    data = b"".join(bodies)
    assert split(compiled, data, len(bodies)) == (bodies, 0, len(data))
    assert split(compiled, data + b"\0", len(bodies))[1] == 9


def test_text_that_is_none_becomes_null():
    schema = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string"}]}
    found = decode(compile_schema(json.dumps(schema).encode()), [b"\x04ok", b"\x04\xf0\x90"], ["a"], {})
    assert found.root["a"].text().to_pylist() == ["ok", None]


def record_of(kind):
    return compile_schema(json.dumps({"type": "record", "name": "r", "fields": [{"name": "a", "type": kind}]}).encode())


def varint(number):
    out, bits = bytearray(), (number << 1) ^ (number >> 63)
    while bits > 127:
        out.append(bits & 127 | 128)
        bits >>= 7
    return bytes([*out, bits])


BOMBS = {
    "long array": ({"type": "array", "items": "long"}, varint(10**18)),
    "long array, negative count": ({"type": "array", "items": "long"}, varint(-(10**18)) + varint(8)),
    "smallest count": ({"type": "array", "items": "long"}, varint(-(2**63)) + varint(1) + b"\2"),
    "items without bytes": ({"type": "array", "items": "null"}, varint(10**18) + b"\0"),
    "empty records": (
        {"type": "array", "items": {"type": "record", "name": "e", "fields": []}},
        varint(10**18) + b"\0",
    ),
    "empty items in turns": ({"type": "array", "items": "null"}, varint(60_000) * 1000 + b"\0"),
    "map": ({"type": "map", "values": "null"}, varint(10**18) + b"\0"),
    "text": ("string", varint(10**18)),
    "negative length": ("bytes", varint(-5)),
    "endless varint": ("long", b"\xff" * 50),
    "too large for 64 bits": ("long", b"\xff" * 9 + b"\x02"),
    "too large for 32 bits": ("int", varint(2**31)),
    "branch": (["null", "int", "string"], varint(3)),
    "negative branch": (["null", "int"], varint(-1)),
    "enum": ({"type": "enum", "name": "e", "symbols": ["A"]}, varint(1)),
    "boolean": ("boolean", b"\2"),
    "left over": ("int", b"\0\0"),
    "missing": ("double", b"\0" * 7),
    "recursion": (["null", "r"], b"\2" * 100_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_fail_cleanly(name):
    kind, body = BOMBS[name]
    tables = {"a": [""]} if isinstance(kind, dict) and kind["type"] == "array" else {}
    found = decode(record_of(kind), [body], ["a"], tables)
    assert found.errors[0]
    assert len(found.problems()) == 1
    assert all(len(rows) == 0 for rows in found.tables.values())


def test_records_without_bytes_cannot_keep_the_reader_busy():
    inner = "null"
    for level in range(6):  # 40**6 steps for a datum of no bytes
        fields = [{"name": f"f{i}", "type": inner if i == 0 or level == 0 else f"L{level - 1}"} for i in range(40)]
        inner = {"type": "record", "name": f"L{level}", "fields": fields}
    started = time.monotonic()
    found = decode(compile_schema(json.dumps(inner).encode()), [b""], [])
    assert "too many steps" in found.problems()[0][1]
    assert time.monotonic() - started < 60  # not a measurement: without the limit this takes minutes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('"lng"', "unknown type 'lng'"),
        ("[]", "without branches"),
        ("3", "not a type"),
        ('{"type": "fixed", "name": "f", "size": -1}', "sensible size"),
        ('{"type": "record", "fields": []}', "without a name"),
        ('{"type": "record", "name": "r"}', "without fields"),
        ('{"type": "record", "name": "r", "fields": [{"name": "r"}]}', "without name and type"),
        ('{"type": "enum", "name": "r", "symbols": [1]}', "without symbols"),
        ('{"type": "array"}', "not a type"),
        ('{"type": {"type": null}}', "not a type"),
        ('[{"type":"fixed","name":"f","size":1},{"type":"fixed","name":"f","size":1}]', "twice"),
        (
            '{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}',
            "two fields 'a'",
        ),
        ('"' + "x" * (1 << 20) + '"', "longer"),
    ],
)
def test_bad_schemas_are_refused(text, reason):
    with pytest.raises(SchemaError, match=reason):
        compile_schema(text.encode())


def test_namespaces_and_columns_the_schema_lacks():
    schema = {
        "type": "record", "name": "alert", "namespace": "ztf", "fields": [
            {"name": "a", "type": {"type": "record", "name": "cutout", "namespace": "ztf.alert", "fields": [
                {"name": "x", "type": ["null", "long"]}]}},
            {"name": "b", "type": ["null", "ztf.alert.cutout"]},
            {"name": "c", "type": "long"},
        ],
    }  # fmt: skip
    _, bodies = written(schema, [{"a": {"x": 2**62 + 1}, "b": {"x": None}, "c": -(2**63)}])
    found = decode(compile_schema(json.dumps(schema).encode()), bodies, ["b.x", "c", "a.x", "a.none", "nowhere"])
    assert found.root["a.x"].integers()[0].tolist() == [2**62 + 1]
    assert found.root["c"].integers()[0].tolist() == [-(2**63)]
    assert [name for name in found.root.columns if found.root[name].valid.any()] == ["c", "a.x"]


@pytest.mark.realdata
def test_every_real_packet_decodes_as_fastavro_does(real_data):
    from alerce_dagster.surveys.packets import PacketError, decode_record, read_container

    seen = 0
    for file in sorted(real_data.glob("*_alerts/**/*.avro")):
        if file.parent.name == "confluent_raw":
            with pytest.raises(PacketError, match="Kafka"):
                read_container(file.read_bytes())
            continue
        packets = read_container(file.read_bytes())
        records = list(fastavro.reader(io.BytesIO(file.read_bytes())))
        assert len(packets) == len(records)
        for packet, record in zip(packets, records, strict=True):
            assert repr(decode_record(packet)) == repr(record)
            assert repr(list(fastavro.reader(io.BytesIO(packet.container)))) == repr([record])
        schema = packets[0].schema
        columns, tables = paths(schema.source, {})
        bodies = [packet.body for packet in packets]
        found = decode(schema, bodies, columns, tables)
        assert not found.errors.any()
        plain = fastavro.parse_schema(without_logical_types(schema.source))
        truth = [fastavro.schemaless_reader(io.BytesIO(body), plain, None) for body in bodies]
        for path in columns:
            ours, theirs = cells(found.root[path]), [at(record, path) for record in truth]
            assert all(map(same, ours, theirs)), (file, path)
        for path, inner in tables.items():
            rows = [item for record in truth for item in _items(record, path)]
            for name in inner:
                ours, theirs = cells(found.tables[path][name]), [at(item, name) for item in rows]
                assert all(map(same, ours, theirs)), (file, path, name)
        seen += len(packets)
    assert seen > 600


def without_logical_types(schema):
    if isinstance(schema, dict):
        return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    return [without_logical_types(value) for value in schema] if isinstance(schema, list) else schema
