"""Where things live. Everything comes from the environment, read when it is asked for, never at import.

=====================  ==========================================  =======================================
Variable               Default                                     Meaning
=====================  ==========================================  =======================================
ALERCE_HOME            .alerce                                     the folder that holds all state
ALERCE_DATABASE_URL    sqlite:///$ALERCE_HOME/alerce.db            the broker's database (SQLAlchemy URL)
ALERCE_ARCHIVE_URL     $ALERCE_HOME/archive                        the archive (any fsspec URL)
ALERCE_ZTF_SOURCE      (none)                                      where a night's packets are, with strftime
                                                                   fields: /data/ztf_public_%Y%m%d.tar.gz
ALERCE_CDS_XMATCH      (none)                                      catalogues to ask the CDS X-Match service for
                                                                   where they are not added here: allwise,gaia_dr3
ALERCE_CDS_URL         (the service's own)                         another address of that service
ALERCE_SESAME_URL      (the service's own)                         another address of the CDS name resolver
ALERCE_DAGSTER_URL     http://127.0.0.1:3000                       the Dagster UI, for links from the web's pages
ALERCE_WEB_TOKEN       (none)                                      what a person must know to write through the
                                                                   web
ALERCE_WEB_RATE        (none)                                      how often one client may ask each process of the
                                                                   web: 300/minute
ALERCE_SMTP_URL        (none)                                      mail server of the watch lists
ALERCE_MAIL_FROM       alerce@ and this machine's name             sender of their e-mails
ALERCE_DIGEST_...      (none)                                      where the digest of a night goes, see
                                                                   `alerce_dagster.reporting.digests`
ALERCE_WEB_URL         (none)                                      where the pages are, for links in messages
ALERCE_SKY_IMAGES      (none)                                      cds, or the URL of a service like hips2fits:
                                                                   images of the sky for finder charts
ALERCE_RELEASES        (none)                                      folder with the files of data releases, where the
                                                                   sensor and the schedule look for new ones
ALERCE_WEB_LOCAL       (none)                                      1 lets people on this machine write without it
DAGSTER_HOME           $ALERCE_HOME/dagster                        Dagster's own state
=====================  ==========================================  =======================================

The live stream, none of which need be set (how to be let in: `alerce_dagster.streams.cluster`):

=========================  =============================  ==============================================
ALERCE_ZTF_KAFKA           (none)                         brokers of the survey's stream: host:port,...
ALERCE_ZTF_TOPICS          ztf_%Y%m%d_programid1          its topics, with commas; strftime fields for
                                                          the night, * for anything
ALERCE_ZTF_SCHEMAS         (none)                         folder of NUMBER.avsc, or URL of a schema
                                                          registry, for messages that name their schema
ALERCE_ZTF_DEAD_LETTERS    (none)                         topic for messages that cannot be read, on the
                                                          brokers of ALERCE_STREAMS_KAFKA
ALERCE_STREAMS_KAFKA       (none)                         brokers to which results go
ALERCE_STREAMS_NAME        alerce                         this deployment's name as a publisher
ALERCE_LIVE_ALERTS         20000                          most alerts that a run is asked to read
ALERCE_LIVE_BACKLOG        600                            most seconds of work that it is asked to read,
                                                          at the pace of the last runs
ALERCE_LIVE_SECONDS       3600                            how long a run reads on while alerts come
ALERCE_LIVE_IDLE           30                             seconds without an alert after which it ends
ALERCE_LIVE_LINGER         2                              seconds to wait for more alerts, to a batch
=========================  =============================  ==============================================
"""

import os
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from alerce_dagster.errors import InputError, store_errors


@dataclass(frozen=True)
class Settings:
    """The places one deployment uses; see the module's table."""

    home: Path
    database_url: str
    archive_url: str
    dagster_home: Path

    @property
    def models(self) -> Path:
        """Folder of models trained here; the shipped ones are part of the package."""
        return self.home / "models"

    @property
    def catalogs(self) -> Path:
        """Folder of reference catalogues."""
        return self.home / "catalogs"

    @property
    def releases(self) -> Path:
        """Folder of the products made of data releases: RELEASE/FIELD/lightcurves, recalibrated, variability."""
        return self.home / "releases"

    @property
    def tns(self) -> Path:
        """Folder of the copy of TNS's public objects."""
        return self.home / "tns"

    @property
    def downloads(self) -> Path:
        """Folder of unfinished downloads."""
        return self.home / "downloads"

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment as it is now."""
        home = Path(os.environ.get("ALERCE_HOME", ".alerce")).expanduser().resolve()
        return cls(
            home=home,
            database_url=os.environ.get("ALERCE_DATABASE_URL") or f"sqlite:///{home / 'alerce.db'}",
            archive_url=os.environ.get("ALERCE_ARCHIVE_URL") or str(home / "archive"),
            dagster_home=Path(os.environ.get("DAGSTER_HOME") or home / "dagster").expanduser().resolve(),
        )


@dataclass(frozen=True)
class LiveSettings:
    """How a survey's stream is read; see the module's table."""

    topics: str
    dead_letters: str | None
    max_alerts: int
    max_backlog: float
    seconds: float
    idle: float
    linger: float

    @classmethod
    def from_environment(cls, survey: str) -> "LiveSettings":
        """Read the environment as it is now.

        Raises
        ------
        InputError
            When a number is not one.
        """
        prefix = f"ALERCE_{survey.upper()}"
        return cls(
            topics=os.environ.get(f"{prefix}_TOPICS") or f"{survey}_%Y%m%d_programid1",
            dead_letters=os.environ.get(f"{prefix}_DEAD_LETTERS") or None,
            max_alerts=int(_number("ALERCE_LIVE_ALERTS", 20_000)),
            max_backlog=_number("ALERCE_LIVE_BACKLOG", 600),
            seconds=_number("ALERCE_LIVE_SECONDS", 3600),
            idle=_number("ALERCE_LIVE_IDLE", 30),
            linger=_number("ALERCE_LIVE_LINGER", 2),
        )


def _number(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name} is {text!r}, not a number") from None


def publisher_name() -> str:
    """This deployment's name among the publishers of a cluster."""
    return os.environ.get("ALERCE_STREAMS_NAME") or "alerce"


def source_template(survey: str) -> str | None:
    """The place of a night's packets for `survey`, with strftime fields, or None where none is set."""
    return os.environ.get(f"ALERCE_{survey.upper()}_SOURCE") or None


def releases_source() -> Path | None:
    """Folder in which files of data releases arrive, or None where none is set."""
    folder = os.environ.get("ALERCE_RELEASES")
    return Path(folder).expanduser() if folder else None


def dagster_url() -> str:
    """Where the Dagster UI is, for links to runs."""
    return (os.environ.get("ALERCE_DAGSTER_URL") or "http://127.0.0.1:3000").rstrip("/")


def web_local_writes() -> bool:
    """Whether people on this machine may write through the web without the token, where none is set."""
    return os.environ.get("ALERCE_WEB_LOCAL") == "1"


def web_url() -> str | None:
    """Where the pages are, for links in messages, or None where none is set."""
    return os.environ.get("ALERCE_WEB_URL", "").rstrip("/") or None


def web_rate() -> str | None:
    """How often one client may ask the web, or None where there is no limit."""
    return os.environ.get("ALERCE_WEB_RATE") or None


def web_token() -> str | None:
    """What a person must know to write through the web, or None where none is set."""
    return os.environ.get("ALERCE_WEB_TOKEN") or None


def cds_catalogues() -> tuple[str, ...]:
    """Names of the catalogues that the CDS X-Match service is asked for; none unless the environment says so."""
    return tuple(name.strip() for name in os.environ.get("ALERCE_CDS_XMATCH", "").split(",") if name.strip())


def cds_url() -> str | None:
    """Another address of the CDS X-Match service than its own."""
    return os.environ.get("ALERCE_CDS_URL") or None


def sesame_url() -> str:
    """Where the CDS name resolver is."""
    return (os.environ.get("ALERCE_SESAME_URL") or "https://cds.unistra.fr/cgi-bin/nph-sesame").rstrip("/")


def prepare_dagster_home(settings: Settings) -> None:
    """Create DAGSTER_HOME with the project's dagster.yaml, unless one is there, and point the process at it.

    Raises
    ------
    StoreError
        When the folder cannot be made.
    """
    with store_errors(str(settings.dagster_home)):
        settings.dagster_home.mkdir(parents=True, exist_ok=True)
        target = settings.dagster_home / "dagster.yaml"
        if not target.exists():
            new = target.with_name(f"{target.name}.{os.getpid()}.part")
            with resources.as_file(resources.files("alerce_dagster") / "dagster.yaml") as shipped:
                shutil.copyfile(shipped, new)
            new.replace(target)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ["ALERCE_HOME"] = str(settings.home)
