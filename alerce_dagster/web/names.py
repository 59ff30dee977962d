"""Places of named objects, from the CDS's name resolver Sesame; asked only when a person asks, and kept."""

import re
from functools import lru_cache
from urllib.parse import quote

from alerce_dagster.settings import sesame_url
from alerce_dagster.web.answers import BadRequest

TIMEOUT = (3.05, 5.0)  # seconds to connect, and without a byte of the answer
MAX_BYTES = 64_000
# A line of its plain answer that begins with %J is the ICRS position in degrees.
_PLACE = re.compile(r"^%J\s*([0-9.]+)\s+([+-]?[0-9.]+)", re.MULTILINE)
_NAME = re.compile(r"[\w .+\-*\[\]():/']{1,64}")


class NoAnswer(Exception):
    """The resolver cannot be reached or does not answer in time."""


@lru_cache(maxsize=4096)
def resolve(name: str) -> tuple[float, float]:
    """(ra, dec) in degrees, ICRS, of an object's name as SIMBAD, NED or VizieR know it; the first that does answers.

    Raises
    ------
    BadRequest
        When it is no name, or nobody knows it.
    NoAnswer
        When the resolver cannot be reached or does not answer in time. Not kept: the next question asks again.
    """
    import requests

    if not _NAME.fullmatch(name):
        raise BadRequest("position", f"{name[:40]!r} is not a name")
    try:
        with requests.get(f"{sesame_url()}/SNV?{quote(name)}", timeout=TIMEOUT, stream=True) as answer:
            answer.raise_for_status()
            text = next(answer.iter_content(MAX_BYTES), b"").decode("utf-8", "replace")
    except requests.RequestException as error:
        raise NoAnswer(
            f"the name resolver (CDS Sesame) does not answer ({type(error).__name__}); give the position as numbers, "
            "or try again"
        ) from error
    found = _PLACE.search(text)
    if found is None:
        raise BadRequest("position", f"nobody knows the name {name!r}")
    return float(found[1]), float(found[2])
