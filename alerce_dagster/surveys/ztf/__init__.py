"""ZTF, the Zwicky Transient Facility: its alert packets, every schema version from 2018 on.

Times are UTC. `alerts` reads the candidates, `history` the light curves, `values` the units and sentinels,
`schema` is the newest schema as data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alerce_dagster.surveys.cutouts import Cutouts
from alerce_dagster.surveys.packets import Packet
from alerce_dagster.surveys.survey import LightCurves, Problem
from alerce_dagster.surveys.ztf.alerts import read_alerts
from alerce_dagster.surveys.ztf.history import read_light_curves
from alerce_dagster.surveys.ztf.images import cutout_files, read_cutouts

MJD_ZERO = np.datetime64("1858-11-17")


@dataclass(frozen=True, slots=True)
class _Ztf:
    name: str = "ztf"
    time_scale: str = "utc"

    def alerts(self, packets: Sequence[Packet]) -> tuple[pa.Table, npt.NDArray[np.int64], list[Problem]]:
        """See `ztf.alerts.read_alerts`."""
        return read_alerts(packets)

    def light_curves(self, packets: Sequence[Packet]) -> LightCurves:
        """See `ztf.history.read_light_curves`."""
        return read_light_curves(packets)

    def cutouts(self, packets: Sequence[Packet], threads: int = 1) -> Cutouts:
        """See `ztf.images.read_cutouts`."""
        return read_cutouts(packets, threads)

    def cutout_files(self, packet: Packet) -> tuple[bytes | None, bytes | None, bytes | None]:
        """See `ztf.images.cutout_files`."""
        return cutout_files(packet)

    def night(self, mjd: npt.NDArray[np.float64]) -> npt.NDArray[np.datetime64]:
        """The UTC date of each exposure; ZTF's MJD is UTC, so it is the whole days. Not a
        date (NaT) for NaN.
        """
        mjd = np.asarray(mjd, np.float64)
        known = np.isfinite(mjd)
        days = np.floor(np.where(known, mjd, 0.0)).astype("timedelta64[D]")
        return np.where(known, MJD_ZERO + days, np.datetime64("NaT", "D"))


ZTF = _Ztf()
