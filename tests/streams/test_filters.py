"""Users' filters: the same answer as Python gives, and nothing but what a filter may have."""

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerce_dagster.errors import InputError
from alerce_dagster.stages.streams import check_filter
from alerce_dagster.storage import Stores, filters
from alerce_dagster.streams.filters import MAX_LENGTH, passes
from tests.zpackets import NIGHT

ROWS = [
    {"n_det": 1, "mag": 18.0, "name": "SN", "stellar": True},
    {"n_det": 3, "mag": 19.5, "name": "AGN", "stellar": False},
    {"n_det": 7, "mag": None, "name": None, "stellar": None},
    {"n_det": 7, "mag": 16.25, "name": "SN", "stellar": False},
]
TABLE = pa.Table.from_pylist(ROWS)
numbers = st.sampled_from(["n_det", "2", "7", "n_det + 1", "-n_det", "n_det * 2", "n_det / 2", "abs(n_det - 5)"])
comparisons = st.builds(
    lambda a, o, b: f"{a} {o} {b}", numbers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers
)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from(["and", "or"]), inner),
        st.builds(lambda a: f"not ({a})", inner),
    ),
    max_leaves=6,
)


@given(expressions)
def test_it_means_what_python_means(expression: str) -> None:
    expected = [eval(expression, {"abs": abs}, dict(row)) for row in ROWS]
    assert passes(expression, TABLE).to_pylist() == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("name == 'SN' and mag < 17", [False, False, False, True]),
        ("17 < mag <= 19.5", [True, True, False, False]),
        ("name in ['AGN', 'VS']", [False, True, False, False]),
        ("name not in ('AGN',)", [True, False, False, True]),
        ("mag is None or name is not None", [True, True, True, True]),
        ("mag < 17", [False, False, False, True]),
        ("not mag < 17", [True, True, False, False]),
        ("not stellar", [False, True, False, True]),
        ("sqrt(n_det) > 2 and log10(n_det) < 1", [False, False, True, True]),
        ("True", [True, True, True, True]),
    ],
)
def test_unknown_values_pass_nothing(expression: str, expected: list[bool]) -> None:
    assert passes(expression, TABLE).to_pylist() == expected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("__import__('os').system('true')", "may not have"),
        ("name.upper() == 'SN'", "may not have"),
        ("[x for x in name]", "may not have"),
        ("(lambda: True)()", "may not have"),
        ("n_det ** 9999", "may not have"),
        ("open('/etc/passwd')", "may not have"),
        ("n_det[0] > 1", "may not have"),
        ("f'{n_det}' == '1'", "may not have"),
        ("n_dte > 1", "names 'n_dte'"),
        ("n_det", "not true or false"),
        ("name > 3", "cannot compute"),
        ("n_det >", "cannot be read"),
        ("n_det = 3", "cannot be read"),
        ("", "cannot be read"),
        ("n_det in name", "something else"),
        ("a" * (MAX_LENGTH + 1), "longer"),
        (" and ".join(["n_det > 1"] * 100), "more than"),
        ("(" * 900 + "1" + ")" * 900, "cannot be read"),
    ],
)
def test_nothing_else_is_let_in(expression: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        passes(expression, TABLE)


def test_every_column_of_the_products_may_be_named() -> None:
    check_filter("n_det >= 3 and class_name == 'SN' and p_SN > 0.5 and mag < 19 and not stellar and band == 'g'")
    with pytest.raises(InputError, match="probabilty"):
        check_filter("probabilty > 0.5")


def test_an_empty_table_and_nan() -> None:
    assert len(passes("n_det > 1", TABLE.slice(0, 0))) == 0
    assert passes("mag > 1", pa.table({"mag": [math.nan, 2.0]})).to_pylist() == [False, True]


def test_versions_and_tests_before_going_live(stores: Stores) -> None:
    from datetime import date

    night = date.fromisoformat(NIGHT)
    with stores.database.writing() as connection:
        first = filters.add(connection, "young", "n_det < 5")
        with pytest.raises(InputError, match="has not been tested"):
            filters.enable(connection, "young")
        filters.note_test(connection, first, night, 0, 0)
        with pytest.raises(InputError, match="has not been tested"):
            filters.enable(connection, "young")
        filters.note_test(connection, first, night, 200, 3)
        assert filters.enable(connection, "young") == first
        second = filters.add(connection, "young", "n_det < 4")
        assert second.version == 2
        assert filters.live(connection) == [first]
        filters.note_test(connection, second, night, 200, 2)
        filters.enable(connection, "young")
        assert filters.live(connection) == [second]
        filters.enable(connection, "young", 1)
        assert filters.live(connection) == [first]
        filters.disable(connection, "young")
        assert filters.live(connection) == []
        assert filters.listing(connection)[0]["tested"]["rate"] == 3 / 200
        with pytest.raises(InputError, match="there is no version 7"):
            filters.find(connection, "young", 7)
        with pytest.raises(InputError, match="there is no filter 'old'"):
            filters.disable(connection, "old")
