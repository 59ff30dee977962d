"""When a night has been summed up, its digest goes out; what did not arrive is sent again until it does.

The sensor only asks whether there is something to make or to send, and starts one run at a time.
"""

from collections.abc import Collection
from datetime import date, timedelta

import dagster as dg
from pydantic import Field

from alerce_dagster.resources import open_database
from alerce_dagster.settings import Settings

_EVERY = 120  # seconds
_JOB = "digests"
_FRESH = timedelta(days=2)  # a night that is summed up later than this is history, and nobody is woken for it
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


class DigestConfig(dg.Config):
    """Nights whose digest is to be made, as 2026-11-24."""

    survey: str = "ztf"
    nights: list[str] = Field(default_factory=list)


@dg.op(description="Make the digests of nights that are over, and send all that are due.")
def send_digests(context: dg.OpExecutionContext, config: DigestConfig) -> None:
    """Run `make_digest` and `deliver`."""
    from alerce_dagster.errors import AlerceError
    from alerce_dagster.stages.digests import deliver, make_digest

    try:
        database = open_database(Settings.from_environment())
        made = sum(
            make_digest(database, config.survey, date.fromisoformat(night), context.run_id) for night in config.nights
        )
        counts = deliver(database)
    except AlerceError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    context.log.info(f"{made} digests made, {counts['sent']} sent, {counts['not_sent']} still to be sent")
    context.add_output_metadata({"n_made": made, "n_sent": counts["sent"], "n_not_sent": counts["not_sent"]})


@dg.job(name=_JOB, description="The digests of nights: made and sent.", executor_def=dg.in_process_executor)
def digests_job() -> None:
    """The one step of it."""
    send_digests()


def to_make(summed_up: Collection[str], made: Collection[date], today: date) -> list[date]:
    """Nights to tell of: summed up, fresh, and without a digest for some channel."""
    nights = (date.fromisoformat(night) for night in summed_up)
    return sorted(night for night in nights if today - night <= _FRESH and night not in made)


def digest_sensor(survey: str) -> dg.SensorDefinition:
    """The sensor of one survey."""

    @dg.sensor(
        name=f"{survey}_digests",
        job_name=_JOB,
        minimum_interval_seconds=_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Sends the best of each night of {survey}, once the night is summed up.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from datetime import UTC, datetime

        from alerce_dagster.errors import AlerceError
        from alerce_dagster.reporting.digests import addresses
        from alerce_dagster.storage import digests

        channels = list(addresses())
        if not channels:
            return dg.SkipReason("no address is set: ALERCE_DIGEST_EMAIL, ALERCE_DIGEST_WEBHOOK, ALERCE_DIGEST_SLACK")
        if context.instance.get_runs_count(dg.RunsFilter(job_name=_JOB, statuses=_UNFINISHED)):
            return dg.SkipReason("a run is under way")
        now = datetime.now(UTC)
        summed_up = context.instance.get_materialized_partitions(dg.AssetKey([survey, "nights"]))
        fresh = to_make(summed_up, (), now.date())
        try:
            with open_database(Settings.from_environment()).reading() as connection:
                made = [night for night in fresh if not set(channels) - digests.known(connection, survey, night)]
                waiting = digests.due(connection, channels, now)
        except AlerceError as error:
            return dg.SkipReason(str(error))
        nights = to_make(summed_up, made, now.date())
        if not nights and not waiting:
            return dg.SkipReason("no night to tell of, and nothing waits to be sent")
        config = {"survey": survey, "nights": [night.isoformat() for night in nights]}
        return dg.RunRequest(run_config={"ops": {"send_digests": {"config": config}}}, tags={"alerce/kind": "digest"})

    return sensor
