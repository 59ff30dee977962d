"""The code location for training. It may import heavy frameworks; the nightly location never does."""

import dagster as dg

from alerce_dagster.assets.light_curve_models import light_curve_model_assets
from alerce_dagster.assets.models import model_assets

train_light_curves = dg.define_asset_job(
    "train_light_curve_models",
    selection=dg.AssetSelection.groups("light_curve_models"),
    description="Make the labelled set, train classifier and outlier detectors on it, promote those that are better.",
    tags={"alerce/kind": "train"},
)

defs = dg.Definitions(
    assets=[*model_assets(), *light_curve_model_assets()],
    jobs=[
        dg.define_asset_job(
            "train_stamp_classifier",
            selection=dg.AssetSelection.groups("models"),
            description="Train the stamp classifier on labelled cutouts and promote it if it beats the one in use.",
            tags={"alerce/kind": "train"},
        ),
        train_light_curves,
    ],
    schedules=[
        dg.ScheduleDefinition(
            job=train_light_curves,
            cron_schedule="0 20 * * 1",  # Monday afternoon at Palomar
            execution_timezone="UTC",
            # Off until somebody has put labelled light curves in place: without them it would fail every week.
            default_status=dg.DefaultScheduleStatus.STOPPED,
        )
    ],
    executor=dg.in_process_executor,
)
