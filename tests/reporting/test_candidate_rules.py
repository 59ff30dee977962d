"""Candidate rules: read with clear errors, evaluated as written, unknown facts told apart from false ones."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from alerce_dagster.errors import InputError
from alerce_dagster.reporting import candidate_rules
from alerce_dagster.reporting.candidate_rules import ANSWERS, FACTS, considered, evaluate, failed, load, parse

RULES = """
name = "test"
version = 3
looks_at = "stamp_sn >= 0.2"

[[rule]]
name = "bright"
says = "brighter than 19"
when = "mag < 19"
unknown = false

[[rule]]
name = "near_a_galaxy"
says = "a galaxy within 5 arcsec"
when = "ps1_star_score < 0.3 and ps1_distance <= 5"
unknown = true
points = 1

[[rule]]
name = "young"
says = "a limit not long before"
when = "limit_age <= 3"
unknown = false
required = false
points = 3
"""


def facts(*rows: dict) -> pa.Table:
    """Objects of which only some facts are known."""
    return pa.table({field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in FACTS})


def test_rules_judge_each_object_by_its_facts() -> None:
    rules = parse(RULES, "test.toml")
    galaxy = {"ps1_star_score": 0.1, "ps1_distance": 2.0}
    judged = evaluate(
        rules,
        facts(
            {"oid": "a", "sn": 0.8, "mag": 18.0, "limit_age": 1.0} | galaxy,
            {"oid": "b", "sn": 0.8, "mag": 20.0, "limit_age": 1.0} | galaxy,
            {"oid": "c", "sn": 0.8, "mag": 18.0},
            {"oid": "d", "sn": 0.8, "limit_age": 9.0} | galaxy,
            {"oid": "e", "sn": 0.8, "mag": 18.0, "limit_age": 1.0, "ps1_star_score": 0.9, "ps1_distance": 1.0},
        ),
    )
    assert judged["passed"].to_pylist() == [True, False, True, False, False]
    # All points; all; half of both; one of four; three of four.
    assert judged["score"].to_pylist() == pytest.approx([0.8, 0.8, 0.4, 0.2, 0.6])
    reasons = [json.loads(text) for text in judged["reasons"].to_pylist()]
    assert reasons[2]["near_a_galaxy"] == {
        "met": None,
        "counts": True,
        "facts": {"ps1_star_score": None, "ps1_distance": None},
    }
    assert reasons[1]["bright"] == {"met": False, "counts": False, "facts": {"mag": 20.0}}
    assert [failed(rules, one) for one in reasons] == [[], ["bright"], [], ["bright"], ["near_a_galaxy"]]


def test_only_some_objects_are_looked_at() -> None:
    rows = {"oid": ["a", "b", "c"], "stamp_sn": [0.1, 0.3, None]}
    answers = pa.table({f.name: pa.array(rows.get(f.name, [None] * 3), f.type) for f in ANSWERS})
    assert considered(parse(RULES, "test.toml"), answers).to_pylist() == [False, True, False]


WRONG = {
    "not TOML": ("name = ", "test.toml are not TOML"),
    "unknown fact": (RULES.replace("mag < 19", "brightness < 19"), "rule bright: the filter names 'brightness'"),
    "no comparison": (RULES.replace("mag < 19", "mag"), "rule bright: the filter 'mag' gives double"),
    "text compared with a number": (RULES.replace("mag < 19", "luminosity < 19"), "rule bright: the filter cannot"),
    "missing": (RULES.replace('says = "brighter than 19"\n', ""), "rule bright, says: Field required"),
    "misspelt": (RULES.replace("unknown = false", "unkown = false", 1), "rule bright, unknown: Field required"),
    "changes nothing": (RULES.replace("points = 3", "points = 0"), "rule young: is neither required nor worth points"),
    "twice": (RULES.replace('"young"', '"bright"'), "two rules called bright"),
    "looks at facts": (RULES.replace("stamp_sn >= 0.2", "age > 1"), "looks_at: the filter names 'age'"),
    "no version": (RULES.replace("version = 3\n", ""), "version: Field required"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_rules_is_said(case: str) -> None:
    text, said = WRONG[case]
    with pytest.raises(InputError, match="the candidate rules") as error:
        parse(text, "test.toml")
    assert said in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_the_shipped_rules_name_what_they_say() -> None:
    """Another word in a rule is another hash, whatever the version says."""
    shipped = load()
    assert shipped.name == "supernovae"
    place = Path(candidate_rules.__file__).parent / "rules" / "supernovae.toml"
    changed = parse(place.read_text(encoding="utf-8").replace("deep_real_bogus >= 0.5", "deep_real_bogus >= 0.6"), "x")
    assert changed.identity != shipped.identity
    assert changed.version == shipped.version
