"""The two stores: the archive (packets as they came, bulk tables) and the database (what queries need).

What a run reads and writes goes through `Stores`. No other room knows SQL or file names.
"""

from dataclasses import dataclass

from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database


@dataclass(frozen=True)
class Stores:
    """The database and the archive of one deployment."""

    database: Database
    archive: Archive
