"""A night of packets and the means to run it through all stages."""

import json
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa

from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.catalogs.in_use import InUse
from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.classifiers.outliers import OutlierModel
from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.reporting import candidate_rules
from alerce_dagster.stages import Night
from alerce_dagster.stages.alerts import Ingested, ingest
from alerce_dagster.stages.candidates import make_candidates
from alerce_dagster.stages.classifications import CLASSIFIER, make_classifications
from alerce_dagster.stages.combined import make_combined, rules_hash
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.features import make_features
from alerce_dagster.stages.hosts import make_hosts
from alerce_dagster.stages.identity import make_identity
from alerce_dagster.stages.lightcurve_classifications import make_lightcurve_classifications
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.outliers import make_outliers
from alerce_dagster.stages.places import read_places
from alerce_dagster.stages.stamps import make_stamps
from alerce_dagster.stages.watch import make_watch_matches
from alerce_dagster.stages.xmatches import make_xmatches
from alerce_dagster.storage import Stores, tables
from alerce_dagster.surveys import get_survey
from tests.zpackets import NIGHT

PRODUCTS = (
    tables.alert,
    tables.detection,
    tables.non_detection,
    tables.forced_photometry,
    tables.object_,
    tables.magstat,
    tables.xmatch,
    tables.xmatch_state,
    tables.host,
    tables.broker_object,
    tables.broker_member,
    tables.watch_match,
    tables.feature,
    tables.classification,
    tables.object_class,
    tables.light_curve_input,
    tables.candidate,
    tables.outlier,
)
# What says when and by whom a row was made, not what it says.
BOOKKEEPING = {"run_id", "batch_id", "file_row", "finished_at", "created_at"}


@pytest.fixture(scope="session")
def classifier() -> StampClassifier:
    return StampClassifier.load(threads=1)


@cache
def light_curve_classifier() -> LightCurveClassifier:
    return LightCurveClassifier.load()


@cache
def outlier_model() -> OutlierModel:
    return OutlierModel.load()


def night_of(stores: Stores, run_id: str = "run", night: str = NIGHT) -> Night:
    return Night(stores, get_survey("ztf"), date.fromisoformat(night), run_id)


NO_CATALOGUES = InUse({}, {}, {})


def run_night(
    night: Night, places: list[Path], classifier: StampClassifier, catalogues: InUse = NO_CATALOGUES
) -> Ingested:
    """All stages, as the assets run them."""
    ingested = ingest(night, read_places(map(str, places)))
    make_stamps(night)
    make_detections(night)
    make_objects(night)
    make_xmatches(night, catalogues)
    make_hosts(night, GalaxyCatalogues.among(catalogues.local))
    make_features(night)
    make_classifications(night, classifier)
    make_lightcurve_classifications(night, light_curve_classifier())
    make_combined(night, classifier.model_hash, light_curve_classifier())
    answers = rules_hash(classifier.model_hash, light_curve_classifier().model_hash)
    make_candidates(night, candidate_rules.load(), answers)
    make_outliers(night, outlier_model())
    make_identity(night)
    make_watch_matches(night)
    return ingested


def contents(stores: Stores) -> dict[str, list[tuple]]:
    """Every product row, by table, in key order, without the bookkeeping.

    Of what was said of a whole object only the newest: what was said before depends on when its alerts came.
    """
    answer = tables.classification
    later = answer.alias()
    same = (later.c.survey == answer.c.survey, later.c.oid == answer.c.oid, later.c.classifier == answer.c.classifier)
    newest = ~sa.exists().where(*same, later.c.candid > answer.c.candid)
    counted = {answer.name: (answer.c.classifier == CLASSIFIER) | newest}
    with stores.database.reading() as connection:
        return {
            table.name: [
                tuple(_comparable(value) for value in row)
                for row in connection.execute(
                    sa.select(*[c for c in table.columns if c.name not in BOOKKEEPING])
                    .where(counted.get(table.name, sa.true()))
                    .order_by(*table.primary_key)
                )
            ]
            for table in PRODUCTS
        }


def _comparable(value: object) -> object:
    """JSON as text, whatever its order in the database, and without the run that made a part of it."""
    if not isinstance(value, dict | list):
        return value
    return json.dumps(_without_runs(value), sort_keys=True)


def _without_runs(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_runs(part) for key, part in value.items() if key != "run"}
    return [_without_runs(part) for part in value] if isinstance(value, list) else value


@pytest.fixture
def counted(stores: Stores) -> Callable[[sa.Table], int]:
    """Number of rows of a table."""

    def count(table: sa.Table) -> int:
        with stores.database.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0

    return count
