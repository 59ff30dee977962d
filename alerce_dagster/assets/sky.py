"""What lies where on the sky: matches with catalogues, hosts, identity across surveys, watch lists.

Thin: each asset runs its stage (`alerce_dagster.stages`); what it shows is in `sky_report`.
"""

from collections.abc import Callable

import dagster as dg

from alerce_dagster.assets.steps import explained, night_of
from alerce_dagster.resources import CatalogsResource, StoresResource
from alerce_dagster.stages import Progress


def sky_assets(name: str, options: Callable[[str, str, set[str]], dict]) -> list[dg.AssetsDefinition]:
    """The assets of the survey called `name`; `options` gives what all of its assets share."""

    @dg.asset(
        **options(
            "xmatches",
            "What every reference catalogue has at the place of each object: matches, misses, and what is not covered.",
            {"numba", "sql"},
        ),
        deps=[dg.AssetKey([name, "objects"])],
    )
    def xmatches(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        catalogs: CatalogsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import sky_report
        from alerce_dagster.stages.xmatches import make_xmatches

        night = night_of(context, name, stores, progress)
        with explained():
            catalogues = catalogs.open()
            return sky_report.xmatches(night, catalogues, make_xmatches(night, catalogues))

    @dg.asset(
        **options(
            "hosts",
            "The most probable host galaxy of each object, if it is a transient outside the Galaxy, and its distance.",
            {"numba", "sql"},
        ),
        deps=[dg.AssetKey([name, "objects"])],
    )
    def hosts(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        catalogs: CatalogsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import sky_report
        from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
        from alerce_dagster.stages.hosts import make_hosts

        night = night_of(context, name, stores, progress)
        with explained():
            galaxies = GalaxyCatalogues.among(catalogs.open().local)
            return sky_report.hosts(night, galaxies, make_hosts(night, galaxies))

    @dg.asset(
        **options(
            "identity",
            "The broker object of each object: what this survey and others see as one thing on the sky.",
            {"python", "sql"},
        ),
        deps=[dg.AssetKey([name, "objects"]), dg.AssetKey([name, "classifications"])],
    )
    def identity(
        context: dg.AssetExecutionContext, stores: StoresResource, progress: dg.ResourceParam[Progress]
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import sky_report
        from alerce_dagster.stages.identity import make_identity

        night = night_of(context, name, stores, progress)
        with explained():
            return sky_report.identity(night, make_identity(night))

    @dg.asset(
        **options(
            "watch_matches",
            "Alerts that somebody's watch list or sky region asks for, and the messages about them.",
            {"numba", "sql"},
        ),
        deps=[dg.AssetKey([name, "classifications"])],
    )
    def watch_matches(
        context: dg.AssetExecutionContext, stores: StoresResource, progress: dg.ResourceParam[Progress]
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import sky_report
        from alerce_dagster.stages.watch import deliver, make_watch_matches

        night = night_of(context, name, stores, progress)
        with explained():
            entry = make_watch_matches(night)
            return sky_report.watch_matches(night, entry, deliver(night.stores.database))

    return [xmatches, hosts, identity, watch_matches]
