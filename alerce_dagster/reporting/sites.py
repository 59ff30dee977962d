"""Observatories: where they are. The list itself is data, in `sites.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from alerce_dagster.errors import InputError

DEFAULT = "paranal"


@dataclass(frozen=True)
class Site:
    """A place on Earth: geodetic degrees (east positive, WGS 84) and metres above the ellipsoid."""

    key: str
    name: str
    latitude: float
    longitude: float
    elevation: float
    source: str = ""


@cache
def sites() -> dict[str, Site]:
    """All observatories by key, in the order of the list."""
    text = (resources.files("alerce_dagster.reporting") / "sites.toml").read_text(encoding="utf-8")
    return {key: Site(key, **values) for key, values in tomllib.loads(text).items()}


def site(key: str) -> Site:
    """The observatory of that key.

    Raises
    ------
    InputError
        When none is called that; it names those there are.
    """
    found = sites().get(key.strip().lower().replace("-", "_").replace(" ", "_"))
    if found is None:
        raise InputError(f"no site is called {key[:40]!r}; known: {', '.join(sites())}")
    return found
