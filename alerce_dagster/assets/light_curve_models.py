"""The light-curve models as assets: labelled set, classifier and outlier detectors, each with its promotion.

Loaded by the training location only. What trains and judges is in `alerce_dagster.classifiers`.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from alerce_dagster.assets.models import PromotionConfig, promote
from alerce_dagster.assets.survey import OWNERS
from alerce_dagster.classifiers.cards import card_in_one
from alerce_dagster.settings import Settings

LABELLED_LIGHT_CURVES = "ALERCE_LABELLED_LIGHT_CURVES"
CLASSIFIER, OUTLIERS = "light_curve_classifier", "outlier_model"
_SHARED: dict[str, Any] = {"key_prefix": "models", "group_name": "light_curve_models", "owners": OWNERS}


def _beats(name: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec("beats_champion", asset=dg.AssetKey(["models", name]), description=description)


@dg.asset(
    name="labelled_set",
    description="Labelled light curves: files, objects that catalogues in the database name, and simulated ones; with "
    "the inputs of every view of them.",
    kinds={"python", "parquet"},
    pool="training",
    **_SHARED,
)
def labelled_set(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Read and compute (some ten minutes), and keep under ALERCE_HOME/models/labelled_set."""
    from alerce_dagster.classifiers import labelled_store
    from alerce_dagster.classifiers.labelled_light_curves import with_objects
    from alerce_dagster.classifiers.light_curve_training import Recipe, make_views
    from alerce_dagster.classifiers.train_light_curves import labelled_set as read_labelled
    from alerce_dagster.resources import open_stores
    from alerce_dagster.stages.labels import stored_labelled

    folder = os.environ.get(LABELLED_LIGHT_CURVES)
    if not folder or not Path(folder).is_dir():
        raise dg.Failure(
            f"no labelled light curves: set {LABELLED_LIGHT_CURVES} to the folder that holds them (docs/models.md says "
            "in which form)",
            allow_retries=False,
        )
    labelled = read_labelled(Path(folder))
    labelled = with_objects(labelled, *stored_labelled(open_stores(Settings.from_environment()), "ztf"))
    views = make_views(labelled, Recipe().seed)
    labelled_store.save(labelled, views, _set())
    labels = labelled.labels("15")
    real = {name: int(((labels == name) & ~labelled.simulated).sum()) for name in sorted(set(labels)) if name}
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(labels),
            "digest": labelled.digest,
            "real_objects": real,
            "simulated_objects": int(labelled.simulated.sum()),
            "views": len(views.owner),
            "left_out": labelled.left_out,
        }
    )


@dg.asset(
    name=CLASSIFIER,
    deps=[labelled_set],
    description="The light-curve classifier: booster and balanced forest judged on unseen objects, the better kept.",
    kinds={"lightgbm", "sklearn"},
    pool="training",
    check_specs=[_beats(CLASSIFIER, "Its probabilities of unseen objects are better than those of the model in use.")],
    **_SHARED,
)
def lightcurve_model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Train and judge a challenger under ALERCE_HOME/models."""
    from alerce_dagster.classifiers import labelled_store
    from alerce_dagster.classifiers.promotion import better
    from alerce_dagster.classifiers.train_light_curves import train

    labelled, views = labelled_store.load(_set())
    description = train(labelled, _fresh(CLASSIFIER), views=views, say=context.log.info)
    return _judged(CLASSIFIER, description, better, _classifier_figures)


@dg.asset(
    name=OUTLIERS,
    deps=[labelled_set],
    description="Outlier detectors of each top class, judged on classes that were kept from them.",
    kinds={"numpy", "sklearn"},
    pool="training",
    check_specs=[_beats(OUTLIERS, "It finds the objects of classes that it has not seen better than the one in use.")],
    **_SHARED,
)
def outlier_model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Train and judge a challenger under ALERCE_HOME/models."""
    from alerce_dagster.classifiers import labelled_store
    from alerce_dagster.classifiers.outlier_training import train
    from alerce_dagster.classifiers.promotion import sees_more

    labelled, views = labelled_store.load(_set())
    description = train(labelled, views, _fresh(OUTLIERS), say=context.log.info)
    return _judged(OUTLIERS, description, sees_more, _outlier_figures)


@dg.asset(
    name=f"{CLASSIFIER}_champion",
    deps=[lightcurve_model],
    description="The light-curve classifier in use. A better challenger takes its place, or one a person chose.",
    kinds={"python"},
    **_SHARED,
)
def lightcurve_model_champion(context: dg.AssetExecutionContext, config: PromotionConfig) -> dg.MaterializeResult:
    """Put the challenger where the nightly runs look for the model."""
    from alerce_dagster.classifiers.promotion import better

    return _promoted(context, config, CLASSIFIER, better, _classifier_figures)


@dg.asset(
    name=f"{OUTLIERS}_champion",
    deps=[outlier_model],
    description="The outlier detectors in use. A better challenger takes their place, or one a person chose.",
    kinds={"python"},
    **_SHARED,
)
def outlier_model_champion(context: dg.AssetExecutionContext, config: PromotionConfig) -> dg.MaterializeResult:
    """Put the challenger where the nightly runs look for the model."""
    from alerce_dagster.classifiers.promotion import sees_more

    return _promoted(context, config, OUTLIERS, sees_more, _outlier_figures)


def light_curve_model_assets() -> list[dg.AssetsDefinition]:
    """All of them."""
    return [labelled_set, lightcurve_model, outlier_model, lightcurve_model_champion, outlier_model_champion]


Comparison = Callable[[dict, dict | None], tuple[bool, str]]
Figures = Callable[[dict], dict]


def _set() -> Path:
    return Settings.from_environment().models / "labelled_set"


def _fresh(name: str) -> Path:
    out = Settings.from_environment().models / name / "challenger"
    shutil.rmtree(out, ignore_errors=True)
    return out


def _in_use(name: str) -> dict | None:
    from alerce_dagster.classifiers.light_curve_model import DEFAULT_MODEL
    from alerce_dagster.resources import champion_folder

    folder = champion_folder(Settings.from_environment(), name) or DEFAULT_MODEL.parent / name
    file = folder / "model.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _judged(name: str, description: dict, compare: Comparison, figures: Figures) -> dg.MaterializeResult:
    passed, why = compare(description, _in_use(name))
    card = card_in_one(Settings.from_environment().models / name / "challenger")
    check = dg.AssetCheckResult(
        check_name="beats_champion", passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata={"comparison": why}
    )
    metadata = {"model": description["model_hash"], "comparison": why, **figures(description)}
    return dg.MaterializeResult(metadata=metadata | {"card": dg.MetadataValue.md(card)}, check_results=[check])


def _promoted(
    context: dg.AssetExecutionContext, config: PromotionConfig, name: str, compare: Comparison, figures: Figures
) -> dg.MaterializeResult:
    challenger = Settings.from_environment().models / name / "challenger"
    description = json.loads((challenger / "model.json").read_text(encoding="utf-8"))
    is_better, why = compare(description, _in_use(name))
    if promoted := config.override or is_better:
        promote(name, description["model_hash"], context.run.run_id)
    return dg.MaterializeResult(
        metadata={"promoted": promoted, "overruled": config.override, "comparison": why, **figures(description)}
    )


def _classifier_figures(description: dict) -> dict:
    own = description["metrics"]["model"][description["decides"]]
    return {name: float(own[name]["mean"]) for name in ("accuracy", "macro_f1", "ece", "log_loss")}


def _outlier_figures(description: dict) -> dict:
    found = description["metrics"]["leave_one_class_out"]
    return {f"auroc_{name.replace('/', '_').replace('-', '_')}": float(v["score"]) for name, v in found.items()}
