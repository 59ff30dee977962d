"""The folder of all catalogues: adding, listing, choosing the snapshot in use, removing.

NAME/SNAPSHOT/     one snapshot, whole (it is built under another name and renamed)
NAME/current       the snapshot in use
"""

import fcntl
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alerce_dagster.catalogs.build import MAX_ROWS, Progress, build
from alerce_dagster.catalogs.card import Card, read_card
from alerce_dagster.catalogs.catalogue import Catalogue, open_catalogue
from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import Source
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.errors import InputError, StoreError, store_errors

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
_BUILDING = ".building-"
_CURRENT = "current"


@dataclass(frozen=True)
class Library:
    """The catalogues below one folder."""

    folder: Path

    def add(
        self, name: str, source: Source, wanted: Wanted, recipe: Recipe, progress: Progress = lambda *_: None,
        max_rows: int = MAX_ROWS,
    ) -> tuple[Card, bool]:  # fmt: skip
        """Build a snapshot and put it into use; returns its card, and whether it is a new one.

        Until it is whole the one before stays in use. Older snapshots stay on disk until they are removed.

        Raises
        ------
        InputError
            When the name or the source is not good.
        StoreError
            When the folder cannot be written to; nothing is left behind.
        """
        if not _NAME.match(name):
            raise InputError(f"a catalogue's name holds letters, digits, _ . and -, and {name!r} does not fit")
        place = self.folder / name
        with store_errors(str(place)):
            place.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            for left in place.glob(f"{_BUILDING}*"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            half = place / f"{_BUILDING}{uuid.uuid4().hex[:8]}"
            try:
                with store_errors(str(place)):
                    card = build(half, name, source, wanted, recipe, progress, max_rows)
                    is_new = not (place / card.snapshot).exists()
                    if is_new:
                        half.rename(place / card.snapshot)
                    _point(place, card.snapshot)
            finally:
                shutil.rmtree(half, ignore_errors=True)
                if not any(place.glob("*/catalogue.json")):
                    shutil.rmtree(place, ignore_errors=True)
        return card, is_new

    def names(self) -> list[str]:
        """Names of the catalogues that can be matched."""
        return sorted(file.parent.name for file in self.folder.glob(f"*/{_CURRENT}"))

    def cards(self, name: str) -> list[tuple[Card, bool]]:
        """All snapshots of a catalogue, and whether each is the one in use."""
        current = self.current(name)
        return [(read_card(f.parent), f.parent.name == current) for f in sorted(self.folder.glob(f"{name}/*/*.json"))]

    def open(self, name: str, snapshot: str | None = None) -> Catalogue:
        """Open a catalogue, by default its snapshot in use.

        Raises
        ------
        InputError
            When there is no such catalogue, with the names there are.
        StoreError
            When its files are damaged.
        """
        snapshot = snapshot or self.current(name)
        if not (self.folder / name / snapshot).is_dir():
            raise InputError(f"the catalogue {name} has no snapshot {snapshot}; see: alerce-dagster catalog list")
        return open_catalogue(self.folder / name / snapshot)

    def remove(self, name: str, *, only_old: bool = False) -> list[str]:
        """Remove a catalogue, or only its snapshots that are not in use; returns the snapshots that are gone.

        Raises
        ------
        InputError
            When there is no such catalogue.
        """
        current = self.current(name)
        place = self.folder / name
        with store_errors(str(place)), _alone(place):
            gone = [f.parent.name for f in sorted(place.glob("*/catalogue.json")) if f.parent.name != current]
            if not only_old:
                (place / _CURRENT).unlink()
                gone.append(current)
            for snapshot in gone:
                shutil.rmtree(place / snapshot)
            if not only_old:
                shutil.rmtree(place, ignore_errors=True)
        return gone

    def current(self, name: str) -> str:
        """The snapshot of a catalogue that is in use; raises InputError when there is no such catalogue."""
        try:
            return (self.folder / name / _CURRENT).read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            there = ", ".join(self.names()) or "none yet"
            raise InputError(
                f"no catalogue is called {name!r}; there are: {there}; add one with: alerce-dagster catalog add"
            ) from None
        except OSError as error:
            raise StoreError(f"the catalogue {name} cannot be used: {error.strerror}") from error


def _point(place: Path, snapshot: str) -> None:
    new = place / f"{_CURRENT}.part"
    new.write_text(snapshot + "\n", encoding="utf-8")
    new.replace(place / _CURRENT)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One builder at a time of each catalogue; the death of a process ends its lock."""
    with (place / ".lock").open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
