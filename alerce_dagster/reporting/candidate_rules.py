"""Candidate rules: versioned data that says which objects a person should look at first, and why.

A rules file (TOML) holds a name, a version, `looks_at` (which objects are considered at all) and rules. A rule is an
expression over the facts about an object (schema FACTS), in the language of users' filters, with what to make of a
fact that is not known. A `required` rule decides; one with `points` moves the candidate up the list.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from alerce_dagster.errors import InputError
from alerce_dagster.streams.filters import columns_of, outcomes, passes
from alerce_dagster.surveys.tables import BOOL, FLOAT, INT, TEXT, column

ANSWERS = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("stamp_class", TEXT, "", "most probable class by its cutouts, over all its alerts"),
        column("stamp_sn", FLOAT, "", "probability of a supernova by its cutouts, mean over its alerts"),
        column("stamp_asteroid", FLOAT, "", "probability of a Solar System object by its cutouts"),
        column("stamp_bogus", FLOAT, "", "probability of an artefact by its cutouts"),
        column("still_sn", FLOAT, "", "stamp_sn over 1 - stamp_asteroid: of a supernova, if it does not move"),
        column("lightcurve_sn", FLOAT, "", "probability of a supernova of any type by its light curve"),
        column("combined_sn", FLOAT, "", "the same by the combined posterior"),
        column("sn", FLOAT, "", "combined_sn where there is one, else stamp_sn"),
    ]
)
"""What is known of every object; `looks_at` may speak of these alone."""

FACTS = pa.schema(
    [
        *ANSWERS,
        column("candid", INT, "", "newest alert"),
        column("mjd", FLOAT, "d", "its exposure"),
        column("band", TEXT, "", "its band"),
        column("ra", FLOAT, "deg", "mean right ascension, ICRS"),
        column("dec", FLOAT, "deg", "mean declination, ICRS"),
        column("mag", FLOAT, "mag", "difference magnitude of the newest alert"),
        column("mag_err", FLOAT, "mag", "1-sigma error of mag"),
        column("positive", BOOL, "", "the newest alert is brighter than the reference image"),
        column("n_det", INT, "", "detections"),
        column("n_negative", INT, "", "of these, fainter than the reference image"),
        column("n_det_history", INT, "", "detections at the place over the whole survey"),
        column("age", FLOAT, "d", "from the first detection to the newest alert"),
        column("span_history", FLOAT, "d", "from the first detection at the place, over the whole survey"),
        column("real_bogus", FLOAT, "", "real-bogus score of the newest alert"),
        column("deep_real_bogus", FLOAT, "", "its deep-learning real-bogus score"),
        column("galactic_latitude", FLOAT, "deg", "galactic latitude"),
        column("ss_distance", FLOAT, "arcsec", "from the nearest known Solar System object"),
        column("ps1_star_score", FLOAT, "", "star (1) or galaxy (0) score of the nearest Pan-STARRS1 source"),
        column("ps1_distance", FLOAT, "arcsec", "from that source"),
        column("ref_distance", FLOAT, "arcsec", "from the nearest source of the reference image"),
        column("gaia_distance", FLOAT, "arcsec", "from the nearest Gaia source"),
        column("host_probability", FLOAT, "", "that the most probable host galaxy is the host"),
        column("host_separation", FLOAT, "arcsec", "from its centre"),
        column("redshift", FLOAT, "", "of that host"),
        column("absolute_mag", FLOAT, "mag", "of the brightest detection at that redshift"),
        column("luminosity", TEXT, "", "plausible, too bright, too faint or unknown, for a transient there"),
        column("limit_age", FLOAT, "d", "from the last upper limit before the first detection to that detection"),
        column("limit_mag", FLOAT, "mag", "that upper limit"),
        column("rise_g", FLOAT, "mag/d", "slowest rise in g that the upper limits allow"),
        column("rise_r", FLOAT, "mag/d", "the same in r"),
        column("slope_g", FLOAT, "mag/d", "from the first to the last detection in g, positive when it fades"),
        column("slope_r", FLOAT, "mag/d", "the same in r"),
    ]
)


class Rule(BaseModel):
    """One rule of a rules file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    says: str = Field(min_length=1)
    """What it asks for, in words."""
    when: str
    """True where the rule is met."""
    unknown: bool
    """Whether it counts as met where a fact that it needs is not known."""
    required: bool = True
    points: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _counts(self) -> "Rule":
        if not self.required and not self.points:
            raise ValueError("is neither required nor worth points: it would change nothing")
        return self

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """The facts that it speaks of."""
        return columns_of(self.when)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    version: int = Field(ge=1)
    looks_at: str
    rule: list[Rule] = Field(min_length=1)


@dataclass(frozen=True)
class Rules:
    """A rules file, checked; `digest` is the hash of what it says."""

    name: str
    version: int
    looks_at: str
    rules: tuple[Rule, ...]
    digest: str

    @property
    def identity(self) -> str:
        """Name, version and hash: two files that say different things never have the same."""
        return f"{self.name} {self.version} {self.digest[:12]}"


def load(file: Path | None = None) -> Rules:
    """Read a rules file; the package's own when none is given.

    Raises
    ------
    InputError
        When it cannot be read or a rule makes no sense, with the rule and what is wrong with it.
    """
    shipped = resources.files("alerce_dagster.reporting") / "rules" / "supernovae.toml"
    place = file or shipped
    try:
        return parse(place.read_text(encoding="utf-8"), str(file or "supernovae.toml"))
    except OSError as error:
        raise InputError(f"the candidate rules {place} cannot be read: {error.strerror or error}") from error


def parse(text: str, where: str) -> Rules:
    """The rules in a TOML text; `where` names it in errors, which are those of `load`."""
    try:
        said = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the candidate rules {where} are not TOML: {error}") from error
    except ValidationError as error:
        raise InputError(f"the candidate rules {where}: {_first_fault(error, text)}") from error
    names = [rule.name for rule in said.rule]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"the candidate rules {where} have two rules called {twice[0]}; give one another name")
    _check(said.looks_at, ANSWERS, f"{where}, looks_at")
    for rule in said.rule:
        _check(rule.when, FACTS, f"{where}, rule {rule.name}")
    content = json.dumps(said.model_dump(), sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Rules(said.name, said.version, said.looks_at, tuple(said.rule), digest)


def considered(rules: Rules, answers: pa.Table) -> pa.Array:
    """Which objects (schema ANSWERS) the rules look at."""
    return passes(rules.looks_at, answers)


def evaluate(rules: Rules, facts: pa.Table) -> pa.Table:
    """What the rules say of objects (schema FACTS): `passed`, `score` and `reasons`, one row per object.

    The score, 0 to 1, is the probability `sn` times the share of all points that were won; half of the points of a
    rule whose facts are not known. `reasons` is JSON text by rule: `met` (true, false or null), `counts` (as what it
    counted) and the facts it rests on.
    """
    n = facts.num_rows
    passed, points = np.ones(n, dtype=bool), np.zeros(n)
    told: list[dict[str, Any]] = [{} for _ in range(n)]
    for rule in rules.rules:
        met = outcomes(rule.when, facts)
        counts = pc.fill_null(met, rule.unknown).to_numpy(zero_copy_only=False)
        if rule.required:
            passed &= counts
        won = pc.if_else(pc.is_null(met), 0.5, pc.cast(met, pa.float64()))
        points += rule.points * won.to_numpy(zero_copy_only=False)
        values = [facts[name].to_pylist() for name in rule.facts]
        for row, (said, counted) in enumerate(zip(met.to_pylist(), counts.tolist(), strict=True)):
            own = {name: _short(of[row]) for name, of in zip(rule.facts, values, strict=True)}
            told[row][rule.name] = {"met": said, "counts": counted, "facts": own}
    total = sum(rule.points for rule in rules.rules)
    share = points / total if total else np.ones(n)
    sn = pc.fill_null(facts["sn"], 0.0).to_numpy()
    return pa.table(
        {
            "oid": facts["oid"],
            "passed": pa.array(passed),
            "score": pa.array(np.round(sn * share, 6)),
            "reasons": pa.array([json.dumps(reasons) for reasons in told], pa.string()),
        }
    )


def failed(rules: Rules, reasons: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The required rules that an object did not meet, in the order of the file."""
    return [r.name for r in rules.rules if r.required and not reasons.get(r.name, {}).get("counts", False)]


def _check(expression: str, schema: pa.Schema, where: str) -> None:
    bare = pa.schema([field.remove_metadata() for field in schema])
    try:
        outcomes(expression, bare.empty_table())
    except InputError as error:
        raise InputError(f"the candidate rules {where}: {error}") from error


def _first_fault(error: ValidationError, text: str) -> str:
    first = error.errors()[0]
    place = list(first["loc"])
    if len(place) > 1 and place[0] == "rule":
        entries = tomllib.loads(text)["rule"]
        index = int(place[1])
        named = entries[index].get("name") if isinstance(entries[index], dict) else None
        place = [f"rule {named or index + 1}", *place[2:]]
    return f"{', '.join(map(str, place)) or 'the file'}: {first['msg'].removeprefix('Value error, ')}"


def _short(value: object) -> object:
    """A fact as it is told: floats to six digits, identifiers of 64 bits as text."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 else value
