"""What a survey's night says of its objects beyond their cutouts: light-curve classes, one posterior, outliers.

Thin: each asset runs its stage (`alerce_dagster.stages`); what it shows is in `answers_report`.
"""

from collections.abc import Callable

import dagster as dg

from alerce_dagster.assets.steps import explained, night_of
from alerce_dagster.resources import ModelsResource, StoresResource
from alerce_dagster.stages import Progress


def answer_assets(name: str, options: Callable[[str, str, set[str]], dict]) -> list[dg.AssetsDefinition]:
    """The assets of the survey called `name`; `options` gives what all of its assets share."""

    @dg.asset(
        **options(
            "lightcurve_classifications",
            "Calibrated class probabilities and prediction set of every object's light curve, or why there are none.",
            {"python", "sql"},
        ),
        deps=[dg.AssetKey([name, "objects"])],
    )
    def lightcurve_classifications(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        models: ModelsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import answers_report
        from alerce_dagster.stages.drift import findings, record, summarise
        from alerce_dagster.stages.lightcurve_classifications import make_lightcurve_classifications

        night = night_of(context, name, stores, progress)
        with explained():
            classifier = models.light_curve_classifier()
            entry = make_lightcurve_classifications(night, classifier)
            if entry.n_in:  # a stream's inputs are counted when its night is over, with `nights`
                summarise(night, classifier)
            found = findings(night, classifier)
            record(night, found)
            return answers_report.lightcurve_classifications(night, classifier, entry, found)

    @dg.asset(
        **options(
            "combined",
            "One posterior per object of cutouts, light curve, cross-matches and host, with what each part adds.",
            {"python", "sql"},
        ),
        deps=[
            lightcurve_classifications,
            *(dg.AssetKey([name, other]) for other in ("classifications", "xmatches", "hosts")),
        ],
    )
    def combined(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        models: ModelsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import answers_report
        from alerce_dagster.stages.combined import make_combined, rules_hash

        night = night_of(context, name, stores, progress)
        with explained():
            stamp, light_curves = models.stamp_classifier().model_hash, models.light_curve_classifier()
            entry = make_combined(night, stamp, light_curves)
            return answers_report.combined(night, rules_hash(stamp, light_curves.model_hash), entry)

    @dg.asset(
        **options(
            "outliers",
            "How unlike the labelled objects of its class each object's light curve is; the oddest of the night.",
            {"python", "sql"},
        ),
        deps=[lightcurve_classifications],
    )
    def outliers(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        models: ModelsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import answers_report
        from alerce_dagster.stages.outliers import make_outliers

        night = night_of(context, name, stores, progress)
        with explained():
            model = models.outlier_model()
            return answers_report.outliers(night, model.model_hash, make_outliers(night, model))

    return [lightcurve_classifications, combined, outliers]
