"""Models as assets: trained on labelled cutouts, judged on held-out objects, promoted when they beat the one in use.

Loaded by the training location only: training imports TensorFlow.
"""

import json
import os
import shutil
from pathlib import Path

import dagster as dg

from alerce_dagster.assets.survey import OWNERS
from alerce_dagster.settings import Settings

NAME = "stamp_classifier"
LABELLED_STAMPS = "ALERCE_LABELLED_STAMPS"


class TrainingConfig(dg.Config):
    """How thoroughly to judge a model; training itself is fixed by its recipe."""

    repeats: int = 3
    """Times the whole cross-validation is repeated with other folds."""


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
            description="Macro-F1 on held-out objects is above that of the model in use. Needed for promotion.",
        )
    ],
)
def stamp_classifier(context: dg.AssetExecutionContext, config: TrainingConfig) -> dg.MaterializeResult:
    """Train, judge and keep a challenger under ALERCE_HOME/models."""
    from alerce_dagster.classifiers.labelled_stamps import load_labelled
    from alerce_dagster.classifiers.stamp_evaluation import evaluate
    from alerce_dagster.classifiers.stamp_training import Recipe, train

    folder = os.environ.get(LABELLED_STAMPS)
    if not folder or not Path(folder).is_dir():
        raise dg.Failure(
            f"no labelled cutouts: set {LABELLED_STAMPS} to the folder that holds them (docs/models.md says in which "
            "form)",
            allow_retries=False,
        )
    labelled = load_labelled(Path(folder))
    recipe = Recipe()
    figures = evaluate(labelled, recipe, repeats=config.repeats)
    out = _challenger()
    shutil.rmtree(out, ignore_errors=True)
    description = train(labelled, out, recipe, figures)
    ours, theirs = _macro_f1(description), _macro_f1(_description_in_use())
    return dg.MaterializeResult(
        metadata={
            "model": description["model_hash"],
            "macro_f1": ours,
            "macro_f1_in_use": theirs,
            "card": dg.MetadataValue.md((out / "CARD.md").read_text(encoding="utf-8")),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="beats_champion",
                passed=ours > theirs,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"macro_f1": ours, "macro_f1_in_use": theirs},
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
    challenger = _challenger()
    description = json.loads((challenger / "model.json").read_text(encoding="utf-8"))
    ours, theirs = _macro_f1(description), _macro_f1(_description_in_use())
    if promoted := config.override or ours > theirs:
        settings = Settings.from_environment()
        versions = settings.models / NAME / "versions"
        version = versions / description["model_hash"][:16]
        if not version.exists():
            versions.mkdir(parents=True, exist_ok=True)
            shutil.copytree(challenger, version)
        link = settings.models / NAME / f".champion.{context.run.run_id}"
        link.symlink_to(version)
        link.replace(settings.models / NAME / "champion")
    return dg.MaterializeResult(
        metadata={"promoted": promoted, "overruled": config.override, "macro_f1": ours, "macro_f1_in_use": theirs}
    )


def model_assets() -> list[dg.AssetsDefinition]:
    """All assets of the training location."""
    return [stamp_classifier, stamp_classifier_champion]


def _challenger() -> Path:
    return Settings.from_environment().models / NAME / "challenger"


def _description_in_use() -> dict:
    from alerce_dagster.classifiers.stamps import DEFAULT_MODEL
    from alerce_dagster.resources import champion_folder

    folder = champion_folder(Settings.from_environment(), NAME) or DEFAULT_MODEL
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))


def _macro_f1(description: dict) -> float:
    """Macro-F1 over held-out objects, every object counted once."""
    return float(description["metrics"]["model"]["objects"]["macro_f1"]["mean"])
