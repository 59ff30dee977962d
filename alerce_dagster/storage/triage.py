"""What people decided about candidates. A log: nothing is overwritten, the newest decision of a person counts."""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.errors import InputError
from alerce_dagster.storage import tables

VERDICTS = ("candidate", "bogus", "known", "skip")


def decide(
    connection: Connection,
    survey: str,
    oid: str,
    verdict: str,
    person: str,
    *,
    candid: int | None = None,
    classifier: str | None = None,
) -> dict:
    """Store one decision with the classifier's answer at this moment; returns the stored row.

    Raises
    ------
    InputError
        When the object is not stored or the verdict is not one of VERDICTS.
    """
    if verdict not in VERDICTS:
        raise InputError(f"a verdict is one of {', '.join(VERDICTS)}")
    objects, answers = tables.object_.c, tables.object_class.c
    if not connection.execute(sa.select(objects.oid).where(objects.survey == survey, objects.oid == oid)).first():
        raise InputError(f"no object of {survey} with oid {oid} is stored")
    answer = connection.execute(
        sa.select(answers.class_name, answers.probability).where(
            answers.survey == survey, answers.oid == oid, answers.classifier == classifier
        )
    ).first()
    row = {
        "survey": survey,
        "oid": oid,
        "verdict": verdict,
        "person": person,
        "candid": candid,
        "classifier": classifier if answer else None,
        "class_name": answer.class_name if answer else None,
        "probability": answer.probability if answer else None,
        "decided_at": datetime.now(UTC),
    }
    stored = connection.execute(tables.triage.insert().values(**row))
    (decision,) = stored.inserted_primary_key or (None,)
    return row | {"decision": decision}


def decisions(connection: Connection, survey: str, oids: Sequence[str] | None = None, limit: int = 1000) -> list[dict]:
    """Decisions, newest first; of some objects, or of all."""
    table = tables.triage
    chosen = sa.select(table).where(table.c.survey == survey)
    if oids is not None:
        chosen = chosen.where(table.c.oid.in_(list(oids)))
    return [dict(row) for row in connection.execute(chosen.order_by(table.c.decision.desc()).limit(limit)).mappings()]
