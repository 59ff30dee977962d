"""Objects whose cross-match waits for a service are looked up again, until it answers.

The sensor only asks whether there are any, and starts one run at a time; the ledger is corrected by the run.
"""

from pathlib import Path

import dagster as dg

from alerce_dagster.resources import CatalogsResource, StoresResource, open_stores
from alerce_dagster.settings import Settings

_EVERY = 300  # seconds
_JOB = "complete_xmatches"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.op(description="Look up the objects whose cross-match is pending, and correct the ledger.")
def look_up_pending(context: dg.OpExecutionContext, stores: StoresResource, catalogs: CatalogsResource) -> None:
    """Run `complete_pending` on everything that waits."""
    from alerce_dagster.errors import AlerceError
    from alerce_dagster.stages.pending_xmatches import complete_pending

    try:
        counts = complete_pending(open_stores(Settings.from_environment()), catalogs.open(), context.run_id)
    except AlerceError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    context.log.info(f"{counts['completed']:,} objects completed, {counts['still pending']:,} still pending")
    context.add_output_metadata({name.replace(" ", "_"): n for name, n in counts.items()})


@dg.job(name=_JOB, description="Complete cross-matches that wait for a service.", executor_def=dg.in_process_executor)
def complete_xmatches() -> None:
    """The one step of completing."""
    look_up_pending()


@dg.sensor(
    job_name=_JOB,  # by name: given the job itself, Dagster warns of a parameter of its own
    minimum_interval_seconds=_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run when objects wait for a cross-match service, and none of them is under way.",
)
def pending_xmatches(context: dg.SensorEvaluationContext, catalogs: CatalogsResource):
    """Ask for a run, or say why not."""
    from alerce_dagster.storage import xmatches
    from alerce_dagster.storage.database import Database
    from alerce_dagster.storage.schema import current

    if context.instance.get_runs_count(dg.RunsFilter(job_name=_JOB, statuses=_UNFINISHED)):
        return dg.SkipReason("a run is under way")
    database_url = Settings.from_environment().database_url
    if database_url.startswith("sqlite:///") and not Path(database_url.removeprefix("sqlite:///")).exists():
        return dg.SkipReason("nothing has been stored yet")
    database = Database(database_url)
    if current(database) is None:
        return dg.SkipReason("nothing has been stored yet")
    with database.reading() as connection:
        waiting = xmatches.pending(connection)
    if not waiting:
        return dg.SkipReason("no cross-match is pending")
    in_use = catalogs.open()
    can_be_asked = {name for _, name in waiting} & {*in_use.local, *in_use.remote}
    if not can_be_asked:
        return dg.SkipReason("no catalogue or service for what waits")
    return dg.RunRequest(tags={"alerce/kind": "xmatch"})
