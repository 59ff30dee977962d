"""The catalogues that a run matches with: all that are in the library, and those that are asked at CDS instead."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from alerce_dagster.catalogs.catalogue import Catalogue
from alerce_dagster.catalogs.cds import URL, CdsTable
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import recipe_for
from alerce_dagster.errors import AlerceError, InputError


@dataclass(frozen=True)
class InUse:
    """Opened catalogues, by name."""

    local: dict[str, Catalogue]
    remote: dict[str, CdsTable]
    damaged: dict[str, str]
    """Why a catalogue that is there cannot be opened."""

    def __bool__(self) -> bool:
        return bool(self.local or self.remote or self.damaged)

    @property
    def snapshots(self) -> dict[str, str]:
        """What answers for each name."""
        local = {name: catalogue.card.snapshot for name, catalogue in self.local.items()}
        remote = {name: f"CDS {table.recipe.cds_table}" for name, table in self.remote.items()}
        return dict(sorted((local | remote | dict.fromkeys(self.damaged, "damaged")).items()))

    @property
    def version(self) -> str:
        """Hash of what is looked up in what: another set of catalogues or snapshots is new work."""
        if not self:
            return "no catalogue"
        radii = [[name, table.recipe.radius] for name, table in sorted(self.remote.items())]
        return hashlib.sha256(json.dumps([self.snapshots, radii]).encode()).hexdigest()[:16]


def open_in_use(library: Library, ask_cds_for: Sequence[str] = (), url: str | None = None) -> InUse:
    """Open every catalogue of the library; `ask_cds_for` names recipes to ask CDS for where there is none of the name.

    Raises
    ------
    InputError
        When a name is no recipe, or none that CDS has.
    """
    local, damaged = {}, {}
    for name in library.names():
        try:
            local[name] = library.open(name)
        except AlerceError as error:
            damaged[name] = str(error)
    remote = {}
    for name in ask_cds_for:
        recipe = recipe_for(name)
        if recipe.cds_table is None:
            raise InputError(f"CDS X-Match has no catalogue for {name}; take it out of ALERCE_CDS_XMATCH")
        if name not in local and name not in damaged:
            remote[name] = CdsTable(recipe, library.folder / ".cds" / name, url or URL)
    return InUse(local, remote, damaged)
