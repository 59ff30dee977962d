"""What a request may use: the stores to read, and, for those who may, the database to write."""

import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from sqlalchemy.engine import Connection

from alerce_dagster.catalogs.library import Library
from alerce_dagster.settings import Settings, web_token
from alerce_dagster.storage import Stores, listings
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database

SECONDS_PER_QUERY = 10
_REMEMBERED = 30.0  # seconds: a classifier that answers for the first time is noticed this late
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Access:
    """The stores of one deployment and the rule for writes.

    A write needs the token. Without one it is refused, unless `open_writes`, which lets this machine in alone.
    """

    stores: Stores
    writer: Database
    token: str | None = None
    open_writes: bool = False
    releases: Path = Path("releases")
    """Folder of the products made of data releases; it need not be there."""
    library: Library | None = None
    nights: dict = field(default_factory=dict)
    """What pages remember of nights; see `web.nights`."""
    _remembered: dict[str, tuple[float, dict[str, list[str]]]] = field(default_factory=dict)

    def classes(self, connection: Connection, survey: str) -> dict[str, list[str]]:
        """The classes of every classifier that has answered; every list asks, so they are remembered a while."""
        until, found = self._remembered.get(survey, (0.0, {}))
        if time.monotonic() > until:
            stored = listings.classifiers(connection, survey)
            found = {name: listings.classes(connection, survey, name, model) for name, model in stored}
            self._remembered[survey] = (time.monotonic() + _REMEMBERED, found)
        return found

    def default_classifier(self, connection: Connection, survey: str, class_name: str | None = None) -> str | None:
        """The classifier whose answer is shown where none is asked for; of a class, one that speaks of it."""
        known = self.classes(connection, survey)
        return preferred([name for name, of in known.items() if class_name in of] or known)

    @classmethod
    def to(cls, settings: Settings, *, open_writes: bool = False) -> "Access":
        """Open a deployment's stores; nothing is connected to yet."""
        reader = Database(settings.database_url, seconds_per_query=SECONDS_PER_QUERY)
        stores = Stores(reader, Archive(settings.archive_url))
        library = Library(settings.catalogs)
        return cls(stores, Database(settings.database_url), web_token(), open_writes, settings.releases, library)

    def may_write(self, request: Request) -> None:
        """Let a write through or refuse it.

        Raises
        ------
        fastapi.HTTPException
            401 without the right token, 403 where writes are closed or another site's page asks.
        """
        if self.token:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                raise HTTPException(401, "writing needs the token: send the header Authorization: Bearer TOKEN")
            return
        host = urlsplit(f"//{request.headers.get('Host', '')}")
        if not (self.open_writes and request.client and request.client.host in _LOOPBACK):
            raise HTTPException(
                403,
                "writing is closed: set ALERCE_WEB_TOKEN, or on this machine alone start with --allow-local-writes",
            )
        # A page of another site, opened in a browser on this machine, must not write through it.
        origin = request.headers.get("Origin")
        if host.hostname not in _LOOPBACK or (origin and urlsplit(origin).netloc != host.netloc):
            raise HTTPException(403, "writing is only for pages of this server")


_ORDER = ("combined", "light_curve_classifier", "stamp_classifier")


def preferred(classifiers: Iterable[str]) -> str | None:
    """Of the classifiers that have answered the one whose answer rests on the most."""
    return next(iter(_ranked(classifiers)), None)


def by_weight(of_classifiers: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Whatever each classifier has, that whose answers rest on the most first."""
    return [(name, of_classifiers[name]) for name in _ranked(of_classifiers)]


def _ranked(classifiers: Iterable[str]) -> list[str]:
    return sorted(classifiers, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def _access(request: Request) -> Access:
    return request.app.state.access


Reading = Annotated[Access, Depends(_access)]
