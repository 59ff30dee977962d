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
    """Read the configured offsets and, while following, do every stage after each portion."""
    settings = LiveSettings.from_environment(night.survey.name)
    spans = [Span(r.topic, r.partition, r.start, r.end) for r in config.offsets]
    then = _stages(streams, models, catalogs) if config.follow_seconds else []
    pace = Pace(
        messages=alerts.PACKETS_PER_BATCH,
        n_bytes=alerts.BYTES_PER_BATCH,
        linger=settings.linger,
        follow=config.follow_seconds,
        idle=settings.idle,
    )
    with Reader(streams.cluster(night.survey.name), spans, pace) as reader:
        schemas = Schemas.from_environment(night.survey.name)
        return take_stream(night, reader.portions(), schemas, settings.dead_letters, then)


def _stages(streams: StreamsResource, models: ModelsResource, catalogs: CatalogsResource) -> list[Stage]:
    """Everything behind the alerts, in order; a stage does what the ledger says is left."""
    from alerce_dagster.stages.classifications import make_classifications
    from alerce_dagster.stages.detections import make_detections
    from alerce_dagster.stages.objects import make_objects
    from alerce_dagster.stages.stamps import make_stamps
    from alerce_dagster.stages.xmatches import make_xmatches

    stages: list[Stage] = [make_stamps, make_detections, make_objects]
    stages.append(partial(make_xmatches, catalogues=catalogs.open()))
    stages.append(partial(make_classifications, classifier=models.stamp_classifier()))
    if outlet := streams.outlet():
        # Alerts are taken in whether or not results can go out; what waits goes out later, or the asset `streams` says.
        stages.append(lambda night: outlet.publish_if_it_answers(night.stores))
    return stages
