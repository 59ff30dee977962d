"""A run of the live stream, as the asset `alerts` makes it when it is given offsets."""

from functools import partial
from typing import TYPE_CHECKING

from alerce_dagster.resources import CatalogsResource, ModelsResource, StreamsResource
from alerce_dagster.settings import LiveSettings
from alerce_dagster.stages import Night, alerts
from alerce_dagster.stages.alerts import Ingested
from alerce_dagster.stages.live import Stage, take_stream
from alerce_dagster.streams.reading import Pace, Reader
from alerce_dagster.streams.spans import Span
from alerce_dagster.streams.wire import Schemas

if TYPE_CHECKING:
    from alerce_dagster.assets.survey import AlertsConfig


def take(
    night: Night,
    config: "AlertsConfig",
    streams: StreamsResource,
    models: ModelsResource,
    catalogs: CatalogsResource,
) -> Ingested:
    """Read the configured offsets and, while following, do every stage for each portion."""
    settings = LiveSettings.from_environment(night.survey.name)
    spans = [Span(r.topic, r.partition, r.start, r.end) for r in config.offsets]
    follows = config.follow_seconds > 0
    lines = [*_answered(streams, models), _followed(streams, models, catalogs)] if follows else []
    pace = Pace(
        messages=alerts.PACKETS_PER_BATCH,
        n_bytes=alerts.BYTES_PER_BATCH,
        linger=settings.linger,
        follow=config.follow_seconds,
        idle=settings.idle,
    )
    with Reader(streams.cluster(night.survey.name), spans, pace) as reader:
        schemas = Schemas.from_environment(night.survey.name)
        return take_stream(night, reader.portions(), schemas, settings.dead_letters, lines)


def _answered(streams: StreamsResource, models: ModelsResource) -> list[dict[str, Stage]]:
    """What is done until the answer of the cutouts is out, in three lines that take about as long as each other."""
    from alerce_dagster.stages.classifications import make_classifications
    from alerce_dagster.stages.detections import make_detections
    from alerce_dagster.stages.objects import make_objects
    from alerce_dagster.stages.stamps import make_stamps

    classify = partial(make_classifications, classifier=models.stamp_classifier())
    return [
        {"detections": make_detections},
        {"stamps": make_stamps, "objects": make_objects},
        {"classifications": classify, **_publishing(streams, "publishing")},
    ]


def _followed(streams: StreamsResource, models: ModelsResource, catalogs: CatalogsResource) -> dict[str, Stage]:
    """What comes after that, in an order in which the answers that people wait for come first."""
    from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
    from alerce_dagster.reporting import candidate_rules
    from alerce_dagster.stages.candidates import make_candidates
    from alerce_dagster.stages.combined import make_combined, rules_hash
    from alerce_dagster.stages.features import make_features
    from alerce_dagster.stages.hosts import make_hosts
    from alerce_dagster.stages.identity import make_identity
    from alerce_dagster.stages.lightcurve_classifications import make_lightcurve_classifications
    from alerce_dagster.stages.outliers import make_outliers
    from alerce_dagster.stages.watch import deliver, make_watch_matches
    from alerce_dagster.stages.xmatches import make_xmatches

    catalogues = catalogs.open()
    stamps, light_curves = models.stamp_classifier(), models.light_curve_classifier()
    answers = rules_hash(stamps.model_hash, light_curves.model_hash)
    return {
        "xmatches": partial(make_xmatches, catalogues=catalogues),
        "hosts": partial(make_hosts, galaxies=GalaxyCatalogues.among(catalogues.local)),
        "lightcurve_classifications": partial(make_lightcurve_classifications, classifier=light_curves),
        "combined": partial(make_combined, stamp_hash=stamps.model_hash, light_curves=light_curves),
        "candidates": partial(make_candidates, rules=candidate_rules.load(), answers=answers),
        **_publishing(streams, "publishing behind"),
        "features": make_features,
        "outliers": partial(make_outliers, model=models.outlier_model()),
        "identity": make_identity,
        "watch_matches": make_watch_matches,
        **_publishing(streams, "publishing watch matches"),
        "delivery": lambda night: deliver(night.stores.database),
    }


def _publishing(streams: StreamsResource, name: str) -> dict[str, Stage]:
    """Alerts are taken in whether or not results can go out; what waits goes out later, or the asset `streams` says."""
    outlet = streams.outlet()
    return {name: lambda night: outlet.publish_if_it_answers(night.stores)} if outlet else {}
