"""The summary of a survey's night, for people: one page of numbers and plots."""

from datetime import date

import dagster as dg

from alerce_dagster.assets import checks
from alerce_dagster.assets.partitions import nights
from alerce_dagster.resources import ModelsResource

OWNERS = ["team:alerce"]


def night_summary(survey: str) -> dg.AssetsDefinition:
    """The asset `nights` of one survey. It has a job of its own: a night is summed up when it is over."""

    @dg.asset(
        name="nights",
        key_prefix=survey,
        group_name=survey,
        partitions_def=nights,
        description="The night in numbers: counts, completeness, latency, classes, quarantine, what was published.",
        kinds={"python"},
        owners=OWNERS,
        deps=[dg.AssetKey([survey, "streams"])],
        check_specs=checks.specs(survey, "nights"),
    )
    def summary(context: dg.AssetExecutionContext, models: ModelsResource) -> dg.MaterializeResult:
        from alerce_dagster.assets import report
        from alerce_dagster.resources import open_stores
        from alerce_dagster.settings import Settings
        from alerce_dagster.stages import Night, drift
        from alerce_dagster.stages.nights import summarise
        from alerce_dagster.surveys import get_survey

        day = date.fromisoformat(context.partition_key)
        # Only counts of what is there: it waits for nobody, and nobody for it.
        opened = open_stores(Settings.from_environment())
        night = Night(opened, get_survey(survey), day, context.run.run_id)
        classifier = models.light_curve_classifier()
        drift.summarise(night, classifier)
        drift.record(night, drift.findings(night, classifier))
        return report.night(summarise(night))

    return summary
