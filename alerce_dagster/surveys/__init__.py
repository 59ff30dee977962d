"""Surveys: alert packets in, the common alert tables out.

The only code that knows a survey's field names. `packets` and `sources` read containers, files, archives and
URLs; `avro` decodes records to columns; `cutouts` the images; each survey has a folder. No storage, no
orchestration.
"""

from alerce_dagster.surveys.cutouts import Cutouts
from alerce_dagster.surveys.packets import Packet, PacketError, iter_container, read_container
from alerce_dagster.surveys.survey import LightCurves, Problem, Survey
from alerce_dagster.surveys.ztf import ZTF

SURVEYS: dict[str, Survey] = {"ztf": ZTF}

__all__ = [
    "SURVEYS",
    "Cutouts",
    "LightCurves",
    "Packet",
    "PacketError",
    "Problem",
    "Survey",
    "get_survey",
    "iter_container",
    "read_container",
]


def get_survey(name: str) -> Survey:
    """The survey called `name` (any case); raises ValueError with the known names when there is none."""
    try:
        return SURVEYS[name.lower()]
    except KeyError:
        known = ", ".join(sorted(SURVEYS))
        raise ValueError(f"unknown survey {name!r}; known surveys: {known}") from None
