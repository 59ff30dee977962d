"""From a night's objects to reports: candidates by the rules, what TNS knows of them, reports that people approve.

Thin: each asset runs its stage (`alerce_dagster.stages`); what it shows is in `candidates_report`.
"""

from collections.abc import Callable

import dagster as dg

from alerce_dagster.assets.steps import explained, night_of
from alerce_dagster.resources import ModelsResource, StoresResource, TnsResource
from alerce_dagster.stages import Progress

# They are made by a schedule that who has no account at TNS never turns on: a day without them is no alarm.
_UNHURRIED: dict[str, None] = {"freshness_policy": None}


def candidate_assets(name: str, options: Callable[[str, str, set[str]], dict]) -> list[dg.AssetsDefinition]:
    """The assets of the survey called `name`; `options` gives what all of its assets share."""

    @dg.asset(
        **options(
            "candidates",
            "Objects worth a person's look as supernovae, by the rules in use, with score and reasons.",
            {"python", "sql"},
        ),
        deps=[dg.AssetKey([name, "combined"])],
    )
    def candidates(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        models: ModelsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import candidates_report
        from alerce_dagster.reporting import candidate_rules
        from alerce_dagster.stages.candidates import make_candidates, version
        from alerce_dagster.stages.combined import rules_hash

        night = night_of(context, name, stores, progress)
        with explained():
            rules = candidate_rules.load()
            answers = rules_hash(models.stamp_classifier().model_hash, models.light_curve_classifier().model_hash)
            entry = make_candidates(night, rules, answers)
            return candidates_report.candidates(night, rules, version(rules, answers), entry)

    @dg.asset(
        **options(
            "tns_matches",
            "What the Transient Name Server has at the place, or under the name, of the night's objects.",
            {"numba", "sql"},
        )
        | _UNHURRIED,
        deps=[dg.AssetKey([name, "objects"])],
    )
    def tns_matches(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        tns: TnsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import candidates_report
        from alerce_dagster.stages.tns_matches import make_tns_matches

        night = night_of(context, name, stores, progress)
        with explained():
            fault = tns.refresh()
            copy = tns.public_copy()
            return candidates_report.tns_matches(night, copy, tns.copied_at(), fault, make_tns_matches(night, copy))

    @dg.asset(
        **options(
            "tns_reports",
            "Reports to the Transient Name Server: the night's candidates proposed, approved ones sent and answered.",
            {"python", "sql"},
        )
        | _UNHURRIED,
        deps=[candidates, tns_matches],
    )
    def tns_reports(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        tns: TnsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import candidates_report
        from alerce_dagster.stages.tns_reports import propose, take_decisions

        night = night_of(context, name, stores, progress)
        with explained():
            target = tns.target()
            became = propose(night.stores, name, night.night, target, night.run_id)
            decided = take_decisions(night.stores, name, target)
            did = tns.send(night.stores, night.run_id)
            return candidates_report.tns_reports(night, target, became, decided, did)

    return [candidates, tns_matches, tns_reports]
