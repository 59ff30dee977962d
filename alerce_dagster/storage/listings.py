"""Lists of objects: filters, order and pages, answered from indexes.

A listing is a table of questions; `page` turns it into one statement. Which names a person may use, and how a value is
read from text, is not decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import cones, tables
from alerce_dagster.storage.cones import Cone
from alerce_dagster.storage.database import rare
from alerce_dagster.storage.queries import as_dicts

Range = tuple[float | None, float | None]

_OBJECT, _CLASS = tables.object_, tables.object_class
CLASS_COLUMNS = ("classifier", "class_name", "probability", "model", "n_alerts")
OBJECT_COLUMNS = tuple(column.name for column in _OBJECT.columns if column.name not in ("survey", "healpix"))
_NEVER_NULL = ("oid", "n_det", "first_mjd", "last_mjd", "delta_mjd", "probability", "separation")
_FEW = 5_000  # rows that are sorted in some milliseconds
_EVERYTHING = 2**62
_ANSWERS = sa.select(_CLASS.c.oid, *[_CLASS.c[name] for name in CLASS_COLUMNS]).where(
    _CLASS.c.survey == sa.bindparam("survey"),
    _CLASS.c.oid.in_(sa.bindparam("oids", expanding=True)),
    _CLASS.c.classifier == sa.bindparam("classifier"),
)
ORDERS = (*OBJECT_COLUMNS, "class_name", "probability", "separation")


@dataclass(frozen=True)
class Listing:
    """Which objects, in what order. Ranges include their ends; None is open.

    `oids` may hold `*` for any characters. Without `classifier` an object comes without a class, unless
    `every_classifier`, which gives a row for each answer. `model` is the beginning of a model's hash.
    """

    survey: str
    oids: tuple[str, ...] = ()
    classifier: str | None = None
    every_classifier: bool = False
    model: str | None = None
    class_name: str | None = None
    probability: float | None = None
    n_det: Range = (None, None)
    first_mjd: Range = (None, None)
    last_mjd: Range = (None, None)
    cone: Cone | None = None
    order_by: str = "last_mjd"
    descending: bool = True
    limit: int = 10
    offset: int = 0


def page(connection: Connection, listing: Listing) -> list[dict]:
    """The objects of a page, as dictionaries of OBJECT_COLUMNS, CLASS_COLUMNS and, in a cone, `separation` (arcsec).

    Ordered by probability it holds only objects that have one.
    """
    if _by_answers_alone(listing):
        return _page_of_answers(connection, listing)
    if listing.cone and _by_place_alone(listing):
        rows = cones.nearest(connection, listing.survey, listing.cone, OBJECT_COLUMNS, listing.limit, listing.offset)
    else:
        statement, columns = _statement(listing, wide=_wide(connection, listing))
        key = _CLASS.c.oid if listing.order_by == "probability" else _OBJECT.c.oid
        rows = as_dicts(connection.execute(_paged(statement, listing, columns[listing.order_by], key)))
    if listing.classifier and rows and "class_name" not in rows[0]:
        given = _answers(connection, listing, [row["oid"] for row in rows])
        rows = [row | given.get(row["oid"], dict.fromkeys(CLASS_COLUMNS)) for row in rows]
    return rows


def _paged(statement: sa.Select, listing: Listing, by: sa.ColumnElement, key: sa.ColumnElement) -> sa.Select:
    return _sorted(statement, listing, by, key).limit(listing.limit).offset(listing.offset)


def _sorted(statement: sa.Select, listing: Listing, by: sa.ColumnElement, key: sa.ColumnElement) -> sa.Select:
    ordered = []
    for name, column in ((listing.order_by, by), ("oid", key)):
        direction = column.desc() if listing.descending else column.asc()
        # PostgreSQL reads an index backwards only where nulls may stay where the index has them.
        ordered.append(direction if name in _NEVER_NULL else direction.nulls_last())
    return statement.order_by(*ordered)


def _by_answers_alone(listing: Listing) -> bool:
    """Whether nothing of the objects themselves decides which they are, or in what order."""
    return listing.order_by == "probability" and not (listing.cone or listing.oids or _ranges(listing))


def _by_place_alone(listing: Listing) -> bool:
    """Whether nothing but where objects are decides which they are, and in what order."""
    if listing.every_classifier or not _asked_of_answers(listing).keys() <= {"survey", "classifier"}:
        return False
    return listing.order_by == "separation" and not (listing.descending or listing.oids or _ranges(listing))


def _ranges(listing: Listing) -> list[sa.ColumnElement[bool]]:
    spans = ("n_det", listing.n_det), ("first_mjd", listing.first_mjd), ("last_mjd", listing.last_mjd)
    return [condition for name, span in spans for condition in _within(_OBJECT.c[name], span)]


def _page_of_answers(connection: Connection, listing: Listing) -> list[dict]:
    """The keys of the page out of an index of the answers alone, so that the pages before it cost next to nothing."""
    values = _asked_of_answers(listing) | {"limit": listing.limit, "offset": listing.offset}
    statement = _statement_of_answers(tuple(values), listing.descending)
    return as_dicts(connection.execute(statement, values))


@lru_cache(maxsize=64)
def _statement_of_answers(names: tuple[str, ...], descending: bool) -> sa.Select:
    """The statement for parameters of these names: putting it together takes longer than its answer."""
    answers, objects = _CLASS.c, _OBJECT.c
    given = {name: sa.bindparam(name, type_=sa.Integer if name in ("limit", "offset") else None) for name in names}
    ordered = Listing("", order_by="probability", descending=descending)
    keys = sa.select(answers.survey, answers.oid, answers.classifier)
    keys = keys.where(*_conditions(given), answers.probability.is_not(None))
    page = _sorted(keys, ordered, answers.probability, answers.oid).limit(given["limit"]).offset(given["offset"])
    chosen = page.cte("chosen").prefix_with("MATERIALIZED")
    same = (answers.survey == chosen.c.survey) & (answers.oid == chosen.c.oid)
    same &= answers.classifier == chosen.c.classifier
    rows = sa.select(
        *[objects[name] for name in OBJECT_COLUMNS], *[answers[name] for name in CLASS_COLUMNS]
    ).select_from(
        chosen.join(_CLASS, same).join(_OBJECT, (objects.survey == chosen.c.survey) & (objects.oid == chosen.c.oid))
    )
    return _sorted(rows, ordered, answers.probability, answers.oid)


def _answers(connection: Connection, listing: Listing, oids: list[str]) -> dict[str, dict]:
    """The classifier's answers about some objects."""
    asked = {"survey": listing.survey, "oids": oids, "classifier": listing.classifier}
    return {row[0]: dict(zip(CLASS_COLUMNS, row[1:], strict=True)) for row in connection.execute(_ANSWERS, asked).all()}


def count(connection: Connection, listing: Listing) -> int:
    """How many rows all pages together have."""
    if _by_answers_alone(listing):
        of_answers = sa.select(sa.func.count()).select_from(_CLASS).where(*_about_answers(listing))
        return connection.scalar(of_answers.where(_CLASS.c.probability.is_not(None))) or 0
    statement, _ = _statement(listing, counting=True)
    return connection.scalar(sa.select(sa.func.count()).select_from(statement.subquery())) or 0


def _wide(connection: Connection, listing: Listing) -> frozenset[str]:
    """Filters by a range that many objects pass, which must not lead on SQLite.

    It knows nothing of how many rows a range holds, takes the range's index and sorts all it finds. A look at the first
    few thousand tells: fewer are sorted in no time, and where there are more, the order's own index soon has a page of
    them. PostgreSQL keeps statistics and needs no help.
    """
    if connection.dialect.name != "sqlite" or listing.cone or listing.oids:
        return frozenset()
    found = set()
    for name, span in (("n_det", listing.n_det), ("first_mjd", listing.first_mjd), ("last_mjd", listing.last_mjd)):
        conditions = _within(_OBJECT.c[name], span)
        if conditions and name != listing.order_by:
            first = sa.select(sa.literal(1)).where(_OBJECT.c.survey == listing.survey, *conditions).limit(_FEW)
            if connection.scalar(sa.select(sa.func.count()).select_from(first.subquery())) == _FEW:
                found.add(name)
    return frozenset(found)


def _within(column: sa.ColumnElement, span: Range) -> list[sa.ColumnElement[bool]]:
    """Conditions for a range; none for an end that everything is within, as forms send it."""
    low, high = span
    conditions = [column >= low] if low is not None and low > 0 else []
    return conditions + ([column <= high] if high is not None and high < _EVERYTHING else [])


def _asked_of_answers(listing: Listing) -> dict[str, Any]:
    """What is asked of the answers themselves, by name."""
    asked = {
        "survey": listing.survey,
        "classifier": None if listing.every_classifier else listing.classifier or None,
        "class_name": listing.class_name,
        "probability": listing.probability,
        "model": None if listing.model is None else _escaped(listing.model) + "%",
    }
    return {name: value for name, value in asked.items() if value is not None}


def _about_answers(listing: Listing) -> list[sa.ColumnElement[bool]]:
    """Conditions on the answers themselves."""
    return _conditions(_asked_of_answers(listing))


def _conditions(asked: dict[str, Any]) -> list[sa.ColumnElement[bool]]:
    """Conditions on the answers: on values, or on parameters of a statement."""
    found = [_CLASS.c[name] == asked[name] for name in ("survey", "classifier", "class_name") if name in asked]
    found += [_CLASS.c.probability >= asked["probability"]] if "probability" in asked else []
    return found + ([_CLASS.c.model.like(asked["model"], escape="/")] if "model" in asked else [])


def _statement(
    listing: Listing, *, counting: bool = False, wide: frozenset[str] = frozenset()
) -> tuple[sa.Select, dict[str, sa.ColumnElement]]:
    objects, answers = _OBJECT.c, _CLASS.c
    columns: dict[str, sa.ColumnElement] = {name: objects[name] for name in OBJECT_COLUMNS}
    source: sa.FromClause = _OBJECT
    conditions = [objects.survey == listing.survey]
    if listing.cone:
        near = cones.near(listing.cone)
        source = near.join(_OBJECT, (objects.survey == near.c.survey) & (objects.oid == near.c.oid))
        columns["separation"] = near.c.separation
    ranked = listing.order_by == "probability" and not counting
    asked = ranked or any(value is not None for value in (listing.class_name, listing.probability, listing.model))
    # A page of objects of any class is found first and gets its answers afterwards: the pages before it need none.
    if listing.every_classifier or asked or (listing.order_by == "class_name" and not counting):
        same = (answers.survey == objects.survey) & (answers.oid == objects.oid)
        if listing.classifier and not listing.every_classifier:
            same &= answers.classifier == listing.classifier
        source = source.join(_CLASS, same, isouter=not asked)
        columns |= {name: answers[name] for name in CLASS_COLUMNS}
        if asked:
            # Said of both tables, so that either one's index may lead.
            conditions += _about_answers(listing)
    if ranked:
        conditions.append(answers.probability.is_not(None))
    for name, span in (("n_det", listing.n_det), ("first_mjd", listing.first_mjd), ("last_mjd", listing.last_mjd)):
        conditions += _within(objects[name] + 0 if name in wide else objects[name], span)  # a sum has no index
    if listing.oids:
        exact = [oid for oid in listing.oids if "*" not in oid]
        patterns = [_like(objects.oid, oid) for oid in listing.oids if "*" in oid]
        conditions.append(sa.or_(*patterns, *([objects.oid.in_(exact)] if exact else [])))
    chosen = _select((objects.oid,) if counting else tuple(columns[n] for n in columns if n != "separation"))
    if "separation" in columns and not counting:
        chosen = chosen.add_columns(columns["separation"])
    for name in CLASS_COLUMNS:
        columns.setdefault(name, sa.null())
    columns.setdefault("separation", objects.last_mjd)
    return chosen.select_from(source).where(*conditions), columns


def _escaped(text: str) -> str:
    """For LIKE, with / as what escapes."""
    return text.replace("/", "//").replace("%", "/%").replace("_", "/_")


@lru_cache(maxsize=16)
def _select(columns: tuple[sa.ColumnElement, ...]) -> sa.Select:
    """A selection of columns; making one of thirty takes longer than most answers of the database."""
    return sa.select(*columns)


def _like(column: sa.ColumnElement, pattern: str) -> sa.ColumnElement[bool]:
    """A condition with `*` for any characters. What stands before the first one is also said as a range, which an
    index answers.
    """
    start = pattern.partition("*")[0]
    text = "%".join(map(_escaped, pattern.split("*")))
    condition = column.like(text, escape="/")
    return condition & (column >= start) & (column < start + "\x7f") if start else condition


def classifiers(connection: Connection, survey: str) -> list[tuple[str, str]]:
    """(classifier, model hash) of every answer that is stored, found by leaps over the index."""
    answers = _CLASS.c
    found = []
    for name in _distinct(connection, answers.classifier, [answers.survey == survey]):
        of_name = [answers.survey == survey, answers.classifier == name]
        found += [(name, model) for model in _distinct(connection, answers.model, of_name)]
    return found


def _distinct(connection: Connection, column: sa.ColumnElement, conditions: list) -> list[str]:
    """The different values of an indexed column, in order: one look into the index for each, however many rows."""
    found: list[str] = []
    while True:
        beyond = [column > found[-1]] if found else [column.is_not(None)]
        value = connection.scalar(sa.select(column).where(*conditions, *beyond).order_by(column).limit(1))
        if value is None:
            return found
        found.append(value)


def classes(connection: Connection, survey: str, classifier: str, model: str) -> list[str]:
    """The classes a model speaks of, in the order of its answers."""
    chosen = sa.select(_CLASS.c.probabilities).where(
        _CLASS.c.survey == survey,
        _CLASS.c.classifier == classifier,
        rare(connection, _CLASS.c.model == model),
        _CLASS.c.class_name.is_not(None),
    )
    return sorted(connection.scalar(chosen.limit(1)) or {})


def limits(connection: Connection, survey: str) -> dict[str, float | None]:
    """Least and greatest number of detections and first epoch."""
    values = {}
    for name in ("n_det", "first_mjd"):
        column = _OBJECT.c[name]
        for kind, order in (("min", column.asc()), ("max", column.desc())):
            chosen = sa.select(column).where(_OBJECT.c.survey == survey, column.is_not(None)).order_by(order).limit(1)
            values[f"{kind}_{name}"] = connection.scalar(chosen)
    return values


def sparklines(connection: Connection, survey: str, oids: Sequence[str]) -> dict[str, list[tuple[float, float, str]]]:
    """(mjd, mag, band) of the detections of some objects, in time order."""
    table = tables.detection
    chosen = (
        sa.select(table.c.oid, table.c.mjd, table.c.mag, table.c.band)
        .where(table.c.survey == survey, table.c.oid.in_(list(oids)), table.c.mag.is_not(None))
        .order_by(table.c.oid, table.c.mjd)
    )
    found: dict[str, list[tuple[float, float, str]]] = {}
    for oid, mjd, mag, band in connection.execute(chosen):
        found.setdefault(oid, []).append((mjd, mag, band))
    return found


def alert_classes(connection: Connection, survey: str, night: date) -> list[tuple[str, str | None, int]]:
    """(classifier, class, alerts) of a night (UTC date); class None where undetermined."""
    answer = tables.classification.c
    start = mjd_of_night(night)
    found = []
    for name in sorted({name for name, _ in classifiers(connection, survey)}):
        of_name = [answer.survey == survey, answer.classifier == name]
        names = _distinct(connection, answer.class_name, of_name)
        chosen = (
            sa.select(answer.class_name, sa.func.count())
            .where(*of_name, answer.class_name.in_(names) | answer.class_name.is_(None))
            .where(answer.mjd >= start, answer.mjd < start + 1)
            .group_by(answer.class_name)
        )
        found += [(name, class_name, n) for class_name, n in connection.execute(chosen)]
    return found


def mjd_of_night(night: date) -> float:
    """MJD at which a night (UTC date) begins."""
    return float((night - date(1858, 11, 17)).days)
