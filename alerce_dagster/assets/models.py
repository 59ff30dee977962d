"""Models as assets: trained on labelled cutouts, judged on held-out objects, promoted when they beat the one in use.

Loaded by the training location only: training imports TensorFlow.
"""

import json
import os
import shutil
from pathlib import Path

import dagster as dg

from alerce_dagster.assets.survey import OWNERS
from alerce_dagster.classifiers.cards import card_in_one
from alerce_dagster.settings import Settings

NAME = "stamp_classifier"
LABELLED_STAMPS = "ALERCE_LABELLED_STAMPS"


class TrainingConfig(dg.Config):
    """What to train on."""

    human_labels: bool = False
    """Add what people decided on SN Hunter. They saw only what a classifier had chosen: not a fair sample."""


@dg.asset(
    name=NAME,
    key_prefix="models",
    group_name="models",
    description="The stamp classifier, trained on labelled cutouts; its figures come from objects it has not seen.",
    kinds={"tensorflow", "onnx"},
    owners=OWNERS,
    pool="training",
    check_specs=[
        dg.AssetCheckSpec(
            "beats_champion",
            asset=dg.AssetKey(["models", NAME]),
            description="Its probabilities of unseen objects are better than those of the model in use, and honest.",
        )
    ],
)
def stamp_classifier(context: dg.AssetExecutionContext, config: TrainingConfig) -> dg.MaterializeResult:
    """Train, judge (a quarter of an hour) and keep a challenger under ALERCE_HOME/models."""
    import pyarrow.parquet as pq

    from alerce_dagster.classifiers.labelled_stamps import load_labelled, with_human
    from alerce_dagster.classifiers.promotion import better
    from alerce_dagster.classifiers.stamp_training import train
    from alerce_dagster.resources import open_stores
    from alerce_dagster.stages.human_labels import human_labels, human_stamps

    folder = os.environ.get(LABELLED_STAMPS)
    if not folder or not Path(folder).is_dir():
        raise dg.Failure(
            f"no labelled cutouts: set {LABELLED_STAMPS} to the folder that holds them (docs/models.md says in which "
            "form)",
            allow_retries=False,
        )
    out = _challenger()
    shutil.rmtree(out, ignore_errors=True)
    labelled = load_labelled(Path(folder))
    if config.human_labels:
        stores = open_stores(Settings.from_environment())
        labels = human_labels(stores, "ztf")
        labelled = with_human(labelled, human_stamps(stores, "ztf", labels))
        out.mkdir(parents=True)
        pq.write_table(labels, out / "human_labels.parquet")  # who said what and when goes with the model
    description = train(labelled, out)
    passed, why = better(description, _in_use())
    return dg.MaterializeResult(
        metadata={
            "model": description["model_hash"],
            "comparison": why,
            "human_labels": labelled.human,
            **_figures(description),
            "card": dg.MetadataValue.md(card_in_one(out)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="beats_champion",
                passed=passed,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"comparison": why},
            )
        ],
    )


class PromotionConfig(dg.Config):
    """A person may overrule the comparison."""

    override: bool = False
    """Promote the challenger even though it does not beat the model in use."""


@dg.asset(
    name=f"{NAME}_champion",
    key_prefix="models",
    group_name="models",
    deps=[stamp_classifier],
    description="The stamp classifier in use. A challenger takes its place when it is better, or by a person's word.",
    kinds={"onnx"},
    owners=OWNERS,
)
def stamp_classifier_champion(context: dg.AssetExecutionContext, config: PromotionConfig) -> dg.MaterializeResult:
    """Put the challenger where the nightly runs look for the model, in one rename."""
    from alerce_dagster.classifiers.promotion import better

    description = json.loads((_challenger() / "model.json").read_text(encoding="utf-8"))
    is_better, why = better(description, _in_use())
    if promoted := config.override or is_better:
        promote(NAME, description["model_hash"], context.run.run_id)
    return dg.MaterializeResult(
        metadata={"promoted": promoted, "overruled": config.override, "comparison": why, **_figures(description)}
    )


def promote(name: str, model_hash: str, run_id: str) -> None:
    """Keep the challenger of that hash as a version, and point the link `champion` at it in one rename."""
    folder = Settings.from_environment().models / name
    version = folder / "versions" / model_hash[:16]
    if not version.exists():
        version.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder / "challenger", version)
    link = folder / f".champion.{run_id}"
    link.symlink_to(version)
    link.replace(folder / "champion")


def model_assets() -> list[dg.AssetsDefinition]:
    """The stamp classifier's assets."""
    return [stamp_classifier, stamp_classifier_champion]


def _challenger() -> Path:
    return Settings.from_environment().models / NAME / "challenger"


def _in_use() -> dict:
    from alerce_dagster.classifiers.stamps import DEFAULT_MODEL
    from alerce_dagster.resources import champion_folder

    folder = champion_folder(Settings.from_environment(), NAME) or DEFAULT_MODEL
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))


def _figures(description: dict) -> dict[str, float]:
    """Key figures on unseen objects, every class weighing the same."""
    balanced = description["metrics"]["model"]["balanced"]
    return {name: float(balanced[name]["mean"]) for name in ("accuracy", "macro_f1", "ece", "log_loss")}
