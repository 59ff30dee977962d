"""What grows without end is cut back once a day: Dagster's events of old runs, and the stream's list of offsets.

A run stays while it is the latest successful one of its job and night: the UI would otherwise show that night's assets
as never made. What the books say (the ledger, which offsets were read, what was published, the quarantine with its
bytes) stays for ever; spans of offsets that lie beside each other are joined.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

_PAGE = 200
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PARTITION = "dagster/partition"


class RetentionConfig(dg.Config):
    """How long superseded and failed runs are kept."""

    days: int = 30


@dg.op(description="Delete finished runs that a later run of the same night has superseded, with their events.")
def forget_superseded_runs(context: dg.OpExecutionContext, config: RetentionConfig) -> None:
    """Delete the runs that `superseded` names."""
    before = datetime.now(UTC) - timedelta(days=config.days)
    forgotten = list(superseded(context.instance, before))
    for run_id in forgotten:
        context.instance.delete_run(run_id)
    context.log.info(f"{len(forgotten)} runs that finished before {before:%Y-%m-%d} were forgotten")


@dg.op(description="Join the spans of offsets that were read days ago.")
def compact_offsets(context: dg.OpExecutionContext, config: RetentionConfig) -> None:
    """Run `offsets.compact`, where anything has been stored."""
    from alerce_dagster.resources import open_database
    from alerce_dagster.settings import Settings
    from alerce_dagster.storage import offsets

    database = open_database(Settings.from_environment())
    before = datetime.now(UTC) - timedelta(days=config.days)
    with database.writing() as connection:
        n_saved = offsets.compact(connection, before)
    context.log.info(f"{n_saved:,} spans of offsets were joined to their neighbours")
    context.add_output_metadata({"rows_saved": n_saved})


def superseded(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    """Ids of the finished runs created before `before` (UTC) that are not the latest success of their night."""
    latest: set[tuple[str, str | None]] = set()
    cursor = None
    while records := instance.get_run_records(dg.RunsFilter(statuses=_FINISHED), limit=_PAGE, cursor=cursor):
        cursor = records[-1].dagster_run.run_id
        for record in records:  # newest first
            run = record.dagster_run
            night = (run.job_name, run.tags.get(_PARTITION))
            keeps = run.status is dg.DagsterRunStatus.SUCCESS and night not in latest
            if keeps:
                latest.add(night)
            elif record.create_timestamp < before:
                yield run.run_id


@dg.job(description="Forget what Dagster need not remember.", executor_def=dg.in_process_executor)
def retention() -> None:
    """The steps of the daily clean-up."""
    forget_superseded_runs()
    compact_offsets()


daily_retention = dg.ScheduleDefinition(
    job=retention,
    cron_schedule="30 19 * * *",  # in the afternoon of Palomar, when no alerts come
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
