"""When a night is over, it is summed up."""

import os

import dagster as dg


def summary_job(survey: str):
    """The job that makes `nights`, and nothing else."""
    return dg.define_asset_job(
        f"{survey}_summary",
        selection=dg.AssetSelection.assets([survey, "nights"]),
        description=f"One night of {survey} in numbers and plots.",
    )


def daily_summary(survey: str) -> dg.ScheduleDefinition:
    """Each day the night that has just ended; on from the start where there is a stream."""
    live = bool(os.environ.get(f"ALERCE_{survey.upper()}_KAFKA"))

    @dg.schedule(
        name=f"{survey}_daily_summary",
        job_name=f"{survey}_summary",
        cron_schedule="0 19 * * *",  # in the forenoon of Palomar: the night of this UTC date is over and read
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if live else dg.DefaultScheduleStatus.STOPPED,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(partition_key=context.scheduled_execution_time.date().isoformat())

    return schedule
