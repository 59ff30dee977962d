"""The products of one field of a release, each made from the one before as it lies in the archive.

The same steps as `pipeline.process`, for when each has its own run; channel after channel likewise.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from alerce_dagster.errors import InputError
from alerce_dagster.lightcurves.columns import floats
from alerce_dagster.releases import tables
from alerce_dagster.releases.archive import channels_in, partitions_of, read_channel, writing
from alerce_dagster.releases.light_curves import Channel, LightCurves, channel_name, from_table, read_file
from alerce_dagster.releases.pipeline import (
    Progress,
    clean_medians,
    colours_of_sources,
    look,
    looked_up,
    no_progress,
)
from alerce_dagster.releases.recalibration import recalibrate
from alerce_dagster.releases.summary import ChannelSummary, Figures, Summary
from alerce_dagster.releases.variability import Residuals, find_variables


def make_lightcurves(files: Sequence[Path], folder: Path, progress: Progress = no_progress) -> Summary:
    """Files of a field to FOLDER/lightcurves; what cannot be read is in the summary.

    Raises
    ------
    InputError
        When not one light curve could be read; what was there before stays.
    StoreError
        When the folder cannot be written to.
    """
    summary = Summary()
    index = look(files, summary)
    with writing(folder, ["lightcurves"]) as (lightcurves,):
        for number, file in enumerate(index.files):
            progress("loading", number, len(index.files))
            loaded = read_file(file)
            summary.set_aside += loaded.set_aside
            summary.epochs_left_out += loaded.epochs_left_out
            for channel in loaded.curves.channels():
                curves = loaded.curves.of(channel)
                summary.channels.append(ChannelSummary(channel, len(curves)))
                lightcurves.add(channel_name(channel), tables.lightcurves_table(curves, index.sources_of(curves)))
        if not summary.channels:
            reasons = "; ".join(summary.unreadable.values()) or "no file was given"
            raise InputError(f"nothing to load into {folder}: {reasons}")
    return summary


def make_recalibrated(folder: Path, progress: Progress = no_progress) -> Summary:
    """FOLDER/lightcurves to FOLDER/recalibrated; a channel that cannot be is in the summary with the reason."""
    summary = Summary()
    place = folder / "lightcurves"
    channels = channels_in(place)
    colours = _colours(place, channels)
    with writing(folder, ["recalibrated"]) as (recalibrated,):
        for number, channel in enumerate(channels):
            progress("recalibrating", number, len(channels))
            curves, sources = _released(place, channel)
            entry = ChannelSummary(channel, len(curves))
            summary.n_rows += len(curves)
            summary.channels.append(entry)
            try:
                solution = recalibrate(curves, looked_up(sources, *colours))
            except InputError as error:
                entry.reason = str(error)
                continue
            entry.figures = Figures.of(solution)
            table = tables.recalibrated_table(curves, sources, solution)
            recalibrated.add(channel_name(channel), table, tables.corrections_table(solution))
    return summary


def _released(place: Path, channel: Channel) -> tuple[LightCurves, np.ndarray]:
    """A channel's light curves as released, and their sources."""
    rows = read_channel(place, channel)
    renamed = {"id": "objectid", "ra": "objra", "dec": "objdec"}
    rows = rows.rename_columns([renamed.get(name, name) for name in rows.column_names])
    return from_table(rows, str(place)).curves, rows["source_id"].to_numpy()


def _colours(place: Path, channels: Sequence[Channel]) -> tuple[np.ndarray, np.ndarray]:
    """Sources seen in g and in r, and their g-r; none where there is one filter only."""
    if len({band for *_, band in channels}) < 2:
        return np.empty(0, np.int64), np.empty(0)
    parts = []
    for channel in channels:
        curves, sources = _released(place, channel)
        parts.append((sources, curves.filterid, clean_medians(curves)))
    return colours_of_sources(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def make_variability(folder: Path, progress: Progress = no_progress, threads: int = 2) -> tuple[Summary, np.ndarray]:
    """FOLDER/recalibrated to FOLDER/variability; counts by channel, and all p-values.

    Where no channel could be recalibrated there are none.
    """
    place = folder / "recalibrated"
    partitions_of(folder / "lightcurves")
    channels = channels_in(place) if place.is_dir() else []
    summary, p_values = Summary(), [np.empty(0)]
    with writing(folder, ["variability"]) as (variability,):
        for number, channel in enumerate(channels):
            progress("testing", number, len(channels))
            rows = read_channel(place, channel)
            mean, left = floats(rows, "mean_mag"), residuals_in(rows)
            answers = find_variables(left, rows["trend_response"].to_numpy() != 0, threads=threads)
            names = ("objectid", "source_id", "filterid", "fieldid", "rcid", "ra", "dec", "nepochs")
            columns = {name: rows["id" if name == "objectid" else name].combine_chunks() for name in names}
            variability.add(channel_name(channel), tables.variability_table(columns, mean, left, answers))
            entry = ChannelSummary(channel, rows.num_rows)
            entry.count(answers)
            summary.n_rows += rows.num_rows
            summary.channels.append(entry)
            p_values.append(answers.p_value)
    return summary, np.concatenate(p_values)


def residuals_in(rows: pa.Table) -> Residuals:
    """What rows of the product `recalibrated` leave when their means are taken off."""
    hmjd, mag, sigma, usable = (rows[name].combine_chunks() for name in ("hmjd", "mag", "magerr", "usable"))
    starts = np.concatenate([[0], np.cumsum(hmjd.value_lengths().to_numpy())]).astype(np.int64)
    mean = np.repeat(floats(rows, "mean_mag"), np.diff(starts))
    return Residuals(
        starts,
        hmjd.flatten().to_numpy(),
        mag.flatten().to_numpy().astype(np.float64) - mean,
        sigma.flatten().to_numpy().astype(np.float64),
        usable.flatten().to_numpy(zero_copy_only=False),
        rows["n_used"].to_numpy().astype(np.int64),
        rows["freedom"].to_numpy(),
    )
