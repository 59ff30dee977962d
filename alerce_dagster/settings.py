"""Where things live. Everything comes from the environment, read when it is asked for, never at import.

=====================  ==========================================  =======================================
Variable               Default                                     Meaning
=====================  ==========================================  =======================================
ALERCE_HOME            .alerce                                     the folder that holds all state
ALERCE_DATABASE_URL    sqlite:///$ALERCE_HOME/alerce.db            the broker's database (SQLAlchemy URL)
ALERCE_ARCHIVE_URL     $ALERCE_HOME/archive                        the archive (any fsspec URL)
ALERCE_ZTF_SOURCE      (none)                                      where a night's packets are, with strftime
                                                                   fields: /data/ztf_public_%Y%m%d.tar.gz
ALERCE_DAGSTER_URL     http://127.0.0.1:3000                       the Dagster UI, for links from the web's pages
ALERCE_WEB_TOKEN       (none)                                      what a person must know to write through the
                                                                   web
DAGSTER_HOME           $ALERCE_HOME/dagster                        Dagster's own state
=====================  ==========================================  =======================================
"""

import os
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from alerce_dagster.errors import store_errors


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


def source_template(survey: str) -> str | None:
    """The place of a night's packets for `survey`, with strftime fields, or None where none is set."""
    return os.environ.get(f"ALERCE_{survey.upper()}_SOURCE") or None


def dagster_url() -> str:
    """Where the Dagster UI is, for links to runs."""
    return (os.environ.get("ALERCE_DAGSTER_URL") or "http://127.0.0.1:3000").rstrip("/")


def web_token() -> str | None:
    """What a person must know to write through the web, or None where none is set."""
    return os.environ.get("ALERCE_WEB_TOKEN") or None


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
