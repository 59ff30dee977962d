"""What pages say of candidates and TNS."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from alerce_dagster.storage import queries, reports, tables


def of_object(connection: Connection, survey: str, oid: str) -> dict[str, Any]:
    """For the panel: what the rules say, what TNS has there, reports."""
    return {
        "candidate": next(iter(queries.rows_of(connection, tables.candidate, survey, oid)), None),
        "matches": reports.matches(connection, survey, [oid]).get(oid, []),
        "reports": reports.of_objects(connection, survey, [oid]).get(oid, []),
    }


def in_words(connection: Connection, survey: str, oids: Sequence[str]) -> dict[str, str]:
    """One line per object that TNS knows or that a report is of: its name there, or how far the report is."""
    said: dict[str, list[str]] = {}
    for oid, found in reports.matches(connection, survey, oids).items():
        said[oid] = [
            " ".join(filter(None, (m["prefix"], m["tns_name"], m["type"] and f"({m['type']})"))) for m in found
        ]
    for oid, own in reports.of_objects(connection, survey, oids).items():
        said.setdefault(oid, []).extend(f"{r['state'].replace('_', ' ')} ({r['target']})" for r in own)
    return {oid: ", ".join(parts) for oid, parts in said.items()}
