"""In the morning the night's candidates are proposed to people; what they approve is sent, and asked for, by the hour.

Both start stopped: who has an account at TNS turns them on. Nothing is sent without ALERCE_TNS_SEND=1.
"""

import dagster as dg

from alerce_dagster.resources import TnsResource, open_stores
from alerce_dagster.settings import Settings


def tns_job(survey: str):
    """The job that matches a night with TNS and proposes its candidates."""
    return dg.define_asset_job(
        f"{survey}_tns",
        selection=dg.AssetSelection.assets([survey, "tns_matches"], [survey, "tns_reports"]),
        description=f"One night of {survey} against TNS: matches, proposals, approved reports.",
    )


def morning_reports(survey: str) -> dg.ScheduleDefinition:
    """Each day, when the night is over at Palomar."""

    @dg.schedule(
        name=f"{survey}_morning_reports",
        job_name=f"{survey}_tns",
        cron_schedule="0 14 * * *",  # dawn at Palomar at all seasons: the night of this UTC date is over
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(partition_key=context.scheduled_execution_time.date().isoformat())

    return schedule


@dg.op(description="Take what people decided, send what is approved, ask TNS for its replies.")
def send_and_ask(context: dg.OpExecutionContext, tns: TnsResource) -> None:
    """One round at TNS, for all surveys' reports."""
    from alerce_dagster.errors import AlerceError
    from alerce_dagster.stages.tns_reports import take_decisions
    from alerce_dagster.surveys import SURVEYS

    try:
        stores = open_stores(Settings.from_environment())
        for survey in SURVEYS:
            take_decisions(stores, survey, tns.target())
        did = tns.send(stores, context.run_id)
    except AlerceError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    context.log.info(did if isinstance(did, str) else f"at TNS: {dict(did) or 'nothing to do'}")


@dg.job(
    name="tns_replies",
    description="Send approved reports and ask TNS for replies.",
    executor_def=dg.in_process_executor,
)
def tns_replies() -> None:
    """The one step of a round."""
    send_and_ask()


ask_for_replies = dg.ScheduleDefinition(
    job=tns_replies,
    cron_schedule="*/10 * * * *",  # an approved report has its answer within the hour, and TNS takes some minutes
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
