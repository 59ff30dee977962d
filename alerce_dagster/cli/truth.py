"""Found classes against the truth, when a simulation left it beside its packets."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow.parquet as pq

FILE = "truth.parquet"
UNCLASSIFIED = "unclassified"
_COLUMNS = ["oid", "stamp_class"]


def truth_beside(places: Iterable[str]) -> dict[str, str]:
    """Object -> true stamp class, from the `truth.parquet` in or beside the places; empty without any."""
    truth: dict[str, str] = {}
    for place in places:
        path = Path(place).expanduser()
        file = (path if path.is_dir() else path.parent) / FILE
        if file.is_file() and set(_COLUMNS) <= set(pq.read_schema(file).names):
            table = pq.read_table(file, columns=_COLUMNS)
            truth.update(zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True))
    return truth


def confusion(truth: Mapping[str, str], found: Mapping[str, str | None]) -> dict[str, dict[str, int]]:
    """True class -> found class -> objects, over the objects that are in both; classes in the order of the alphabet,
    "unclassified" last.
    """
    counts: dict[str, Counter[str]] = {}
    for oid, name in found.items():
        if oid in truth:
            counts.setdefault(truth[oid], Counter())[name or UNCLASSIFIED] += 1
    names = sorted({name for row in counts.values() for name in row}, key=lambda name: (name == UNCLASSIFIED, name))
    return {true: {name: counts[true][name] for name in names} for true in sorted(counts)}
