"""What the assets of `sky` tell about a night."""

import dagster as dg
import sqlalchemy as sa

from alerce_dagster.assets import summaries
from alerce_dagster.assets.checks import result
from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.catalogs.in_use import InUse
from alerce_dagster.stages import Night
from alerce_dagster.storage import tables
from alerce_dagster.storage.ledger import Entry

_HOST_COLUMNS = ("oid", "catalog", "catalog_id", "separation", "probability", "p_unseen", "redshift", "absolute_mag")
_MEMBER_COLUMNS = ("broker_id", "survey", "oid", "ra", "dec", "first_mjd", "last_mjd")
_WATCH_COLUMNS = ("watch_list", "target", "oid", "candid", "separation", "mag", "class_name", "probability")
_XMATCH_COLUMNS = ("oid", "catalog", "rank", "catalog_id", "separation", "log_bayes", "columns")


def xmatches(night: Night, catalogues: InUse, entry: Entry) -> dg.MaterializeResult:
    """Of the asset xmatches."""
    total = summaries.total_of(night, "xmatches", catalogues.version)
    said = summaries.said(entry)
    if not catalogues:
        said = (
            "No catalogue has been added, so nothing was matched: alerce-dagster catalog recipes says where to begin."
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(n for name, n in total.details.items() if name.endswith(" matches")),
            "said": said,
            **summaries.counts(total),
            "catalogues": {name: snapshot for name, snapshot in catalogues.snapshots.items()},
            "preview": summaries.preview(night, tables.xmatch, _XMATCH_COLUMNS, "oid"),
        },
        check_results=[
            summaries.reconciles(night, total),
            result("nothing_pending", not total.n_aside, alerts_pending=total.n_aside),
        ],
    )


def hosts(night: Night, galaxies: GalaxyCatalogues, entry: Entry) -> dg.MaterializeResult:
    """Of the asset hosts."""
    from alerce_dagster.stages.hosts import version

    total = summaries.total_of(night, "hosts", version(galaxies))
    said = summaries.said(entry)
    if not galaxies.catalogues:
        said = "No catalogue of galaxies has been added, so no host was looked for: see docs/sky.md."
    with_redshift, implausible = total.details["with a redshift"], total.details["implausible luminosity"]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.details["objects"],
            "said": said,
            **summaries.counts(total),
            "catalogues": galaxies.snapshots,
            "preview": summaries.preview(night, tables.host, _HOST_COLUMNS, "oid"),
        },
        check_results=[
            summaries.reconciles(night, total, complete=True),
            result(
                "plausible_luminosities",
                implausible <= 0.1 * with_redshift,
                with_redshift=with_redshift,
                implausible=implausible,
            ),
        ],
    )


def identity(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset identity."""
    total = summaries.total_of(night, "identity")
    with night.stores.database.reading() as connection:
        n_objects = connection.scalar(sa.select(sa.func.count()).select_from(tables.broker_object))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": n_objects or 0,
            "said": summaries.said(entry),
            **summaries.counts(total),
            "preview": summaries.preview(night, tables.broker_member, _MEMBER_COLUMNS, "oid"),
        },
        check_results=[summaries.reconciles(night, total)],
    )


def watch_matches(night: Night, entry: Entry, delivered: dict[str, int]) -> dg.MaterializeResult:
    """Of the asset watch_matches."""
    total = summaries.total_of(night, "watch_matches")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(total.details.values()),
            "said": summaries.said(entry),
            **summaries.counts(total),
            **{f"messages_{name}": n for name, n in delivered.items()},
            "preview": summaries.preview(night, tables.watch_match, _WATCH_COLUMNS, "candid"),
        },
        check_results=[
            summaries.reconciles(night, total, complete=True),
            result("messages_delivered", not delivered["not_sent"], **delivered),
        ],
    )
