"""The code location for training. It may import heavy frameworks; the nightly location never does."""

import dagster as dg

from alerce_dagster.assets.models import model_assets

defs = dg.Definitions(
    assets=model_assets(),
    jobs=[
        dg.define_asset_job(
            "train_stamp_classifier",
            selection=dg.AssetSelection.groups("models"),
            description="Train the stamp classifier on labelled cutouts and promote it if it beats the one in use.",
            tags={"alerce/kind": "train"},
        )
    ],
    executor=dg.in_process_executor,
)
