"""What is known of one snapshot of a catalogue, kept beside its data as `catalogue.json`."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from alerce_dagster.errors import StoreError

FILE = "catalogue.json"


@dataclass(frozen=True)
class Card:
    """One snapshot. The fields up to `columns` take part in its hash: they change what a match gives."""

    name: str
    snapshot: str
    n_rows: int
    epochs: tuple[float, float] | tuple[()]
    """First and last Julian year of the positions that move; empty when none does."""
    default_error: float
    """1-sigma position error per axis in arcsec of a row that has none."""
    radius: float
    """Default radius in arcsec."""
    slow_motion: float
    """Largest proper motion (mas/yr) in the main index; 0 when nothing moves."""
    fast_motion: float
    """Largest proper motion (mas/yr) in the index of fast movers; 0 when there is none."""
    columns: dict[str, str] = field(default_factory=dict)
    """Columns kept beside each match, with their units."""
    recipe: str = ""
    title: str = ""
    page: str = ""
    citation: str = ""
    sources: list[str] = field(default_factory=list)
    n_aside: int = 0
    """Rows of the source without a position on the sky."""
    sky_fraction: float = 0.0
    n_bytes: int = 0
    created_at: str = ""

    def write(self, folder: Path) -> None:
        """Write it into the snapshot's folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_card(folder: Path) -> Card:
    """The card of a snapshot's folder.

    Raises
    ------
    StoreError
        When it is missing or cannot be read.
    """
    try:
        known = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Card(**known | {"epochs": tuple(known["epochs"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"the catalogue in {folder} cannot be used ({type(error).__name__}: {error}); remove it and add it again"
        ) from error
