"""What the broker asks of a survey, whatever the survey.

A survey turns packets into the common tables of `tables`; the rest of the broker never sees a survey's field
names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alerce_dagster.surveys.cutouts import Cutouts
from alerce_dagster.surveys.packets import Packet

Problem = tuple[int, str]  # index of the packet in the batch, and one sentence


@dataclass(frozen=True, slots=True)
class LightCurves:
    """The photometry that a batch of packets carries, in the schemas of `tables`.

    `set_aside` names what could not be used, per row of a history or per packet: nothing is dropped in
    silence. Rows that several packets repeat are left as they are; the store resolves them.
    """

    detections: pa.Table
    non_detections: pa.Table
    forced: pa.Table
    set_aside: list[Problem] = field(default_factory=list)


class Survey(Protocol):
    """One survey's reader. Every method takes a batch of packets and is a pure function of their bytes."""

    @property
    def name(self) -> str:
        """The survey's short name, as in asset keys and on the command line."""
        ...

    @property
    def time_scale(self) -> str:
        """The scale of the survey's MJD: utc or tai."""
        ...

    def alerts(self, packets: Sequence[Packet]) -> tuple[pa.Table, npt.NDArray[np.int64], list[Problem]]:
        """One row in schema ALERTS per readable packet, in order; the packet index of each row; and the
        problems.
        """
        ...

    def light_curves(self, packets: Sequence[Packet]) -> LightCurves:
        """Detections (the alerts' own and those of their histories), non-detections and forced photometry."""
        ...

    def cutouts(self, packets: Sequence[Packet], threads: int = 1) -> Cutouts:
        """The three cutouts of every packet, row for row."""
        ...

    def cutout_files(self, packet: Packet) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The science, template and difference cutout of one packet as files, as they came; None where absent."""
        ...

    def night(self, mjd: npt.NDArray[np.float64]) -> npt.NDArray[np.datetime64]:
        """The UTC date (datetime64[D]) of each exposure, from MJD in the survey's time scale."""
        ...
