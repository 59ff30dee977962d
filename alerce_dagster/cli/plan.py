"""Which nights an input holds: the runs that `alerce-dagster run` starts."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from alerce_dagster.stages.places import expand, is_archive, read_places
from alerce_dagster.surveys import Survey
from alerce_dagster.surveys.sources import SourcedPacket

_CHUNK = 500


@dataclass
class NightPlan:
    """What one night's run reads: new sources, and those that an earlier night's run has read."""

    sources: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


def plan(
    survey: Survey,
    places: Iterable[str],
    only: date | None = None,
    cache: Path | None = None,
    looked: Callable[[int], None] = lambda n: None,
) -> dict[date, NightPlan]:
    """Nights in time order, with what to read for each.

    A nightly archive or URL named by its date (ztf_public_20180819.tar.gz) is taken at its word and not opened; what
    it holds of other nights is found by the run. Everything else is looked through. What cannot be read belongs to the
    first night, and to today when there is none. With `only`, every place is read for that night alone.
    """
    if only is not None:
        return {only: NightPlan(sources=list(places))}
    plans: dict[date, NightPlan] = defaultdict(NightPlan)
    nightless: list[str] = []
    for source in (file for place in places for file in expand(place)):
        named = _named_night(source) if is_archive(source) else None
        found = {named} if named else nights_of(survey, read_places([source], cache))
        looked(1)
        if not found:
            nightless.append(source)
        for position, night in enumerate(sorted(found)):
            (plans[night].again if position else plans[night].sources).append(source)
    if nightless:
        plans[min(plans, default=datetime.now(UTC).date())].sources += nightless
    return dict(sorted(plans.items()))


def nights_of(survey: Survey, items: Iterable[SourcedPacket]) -> set[date]:
    """The nights of all readable packets."""
    nights: set[date] = set()
    chunk = []
    for item in items:
        if item.packet is not None:
            chunk.append(item.packet)
        if len(chunk) == _CHUNK:
            nights |= _nights(survey, chunk)
            chunk = []
    return nights | (_nights(survey, chunk) if chunk else set())


def _nights(survey: Survey, packets: list) -> set[date]:
    table, _, _ = survey.alerts(packets)
    return set(survey.night(table["mjd"].to_numpy()).tolist())


def _named_night(source: str) -> date | None:
    """The date in a file's name, when there is one."""
    for digits in re.findall(r"(?<!\d)(20\d{6})(?!\d)", source.rpartition("/")[2]):
        try:
            return datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            continue
    return None
