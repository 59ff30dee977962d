"""The code location: everything Dagster loads for the nightly work, composed on one screen.

Training lives in a location of its own (`training_definitions`), so that nothing heavy is imported here.
"""

from collections.abc import Mapping

import dagster as dg

from alerce_dagster.assets.nights import night_summary
from alerce_dagster.assets.releases import ASSETS as RELEASE_ASSETS
from alerce_dagster.assets.survey import survey_assets
from alerce_dagster.resources import CatalogsResource, ModelsResource, StoresResource, StreamsResource, TnsResource
from alerce_dagster.sensors.alarms import run_failures, stuck_stream
from alerce_dagster.sensors.digests import digest_sensor, digests_job
from alerce_dagster.sensors.pending_xmatches import complete_xmatches, pending_xmatches
from alerce_dagster.sensors.releases import release_field, release_files, unfinished_releases
from alerce_dagster.sensors.retention import daily_retention, retention
from alerce_dagster.sensors.stream import stream_sensor
from alerce_dagster.sensors.summary import daily_summary, summary_job
from alerce_dagster.sensors.tns import ask_for_replies, morning_reports, tns_job, tns_replies
from alerce_dagster.stages import no_progress

SURVEYS = ("ztf",)
_MORNING = ("nights", "tns_matches", "tns_reports")
"""Made when the night is over, by jobs of their own."""


def build_defs(resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Assemble the location; tests and the command line swap resources by name."""
    assets = [asset for survey in SURVEYS for asset in (*survey_assets(survey), night_summary(survey))]
    jobs = [
        dg.define_asset_job(
            f"{survey}_night",
            selection=dg.AssetSelection.groups(survey)
            - dg.AssetSelection.assets(*([survey, name] for name in _MORNING)),
            description=f"One night of {survey}, from its packets (sources in the config) or re-made from the archive.",
            tags={"alerce/kind": "night"},
        )
        for survey in SURVEYS
    ]
    summaries = [summary_job(survey) for survey in SURVEYS]
    resources: dict[str, object] = {
        "stores": StoresResource(),
        "models": ModelsResource(),
        "catalogs": CatalogsResource(),
        "streams": StreamsResource(),
        "tns": TnsResource(),
        "progress": dg.ResourceDefinition.hardcoded_resource(no_progress),
    }
    return dg.Definitions(
        assets=[*assets, *RELEASE_ASSETS],
        jobs=[
            *jobs,
            *summaries,
            *(tns_job(survey) for survey in SURVEYS),
            tns_replies,
            retention,
            complete_xmatches,
            digests_job,
            release_field,
        ],
        schedules=[
            daily_retention,
            ask_for_replies,
            unfinished_releases,
            *(schedule(survey) for survey in SURVEYS for schedule in (daily_summary, morning_reports)),
        ],
        sensors=[
            pending_xmatches,
            release_files,
            *(stream_sensor(survey) for survey in SURVEYS),
            *(stuck_stream(survey) for survey in SURVEYS),
            *(digest_sensor(survey) for survey in SURVEYS),
            run_failures(),
        ],
        resources=resources | dict(resource_overrides or {}),
        # A step costs 0.03 s in the run's process and 2 s in one of its own.
        executor=dg.in_process_executor,
    )


defs = build_defs()
