"""A survey in numbers, and the exposures that it takes: what ZTF, ATLAS or LSST differ in, and one scheduler for all.

A survey is a `SurveyModel`; `exposures` turns it into the times, depths, seeing and zero points of every field. What a
survey writes into its packets is not here.
"""

from datetime import date
from typing import NamedTuple

import numpy as np

_MJD_2000 = 51544  # of 2000-01-01


class BandModel(NamedTuple):
    """One filter of a survey: medians of a dark, clear night at the zenith, and what is lost."""

    name: str
    depth: float  # mag, 5 sigma
    moon: float  # mag of depth that full moon takes
    seeing: float  # pixel
    zero_point: float  # mag of 1 DN
    colour_term: float


class SurveyModel(NamedTuple):
    """All that the scheduler needs to know of a survey."""

    name: str
    bands: tuple[BandModel, ...]
    field_size: float  # deg
    declinations: tuple[float, float]  # deg, of the first row of fields, and the end
    first_field: int
    midnight: float  # UTC hour of the site's midnight
    hours: float  # farthest from the meridian, in hours
    cadence: tuple[float, ...]  # shares of fields that are visited every night, every second, third ...
    irregular: float  # share of the planned visits that are not made; as many are made unplanned
    pair_gap: tuple[float, float]  # d between the bands of one night
    spacing: int  # s from one exposure to the next
    exposure_time: float  # s
    weather_loss: float  # share of nights lost
    weather_memory: float  # correlation of one night's weather with that of the night before
    missed: float  # share of the planned exposures of a clear night that fail
    depth_scatter: float  # mag
    seeing_scatter: float  # of the logarithm
    clouds: float  # mag, mean of an exponential

    @property
    def epochs_per_night(self) -> int:
        return len(self.bands)


# Bellm et al. 2019 (PASP 131, 018002 and 068003) for the camera, the fields and the cadence of the public survey;
# depth, seeing and zero points with their scatter as in its packets.
ZTF = SurveyModel(
    name="ztf",
    bands=(
        BandModel("g", 20.70, 0.95, 2.15, 26.33, -0.072),
        BandModel("r", 20.55, 0.60, 1.98, 26.27, 0.092),
    ),
    field_size=7.0,
    declinations=(-28.0, 85.0),
    first_field=200,
    midnight=8.0,
    hours=5.0,
    cadence=(0.30, 0.42, 0.20, 0.08),
    irregular=0.15,
    pair_gap=(0.02, 0.06),
    spacing=38,
    exposure_time=30.0,
    weather_loss=0.17,
    weather_memory=0.45,
    missed=0.12,
    depth_scatter=0.30,
    seeing_scatter=0.17,
    clouds=0.09,
)


class Exposures(NamedTuple):
    """What the survey does in each field: arrays (field, epoch); one epoch a night and band, NaN where not observed."""

    model: SurveyModel
    history_nights: int  # before the first night of alerts
    field_ra: np.ndarray  # deg, (field,)
    field_dec: np.ndarray
    field_id: np.ndarray
    first_night: int  # MJD of the first night of the history
    mjd: np.ndarray
    limit: np.ndarray  # mag, 5 sigma
    zero_point: np.ndarray  # mag of 1 DN
    seeing: np.ndarray  # pixel

    @property
    def first_epoch(self) -> int:
        """Epochs from this one on are in the nights asked for."""
        return self.history_nights * self.model.epochs_per_night

    @property
    def first_alerts(self) -> float:
        """MJD of the first of the nights asked for."""
        return float(self.first_night + self.history_nights)

    @property
    def band(self) -> np.ndarray:
        """Index of the band of each epoch."""
        return np.arange(self.mjd.shape[1]) % self.model.epochs_per_night


def night_mjd(night: date) -> int:
    """MJD of the beginning of a UTC date."""
    return (night - date(2000, 1, 1)).days + _MJD_2000


def exposures(
    rng: np.random.Generator, start: date, nights: int, model: SurveyModel = ZTF, history: int = 60
) -> Exposures:
    """A survey of the sky that is up, from `history` nights before `start` (UTC date) on.

    Nights are lost to weather in the history, none of the nights asked for. The sky is bright around full moon, and
    limits follow. One telescope: exposures begin at least `spacing` apart, on full seconds.
    """
    ra, dec = _fields(model)
    n_nights, n_bands = history + nights, model.epochs_per_night
    first_night = night_mjd(start) - history
    opposition = (first_night + np.arange(n_nights) - 51623.3) / 365.25 * 360 + 180  # RA at midnight, deg
    hours = ((ra[:, None] - opposition + 180) % 360 - 180) / 15
    clear = _weather(rng, n_nights, model)
    clear[history:] = True
    every = 1 + rng.choice(len(model.cadence), ra.size, p=model.cadence)
    planned = (np.arange(ra.size)[:, None] + np.arange(n_nights)) % every[:, None] == 0
    planned ^= rng.random(planned.shape) < model.irregular * np.where(planned, 1, 1 / np.maximum(every - 1, 1)[:, None])
    visited = planned & (np.abs(hours) < model.hours) & clear
    if not visited[:, history:].any():  # a small survey, or a night between two visits
        visited[:, history:] = np.abs(hours[:, history:]) < model.hours

    middle = first_night + np.arange(n_nights) + (model.midnight + 0.85 * hours) / 24
    time = middle + rng.normal(0, 0.01, visited.shape)
    order = np.argsort(rng.random((*visited.shape, n_bands)), axis=2)  # which band comes first
    gaps = rng.uniform(*model.pair_gap, visited.shape)
    mjd = time[..., None] + gaps[..., None] * order
    failed = rng.random(mjd.shape) < model.missed
    failed &= ~failed.all(axis=2, keepdims=True)
    mjd[~visited[..., None] | failed] = np.nan
    for night in range(n_nights):
        _space_out(mjd[:, night], first_night + night, model.spacing)

    phase = (first_night + np.arange(n_nights) - 51549.76) / 29.5306  # 0 at new moon
    moon = (0.5 - 0.5 * np.cos(2 * np.pi * phase)) ** 2
    depth, moonlight, seeing, zero = (
        np.array([getattr(band, name) for band in model.bands]) for name in ("depth", "moon", "seeing", "zero_point")
    )
    shape = mjd.shape
    lost = rng.exponential(model.clouds, shape)
    blur = rng.normal(0, model.seeing_scatter, shape) + 0.06 * np.abs(dec / 30 - 1)[:, None, None]
    limit = depth - moon[:, None] * moonlight - 2.0 * lost - np.abs(rng.normal(0, model.depth_scatter, shape))
    flat = (ra.size, n_bands * n_nights)
    return Exposures(
        model,
        history,
        ra,
        dec,
        model.first_field + np.arange(ra.size),
        first_night,
        mjd.reshape(flat),
        (limit + 0.12 - 1.0 * blur).reshape(flat),
        (zero - lost + rng.normal(0, 0.05, shape)).reshape(flat),
        (seeing * np.exp(blur)).reshape(flat),
    )


def _weather(rng: np.random.Generator, n: int, model: SurveyModel) -> np.ndarray:
    """Clear nights: a two-state chain, so that bad weather comes in spells."""
    loss, memory = model.weather_loss, model.weather_memory
    clear = np.empty(n, bool)
    state = True
    for night, draw in enumerate(rng.random(n)):
        bad = loss * (1 - memory) + (0 if state else memory)
        state = bool(draw >= bad)
        clear[night] = state
    return clear


def _space_out(mjd: np.ndarray, day: int, spacing: int) -> None:
    """Delay the exposures of a night, in place, until none overlap."""
    when = mjd.ravel()
    order = np.argsort(when)[: np.isfinite(when).sum()]
    gaps = np.arange(order.size) * spacing
    seconds = np.maximum.accumulate(np.round((when[order] - day) * 86400) - gaps) + gaps
    when[order] = day + seconds / 86400
    mjd[...] = when.reshape(mjd.shape)


def _fields(model: SurveyModel) -> tuple[np.ndarray, np.ndarray]:
    """Centres of square fields in rows of equal declination."""
    ra, dec = [], []
    for row in np.arange(*model.declinations, model.field_size):
        n = int(np.ceil(360 * np.cos(np.radians(row)) / model.field_size))
        ra.append(np.arange(n) * 360 / n)
        dec.append(np.full(n, row))
    return np.concatenate(ra), np.concatenate(dec)
