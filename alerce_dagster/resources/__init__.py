"""With what the assets work: resources that build plain objects, so that no stage sees Dagster.

Keep computing out of this room; it only says where things are and opens them.
"""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from alerce_dagster.errors import StoreError, StreamError
from alerce_dagster.settings import Settings, cds_catalogues, cds_url, publisher_name
from alerce_dagster.storage import Stores, schema
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database


def open_stores(settings: Settings) -> Stores:
    """The deployment's stores, with an up-to-date schema and a writable archive.

    Raises
    ------
    StoreError
        When either cannot be used, saying what to do.
    """
    stores = Stores(open_database(settings), Archive(settings.archive_url))
    stores.archive.check_writable()
    return stores


def open_database(settings: Settings) -> Database:
    """The deployment's database, with an up-to-date schema; errors as for `open_stores`."""
    database = _database(settings.database_url)
    schema.require(database)
    return database


@lru_cache(maxsize=4)
def _database(url: str) -> Database:
    """One engine per URL and process: its connections stay warm from run to run."""
    return Database(url)


@lru_cache(maxsize=2)
def _stamp_classifier(folder: Path | None):
    from alerce_dagster.classifiers.stamps import StampClassifier

    try:
        return StampClassifier.load(folder)
    except (ValueError, OSError) as error:
        raise StoreError(f"{error}; remove that folder, and the shipped model is used") from error


@lru_cache(maxsize=2)
def _light_curve_classifier(folder: Path | None):
    from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier

    try:
        return LightCurveClassifier.load(folder)
    except (ValueError, OSError) as error:
        raise StoreError(f"{error}; remove that folder, and the shipped model is used") from error


@lru_cache(maxsize=2)
def _outlier_model(folder: Path | None):
    from alerce_dagster.classifiers.outliers import OutlierModel

    try:
        return OutlierModel.load(folder)
    except (ValueError, OSError) as error:
        raise StoreError(f"{error}; remove that folder, and the shipped model is used") from error


class StoresResource(dg.ConfigurableResource):
    """The database and the archive that the environment names (`alerce_dagster.settings`)."""

    _alone: dict[str, ExitStack] = PrivateAttr(default_factory=dict)

    def open(self, night: str) -> Stores:
        """Open them; an empty database gets its tables.

        From the first step to the end of the run no other run works on the same night, however it was started: a
        stage relies on the ones before it being done with every batch.
        """
        stores = open_stores(Settings.from_environment())
        if night not in self._alone:
            self._alone[night] = ExitStack()
            self._alone[night].enter_context(stores.database.alone(night))
        return stores

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Let the next run in."""
        while self._alone:
            self._alone.popitem()[1].close()


class StreamsResource(dg.ConfigurableResource):
    """Kafka in and out, as the environment names it (`alerce_dagster.settings`, `alerce_dagster.streams.cluster`)."""

    _outlet: Any = PrivateAttr(default=None)

    def cluster(self, survey: str):
        """The survey's cluster.

        Raises
        ------
        StreamError
            When the environment names none.
        """
        from alerce_dagster.streams.cluster import Cluster

        name = f"ALERCE_{survey.upper()}_KAFKA"
        found = Cluster.from_environment(name)
        if found is None:
            raise StreamError(f"there are offsets to read and {name} is not set; set it to the stream's brokers")
        return found

    def outlet(self):
        """Where results go, the same for all steps of a run; None where ALERCE_STREAMS_KAFKA is not set.

        Raises
        ------
        StreamError
            When the environment contradicts itself.
        """
        from alerce_dagster.stages.streams import Outlet
        from alerce_dagster.streams.cluster import Cluster

        if self._outlet is None:
            cluster = Cluster.from_environment("ALERCE_STREAMS_KAFKA")
            self._outlet = Outlet(cluster, publisher_name()) if cluster else None
        return self._outlet


class ModelsResource(dg.ConfigurableResource):
    """The models in use: the promoted ones under ALERCE_HOME, else those shipped with the package."""

    def stamp_classifier(self):
        """The stamp classifier, loaded once per process and promotion."""
        champion = champion_folder(Settings.from_environment(), "stamp_classifier")
        # The link is resolved, so that a newly promoted model is another key of the cache.
        return _stamp_classifier(champion.resolve() if champion else None)

    def outlier_model(self):
        """The outlier detectors, likewise."""
        champion = champion_folder(Settings.from_environment(), "outlier_model")
        return _outlier_model(champion.resolve() if champion else None)

    def light_curve_classifier(self):
        """The light-curve classifier, likewise."""
        champion = champion_folder(Settings.from_environment(), "light_curve_classifier")
        return _light_curve_classifier(champion.resolve() if champion else None)


class CatalogsResource(dg.ConfigurableResource):
    """The reference catalogues under ALERCE_HOME, and those that ALERCE_CDS_XMATCH asks the CDS service for."""

    def open(self):
        """All of them, in the snapshots in use; they are mapped into memory, which costs nothing."""
        from alerce_dagster.catalogs.in_use import open_in_use
        from alerce_dagster.catalogs.library import Library

        return open_in_use(Library(Settings.from_environment().catalogs), cds_catalogues(), cds_url())


class TnsResource(dg.ConfigurableResource):
    """The Transient Name Server, as the environment names it (`alerce_dagster.reporting.tns`), and the local copy."""

    def target(self) -> str:
        """`sandbox` or `production`."""
        from alerce_dagster.reporting.tns import target_of_environment

        return target_of_environment()

    def refresh(self) -> str | None:
        """Fetch the public objects where the copy is older than an hour; returns why not, when it could not be.

        A night is matched with an old copy rather than not at all; how old it is, a check says.
        """
        from alerce_dagster.errors import AlerceError
        from alerce_dagster.reporting.tns import Account, Client
        from alerce_dagster.stages.tns_matches import refresh

        copied_at = self.copied_at()
        if copied_at is not None and datetime.now(UTC) - copied_at < timedelta(hours=1):
            return None
        try:
            refresh(Client(Account.from_environment()), Settings.from_environment().tns)
        except AlerceError as error:
            return str(error)
        return None

    def public_copy(self):
        """The copy of TNS's public objects in use, or None."""
        from alerce_dagster.reporting.tns_objects import in_use

        return in_use(Settings.from_environment().tns)

    def copied_at(self) -> datetime | None:
        """When that copy was made."""
        from alerce_dagster.reporting.tns_objects import FILE

        file = Settings.from_environment().tns / FILE
        return datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else None

    def send(self, stores: Stores, who: str):
        """A round at TNS: counts by what became of reports, or in words why nothing was sent.

        Raises
        ------
        TnsError, InputError
            When TNS cannot be asked, or the environment does not say who reports.
        """
        from alerce_dagster.reporting.tns import Account, Client, may_send, reporter_of_environment
        from alerce_dagster.stages.tns_sending import send_reports

        if not may_send():
            return "dry run: ALERCE_TNS_SEND is not 1, nothing was sent"
        return send_reports(stores, Client(Account.from_environment()), reporter_of_environment(), who)


def champion_folder(settings: Settings, name: str) -> Path | None:
    """Folder of the promoted model, or None while the shipped one is in use."""
    folder = settings.models / name / "champion"
    return folder if (folder / "model.json").exists() else None
