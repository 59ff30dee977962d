"""Users' filters: an expression over an alert's and its object's products, safe and vectorised.

    n_det >= 3 and class_name == "SN" and probability > 0.5 and not stellar and mag < 19

Written like Python; read with Python's parser, checked against a short list of what may be in it, and computed with
Arrow on whole batches. Nothing of it is ever executed. A value that is not known makes a comparison unknown, and an
alert passes only where the whole expression is true.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.errors import InputError

MAX_LENGTH = 2_000
MAX_PARTS = 200

_COMPARE: dict[type[ast.cmpop], Callable] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_ARITHMETIC: dict[type[ast.operator], Callable] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: lambda a, b: pc.divide(pc.cast(a, pa.float64()), pc.cast(b, pa.float64())),
}
_FUNCTIONS: dict[str, Callable] = {"abs": pc.abs, "sqrt": pc.sqrt, "log10": pc.log10}


@dataclass(frozen=True)
class Filter:
    """A named, versioned expression."""

    name: str
    version: int
    expression: str

    @property
    def topic(self) -> str:
        """Where its matches go."""
        return f"filter_{self.name}"


def passes(expression: str, table: pa.Table) -> pa.Array:
    """Which rows of the table the expression lets through: booleans without nulls, one per row.

    Raises
    ------
    InputError
        When the expression is not one, names a column that there is not, or compares what cannot be compared.
    """
    return pc.fill_null(outcomes(expression, table), False)


def outcomes(expression: str, table: pa.Table) -> pa.Array:
    """What the expression says of each row: true, false, or null where a value that it needs is not known.

    Raises as `passes`.
    """
    value = _Evaluation(expression, table).of(_parsed(expression))
    if isinstance(value, pa.Scalar):
        value = pa.repeat(value, table.num_rows)
    if not pa.types.is_boolean(value.type):
        raise InputError(f"the filter {expression!r} gives {value.type}, not true or false")
    return value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value


def columns_of(expression: str) -> tuple[str, ...]:
    """The columns that an expression names, in their order; raises as `passes` where it cannot be read."""
    names = [node for node in ast.walk(_parsed(expression)) if isinstance(node, ast.Name)]
    names.sort(key=lambda node: (node.lineno, node.col_offset))
    return tuple(dict.fromkeys(node.id for node in names if node.id not in _FUNCTIONS))


def _parsed(expression: str) -> ast.expr:
    if len(expression) > MAX_LENGTH:
        raise InputError(f"the filter is longer than {MAX_LENGTH} characters")
    try:
        body = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"the filter {expression!r} cannot be read: {getattr(error, 'msg', error)}") from error
    if sum(1 for _ in ast.walk(body)) > MAX_PARTS:
        raise InputError(f"the filter has more than {MAX_PARTS} parts")
    return body


@dataclass(frozen=True)
class _Evaluation:
    """One expression on one table."""

    expression: str
    table: pa.Table

    def of(self, node: ast.expr):
        """An Arrow array or scalar."""
        try:
            return self._of(node)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            what = ast.get_source_segment(self.expression.strip(), node)
            raise InputError(f"the filter cannot compute {what!r}: {str(error).splitlines()[0]}") from error

    def _of(self, node: ast.expr):
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return pa.scalar(value)
            case ast.Name(id=name):
                if name not in self.table.column_names:
                    raise InputError(f"the filter names {name!r}; there are: {', '.join(self.table.column_names)}")
                return self.table[name]
            case ast.BoolOp(op=op, values=parts):
                join = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
                result = self.of(parts[0])
                for part in parts[1:]:
                    result = join(result, self.of(part))
                return result
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return pc.invert(self.of(operand))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return pc.negate(self.of(operand))
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](self.of(left), self.of(right))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._compare(left, ops, comparators)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
                return _FUNCTIONS[name](self.of(argument))
        what = ast.get_source_segment(self.expression.strip(), node) or type(node).__name__
        raise InputError(
            f"the filter may not have {what!r}: it may have columns, numbers, texts, comparisons, in, is None, "
            f"and, or, not, + - * / and {', '.join(_FUNCTIONS)}"
        )

    def _compare(self, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]):
        result = None
        for op, right in zip(ops, comparators, strict=True):
            one = self._compare_two(left, op, right)
            result = one if result is None else pc.and_kleene(result, one)
            left = right
        return result

    def _compare_two(self, left: ast.expr, op: ast.cmpop, right: ast.expr):
        match op, right:
            case ast.Is(), ast.Constant(value=None):
                return pc.is_null(self.of(left), nan_is_null=True)
            case ast.IsNot(), ast.Constant(value=None):
                return pc.invert(pc.is_null(self.of(left), nan_is_null=True))
            case ((ast.In() | ast.NotIn()), (ast.List(elts=items) | ast.Tuple(elts=items))) if items:
                value = self.of(left)
                found = pc.equal(value, self.of(items[0]))
                for item in items[1:]:
                    found = pc.or_kleene(found, pc.equal(value, self.of(item)))
                return found if isinstance(op, ast.In) else pc.invert(found)
        if type(op) not in _COMPARE:
            raise InputError(f"the filter {self.expression!r} compares with something else than a list or a value")
        return _COMPARE[type(op)](self.of(left), self.of(right))
