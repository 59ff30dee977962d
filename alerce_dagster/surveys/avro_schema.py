"""Avro schemas, parsed and compiled to programs for the reader of `avro`.

A program is a table of integers that `avro_kernel` runs over the bytes of a whole batch of datums. Only the
paths that are asked for are kept; everything else is stepped over. Any schema compiles: nested and recursive
records, unions, arrays, maps, enums, fixed; logical types are read as the type they annotate.

What does not belong here: running programs (`avro`, `avro_kernel`), and every survey's field names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

MAX_SCHEMA_BYTES = 1 << 20
MAX_DATUM_BYTES = (1 << 26) + 1  # a span packs its length into 27 bits
MAX_PROGRAM = 1 << 16  # instructions; ZTF's alert needs about 250

# Operations of a program. The kernel has the same numbers written out, see there.
END, RETURN, CALL, JUMP, OPTION, UNION, ARRAY, NEXT = range(8)
NULL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, FIXED, ENUM = range(8, 17)
OPERATIONS = (END, RETURN, CALL, JUMP, OPTION, UNION, ARRAY, NEXT,
              NULL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, FIXED, ENUM)  # fmt: skip

# What a stored value is. 0 is null.
K_INT, K_FLOAT, K_DOUBLE, K_TEXT, K_BYTES, K_BOOLEAN, K_ENUM = range(1, 8)

_SCALARS = {
    "null": (NULL, 0),
    "boolean": (BOOLEAN, K_BOOLEAN),
    "int": (INT, K_INT),
    "long": (LONG, K_INT),
    "float": (FLOAT, K_FLOAT),
    "double": (DOUBLE, K_DOUBLE),
    "bytes": (BYTES, K_BYTES),
    "string": (BYTES, K_TEXT),
    "fixed": (FIXED, K_BYTES),
    "enum": (ENUM, K_ENUM),
}
_LEAST_BYTES = {
    "null": 0,
    "boolean": 1,
    "int": 1,
    "long": 1,
    "float": 4,
    "double": 8,
    "bytes": 1,
    "string": 1,
}


class SchemaError(ValueError):
    """The text is not an Avro schema; the message says why."""


@dataclass(slots=True, eq=False)
class Node:
    """One type of a schema. References to a named type are the same object, so a schema may be a cyclic
    graph.
    """

    kind: str
    name: str = ""
    fields: list[tuple[str, "Node"]] = field(default_factory=list)
    branches: list["Node"] = field(default_factory=list)
    item: "Node | None" = None
    size: int = 0
    symbols: tuple[str, ...] = ()
    least: int | None = None  # bytes that any value needs at least


class AvroSchema:
    """A writer schema, parsed, with the programs compiled from it so far."""

    def __init__(self, text: bytes) -> None:
        """Parse the JSON `text`; raises SchemaError."""
        if len(text) > MAX_SCHEMA_BYTES:
            raise SchemaError(f"the schema is longer than {MAX_SCHEMA_BYTES} bytes")
        self.text = text
        try:
            self.source: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SchemaError("the schema is not JSON") from error
        try:
            self.root = _parse(self.source, "", {})
            self.least = _least(self.root)
        except RecursionError as error:
            raise SchemaError("the schema is nested too deeply") from error
        self.name = self.root.name or self.root.kind
        self._programs: dict[tuple, Program] = {}

    @cached_property
    def parsed(self) -> Any:
        """The schema as fastavro wants it; raises SchemaError where fastavro refuses it."""
        import fastavro

        try:
            return fastavro.parse_schema(self.source)
        except Exception as error:  # fastavro raises whatever the schema's shape provokes
            raise SchemaError(f"the schema is not valid Avro: {error}") from error

    def find(self, path: str) -> list[Node]:
        """Every type a value at `path` may have ("" is the whole datum): unions opened,
        arrays stepped into.
        """
        found = _open(self.root)
        for name in path.split(".") if path else []:
            found = [
                inner
                for node in found
                if node.kind == "record"
                for label, child in node.fields
                if label == name
                for inner in _open(child)
            ]
        return found

    def scalars(self, path: str) -> list[str]:
        """Names of the fields of the record at `path` that hold one number, text or flag (or null)."""
        wanted = {"boolean", "int", "long", "float", "double", "string", "enum", "null"}
        return [
            name
            for node in self.find(path)
            if node.kind == "record"
            for name, child in node.fields
            if {inner.kind for inner in _unions(child)} <= wanted
        ]

    def program(self, columns: Sequence[str], tables: Mapping[str, Sequence[str]]) -> "Program":
        """The program that keeps `columns` of the datum and, of each array in `tables`, the columns of its
        items.
        """
        key = (tuple(columns), tuple((path, tuple(names)) for path, names in tables.items()))
        found = self._programs.get(key)
        if found is None:
            try:
                found = Program(self.root, columns, tables)
            except RecursionError as error:
                raise SchemaError("the schema is nested too deeply") from error
            if len(self._programs) > 32:
                self._programs.clear()
            self._programs[key] = found
        return found


@lru_cache(maxsize=128)
def compile_schema(text: bytes) -> AvroSchema:
    """The compiled form of a schema's JSON text, remembered per text; raises SchemaError."""
    return AvroSchema(text)


def _parse(source: Any, namespace: str, names: dict[str, Node]) -> Node:
    if isinstance(source, str):
        if source in _SCALARS and source not in ("fixed", "enum"):
            return Node(source)
        for full in (f"{namespace}.{source}", source):
            if full in names:
                return names[full]
        raise SchemaError(f"the schema names an unknown type {source[:80]!r}")
    if isinstance(source, list):
        if not source:
            raise SchemaError("the schema has a union without branches")
        return Node("union", branches=[_parse(branch, namespace, names) for branch in source])
    if not isinstance(source, dict) or "type" not in source:
        raise SchemaError("the schema holds something that is not a type")
    kind: Any = source["type"]
    if not isinstance(kind, str):
        return _parse(kind, namespace, names)
    if kind == "array":
        return Node("array", item=_parse(source.get("items"), namespace, names))
    if kind == "map":
        return Node("map", item=_parse(source.get("values"), namespace, names))
    if kind not in ("record", "error", "enum", "fixed"):
        return _parse(kind, namespace, names)
    name = source.get("name")
    space = source.get("namespace", namespace)
    if not isinstance(name, str) or not isinstance(space, str):
        raise SchemaError("the schema has a named type without a name")
    full = name if "." in name or not space else f"{space}.{name}"
    if full in names:
        raise SchemaError(f"the schema defines {full[:80]!r} twice")
    node = names[full] = Node("record" if kind == "error" else str(kind), name=full)
    if kind == "fixed":
        size = source.get("size")
        if type(size) is not int or not 0 <= size < MAX_DATUM_BYTES:
            raise SchemaError("the schema has a fixed type without a sensible size")
        node.size = size
    elif kind == "enum":
        symbols = source.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise SchemaError("the schema has an enum without symbols")
        node.symbols = tuple(symbols)
    else:
        fields = source.get("fields")
        if not isinstance(fields, list):
            raise SchemaError("the schema has a record without fields")
        for entry in fields:
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or "type" not in entry:
                raise SchemaError("the schema has a field without name and type")
            if any(name == entry["name"] for name, _ in node.fields):
                raise SchemaError(f"the schema has two fields {entry['name'][:80]!r} in one record")
            node.fields.append((entry["name"], _parse(entry["type"], full.rpartition(".")[0], names)))
    return node


def _least(node: Node) -> int:
    """A lower bound of the bytes any value of the type needs (exact unless the type is recursive)."""
    if node.least is not None:
        return node.least
    node.least = 0  # met again while it is being worked out: 0 keeps the bound a lower bound
    if node.kind == "record":
        total = sum(_least(child) for _, child in node.fields)
    elif node.kind == "union":
        total = 1 + min(_least(branch) for branch in node.branches)
    elif node.kind in ("array", "map"):
        _least(node.item)  # type: ignore[arg-type]
        total = 1
    else:
        total = {"fixed": node.size, "enum": 1}.get(node.kind, _LEAST_BYTES.get(node.kind, 0))
    node.least = min(total, 1 << 40)
    return node.least


def _unions(node: Node) -> list[Node]:
    return [inner for branch in node.branches for inner in _unions(branch)] if node.kind == "union" else [node]


def _open(node: Node) -> list[Node]:
    """The types behind unions and array items."""
    found = []
    for inner in _unions(node):
        if inner.kind == "array" and inner.item is not None:
            found.extend(_open(inner.item))
        else:
            found.append(inner)
    return found


class Program:
    """Instructions for one schema and one choice of columns.

    An instruction is six integers: operation; index of the null branch (−1: not nullable); argument; second
    argument; column (−1: not kept); kind of the value, or the table of an array.
    """

    def __init__(self, root: Node, columns: Sequence[str], tables: Mapping[str, Sequence[str]]) -> None:
        self.paths = ["", *tables]
        self.columns = [list(columns), *(list(names) for names in tables.values())]
        self.symbols: dict[tuple[int, int], list[str]] = {}
        self._index = {"": 0} | {path: number for number, path in enumerate(tables, start=1)}
        self._where: dict[tuple[int, str], int] = {}  # (table, path) -> column
        self._prefixes = {""}
        for table, (path, names) in enumerate(zip(self.paths, self.columns, strict=True)):
            self._reach(path)
            for number, name in enumerate(names):
                full = ".".join(part for part in (path, name) if part)
                self._where[table, full] = number
                self._reach(full)
        self._code: list[list[int]] = []
        self._jumps: list[int] = []
        self._bodies: dict[int, int] = {}  # id of a record that is only stepped over -> where its code starts
        self._wanted_bodies: list[tuple[int, Node]] = []
        self._emit(root, "", 0)
        self._add(END)
        while self._wanted_bodies:
            at, node = self._wanted_bodies.pop()
            if id(node) not in self._bodies:
                self._bodies[id(node)] = len(self._code)
                for _, child in node.fields:
                    self._emit(child, None, 0)
                self._add(RETURN)
            self._code[at][2] = self._bodies[id(node)]
        self.code = np.array(self._code, np.int64)
        self.jumps = np.array(self._jumps or [0], np.int64)
        self.widths = np.array([len(names) for names in self.columns], np.int64)

    def _reach(self, path: str) -> None:
        parts = path.split(".")
        self._prefixes.update(".".join(parts[:n]) for n in range(1, len(parts) + 1))

    def _add(self, operation: int, *rest: int) -> int:
        if len(self._code) >= MAX_PROGRAM:
            raise SchemaError("the schema is too large to compile")
        row = [operation, -1, 0, 0, -1, 0]
        row[1 : 1 + len(rest)] = rest
        self._code.append(row)
        return len(self._code) - 1

    def _emit(self, node: Node, path: str | None, table: int, null: int = -1) -> None:
        """Append the code of a value at `path` (None: nothing in it is kept) that goes to `table`."""
        if path is not None and path not in self._prefixes:
            path = None
        if node.kind == "record":
            if path is None:
                self._wanted_bodies.append((self._add(CALL), node))
                return
            for name, child in node.fields:
                self._emit(child, f"{path}.{name}" if path else name, table)
        elif node.kind == "union":
            self._emit_union(node, path, table)
        elif node.kind in ("array", "map"):
            assert node.item is not None
            inner = self._index.get(path, 0) if path and node.kind == "array" else 0
            if inner == table:  # an array in an array: its items are not rows
                inner = 0
            least = _least(node.item) + (node.kind == "map")
            at = self._add(ARRAY, -1, 0, least, -1, inner)
            if node.kind == "map":
                self._add(BYTES)
            self._emit(node.item, path if inner else None, inner)
            self._add(NEXT, -1, at)
            self._code[at][2] = len(self._code)
        else:
            operation, kind = _SCALARS[node.kind]
            column = -1 if path is None else self._where.get((table, path), -1)
            base = 0
            if node.kind == "enum" and column >= 0:
                symbols = self.symbols.setdefault((table, column), [])
                base = len(symbols)
                symbols.extend(node.symbols)
            size = len(node.symbols) if node.kind == "enum" else node.size
            self._add(operation, null, size, base, column, kind)

    def _emit_union(self, node: Node, path: str | None, table: int) -> None:
        kinds = [branch.kind for branch in node.branches]
        if len(kinds) == 2 and kinds.count("null") == 1:
            null = kinds.index("null")
            other = node.branches[1 - null]
            if other.kind in _SCALARS:
                self._emit(other, path, table, null)
                return
            at = self._add(OPTION, null)
            self._emit(other, path, table)
            self._code[at][2] = len(self._code)
            return
        at = self._add(UNION, -1, len(self._jumps), len(kinds))
        first = len(self._jumps)
        self._jumps.extend([0] * len(kinds))
        leave = []
        for number, branch in enumerate(node.branches):
            self._jumps[first + number] = len(self._code)
            self._emit(branch, path, table)
            leave.append(self._add(JUMP))
        for jump in leave:
            self._code[jump][2] = len(self._code)
