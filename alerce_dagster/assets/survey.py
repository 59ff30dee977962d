"""The products of one survey's night, the same for every survey, from its alerts to what is published of them.

Thin: each asset runs its stage (`alerce_dagster.stages`) and says in metadata and checks what came of it.
"""

import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
from pydantic import Field

from alerce_dagster.assets import checks
from alerce_dagster.assets.answers import answer_assets
from alerce_dagster.assets.candidates import candidate_assets
from alerce_dagster.assets.partitions import nights
from alerce_dagster.assets.sky import sky_assets
from alerce_dagster.assets.steps import explained as _explained
from alerce_dagster.assets.steps import night_of as _night
from alerce_dagster.resources import CatalogsResource, ModelsResource, StoresResource, StreamsResource
from alerce_dagster.settings import Settings, source_template
from alerce_dagster.stages import Progress

OWNERS = ["team:alerce"]
# Flaky places (a network, a busy database) get another chance; a fault that a person must mend does not.
RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


class OffsetRange(dg.Config):
    """Messages of one partition of a Kafka topic, from `start` up to, but not including, `end`."""

    topic: str
    partition: int
    start: int
    end: int


class AlertsConfig(dg.Config):
    """What to read into the night."""

    sources: list[str] = Field(default_factory=list)
    """Packet files, folders, nightly archives, http(s) URLs of them, or @FILE with one of these per line. Empty: the
    place that ALERCE_<SURVEY>_SOURCE names, if set; else nothing is read and the night is re-made from the archive."""

    again: list[str] = Field(default_factory=list)
    """Sources that span several nights and that an earlier night's run has read: what cannot be read in them has been
    set aside then and is passed over."""

    offsets: list[OffsetRange] = Field(default_factory=list)
    """What to read of the survey's Kafka topics. Those that the ledger has already are passed over."""

    follow_seconds: float = 0
    """How long to read on behind these offsets, as long as alerts keep coming. Each portion then goes through all
    stages at once, within this asset's step, and the assets behind it sum up."""


def survey_assets(name: str) -> list[dg.AssetsDefinition]:
    """The assets of the survey called `name`, their keys prefixed by it."""

    def options(asset: str, description: str, kinds: set[str]) -> dict:
        return {
            "name": asset,
            "key_prefix": name,
            "group_name": name,
            "partitions_def": nights,
            "description": description,
            "kinds": kinds,
            "owners": OWNERS,
            "pool": f"{name}_writer",
            "retry_policy": RETRIES,
            "check_specs": checks.specs(name, asset),
            "freshness_policy": _freshness(name),
        }

    @dg.asset(
        **options(
            "alerts",
            "Alert packets of the night: archived verbatim, parsed, each accounted for.",
            {"python", "parquet"},
        )
    )
    def alerts(
        context: dg.AssetExecutionContext,
        config: AlertsConfig,
        stores: StoresResource,
        models: ModelsResource,
        catalogs: CatalogsResource,
        streams: StreamsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import live, report
        from alerce_dagster.stages.alerts import ingest
        from alerce_dagster.stages.places import read_places

        night = _night(context, name, stores, progress)

        def packets(places: list[str]) -> Iterator:
            downloads = Settings.from_environment().downloads
            return read_places(_listed(places), downloads, lambda n: night.progress("alerts", n, None))

        if config.offsets:
            with _explained():
                return report.alerts(night, live.take(night, config, streams, models, catalogs), streamed=True)
        configured = config.sources or ([] if config.again else _own_source(name, night.night))
        with _explained():
            ingested = ingest(night, packets(configured), packets(config.again))
            return report.alerts(night, ingested)

    @dg.asset(
        **options(
            "stamps",
            "Science, template and difference cutouts of every alert, unpacked and cropped.",
            {"python", "parquet"},
        ),
        deps=[alerts],
    )
    def stamps(
        context: dg.AssetExecutionContext, stores: StoresResource, progress: dg.ResourceParam[Progress]
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import report
        from alerce_dagster.stages.stamps import make_stamps

        night = _night(context, name, stores, progress)
        with _explained():
            return report.stamps(night, make_stamps(night))

    @dg.asset(
        **options(
            "detections",
            "Detections, upper limits and forced photometry, with corrected magnitudes.",
            {"python", "sql"},
        ),
        deps=[alerts],
    )
    def detections(
        context: dg.AssetExecutionContext, stores: StoresResource, progress: dg.ResourceParam[Progress]
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import report
        from alerce_dagster.stages.detections import make_detections

        night = _night(context, name, stores, progress)
        with _explained():
            return report.detections(night, make_detections(night))

    @dg.asset(
        **options(
            "objects",
            "Position, magnitude statistics and flags of every object with an alert in the night.",
            {"python", "sql"},
        ),
        deps=[detections],
    )
    def objects(
        context: dg.AssetExecutionContext, stores: StoresResource, progress: dg.ResourceParam[Progress]
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import report
        from alerce_dagster.stages.objects import make_objects

        night = _night(context, name, stores, progress)
        with _explained():
            return report.objects(night, make_objects(night))

    @dg.asset(
        **options(
            "features",
            "209 variability features of every object with enough detections.",
            {"numba", "sql"},
        ),
        deps=[objects, dg.AssetKey([name, "xmatches"])],
    )
    def features(
        context: dg.AssetExecutionContext, stores: StoresResource, progress: dg.ResourceParam[Progress]
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import report
        from alerce_dagster.stages.features import make_features

        night = _night(context, name, stores, progress)
        with _explained():
            return report.features(night, make_features(night))

    @dg.asset(
        **options(
            "classifications",
            "Calibrated class probabilities of every alert's cutouts, and of its object.",
            {"onnx", "sql"},
        ),
        deps=[stamps, objects],
    )
    def classifications(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        models: ModelsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import report
        from alerce_dagster.stages.classifications import make_classifications

        night = _night(context, name, stores, progress)
        with _explained():
            classifier = models.stamp_classifier()
            return report.classifications(night, classifier, make_classifications(night, classifier))

    @dg.asset(
        **options(
            "streams",
            "What was published of the night: results on Kafka topics, each exactly once.",
            {"kafka", "avro"},
        ),
        deps=[classifications, dg.AssetKey([name, "watch_matches"])],
    )
    def streams_(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        streams: StreamsResource,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        from alerce_dagster.assets import report

        night = _night(context, name, stores, progress)
        with _explained():
            outlet = streams.outlet()
            n_sent = outlet.publish(night.stores) if outlet else 0
            return report.streams(night, n_sent, enabled=outlet is not None)

    packets = [alerts, stamps, detections, objects, features, classifications, streams_]
    return [*packets, *sky_assets(name, options), *answer_assets(name, options), *candidate_assets(name, options)]


def _freshness(survey: str) -> dg.FreshnessPolicy | None:
    """Where there is a stream, a day without any run is odd and two are an alarm; a night may be clouded out."""
    if not os.environ.get(f"ALERCE_{survey.upper()}_KAFKA"):
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=26))


def _own_source(survey: str, night: date) -> list[str]:
    """The survey's own place of the night's packets, where the environment names one."""
    template = source_template(survey)
    return [night.strftime(template)] if template else []


def _listed(places: list[str]) -> Iterator[str]:
    """The places, with `@FILE` lists opened."""
    for place in places:
        if place.startswith("@"):
            yield from Path(place[1:]).read_text(encoding="utf-8").splitlines()
        else:
            yield place
