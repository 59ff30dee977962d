"""The database's tables, for SQLite and PostgreSQL alike, one module per room.

What surveys and light curves declare as Arrow schemas becomes database columns here, with the same names; these modules
add only keys, indexes and the broker's own books. Changes need a migration (`storage/migrations`).
"""

from alerce_dagster.storage.tables.answers import (
    classification,
    drift_finding,
    feature,
    input_summary,
    light_curve_input,
    object_class,
    outlier,
    outlier_feedback,
)
from alerce_dagster.storage.tables.base import Json, metadata
from alerce_dagster.storage.tables.nights import (
    alert,
    batch,
    detection,
    forced_photometry,
    ledger,
    magstat,
    non_detection,
    object_,
    quarantine,
)
from alerce_dagster.storage.tables.people import (
    digest_message,
    triage,
)
from alerce_dagster.storage.tables.reports import (
    candidate,
    tns_event,
    tns_match,
    tns_report,
)
from alerce_dagster.storage.tables.sky import (
    broker_member,
    broker_object,
    catalog,
    catalog_backfill,
    host,
    identity_event,
    watch_list,
    watch_match,
    watch_message,
    watch_target,
    xmatch,
    xmatch_change,
    xmatch_state,
)
from alerce_dagster.storage.tables.stream import (
    alert_arrival,
    kafka_offset,
    outbox,
    user_filter,
)

__all__ = [
    "Json",
    "alert",
    "alert_arrival",
    "batch",
    "broker_member",
    "broker_object",
    "candidate",
    "catalog",
    "catalog_backfill",
    "classification",
    "detection",
    "digest_message",
    "drift_finding",
    "feature",
    "forced_photometry",
    "host",
    "identity_event",
    "input_summary",
    "kafka_offset",
    "ledger",
    "light_curve_input",
    "magstat",
    "metadata",
    "non_detection",
    "object_",
    "object_class",
    "outbox",
    "outlier",
    "outlier_feedback",
    "quarantine",
    "tns_event",
    "tns_match",
    "tns_report",
    "triage",
    "user_filter",
    "watch_list",
    "watch_match",
    "watch_message",
    "watch_target",
    "xmatch",
    "xmatch_change",
    "xmatch_state",
]
