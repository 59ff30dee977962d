"""Files of a data release to the three products: channel after channel, never more than one in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alerce_dagster.errors import InputError
from alerce_dagster.releases import tables
from alerce_dagster.releases.archive import PRODUCTS, writing
from alerce_dagster.releases.light_curves import LightCurves, channel_name, read_file
from alerce_dagster.releases.recalibration import Solution, recalibrate
from alerce_dagster.releases.sources import source_ids
from alerce_dagster.releases.summary import ChannelSummary, Figures, Summary
from alerce_dagster.releases.variability import Residuals, find_variables

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


def no_progress(what: str, done: int, total: int) -> None:
    """Report to nobody."""


def process(files: Sequence[Path], folder: Path, *, threads: int = 2, progress: Progress = no_progress) -> Summary:
    """Load, recalibrate and test the light curves of files, and write the three products below `folder`.

    A file that cannot be read is in the summary with its reason, and the rest goes on.

    Raises
    ------
    StoreError
        When the folder cannot be written to.
    """
    summary = Summary()
    index = look(files, summary)
    with writing(folder, PRODUCTS) as (lightcurves, recalibrated, variability):
        for number, file in enumerate(index.files):
            progress("recalibrating", number, len(index.files))
            loaded = read_file(file)
            summary.set_aside += loaded.set_aside
            summary.epochs_left_out += loaded.epochs_left_out
            for channel in loaded.curves.channels():
                curves = loaded.curves.of(channel)
                sources, name = index.sources_of(curves), channel_name(channel)
                lightcurves.add(name, tables.lightcurves_table(curves, sources))
                entry = ChannelSummary(channel, len(curves))
                summary.channels.append(entry)
                try:
                    solution = recalibrate(curves, index.colours_of(sources))
                except InputError as error:
                    entry.reason = str(error)
                    continue
                entry.figures = Figures.of(solution)
                rows = tables.recalibrated_table(curves, sources, solution)
                recalibrated.add(name, rows, tables.corrections_table(solution))
                left = residuals_of(curves, solution)
                found = find_variables(left, solution.response != 0, threads=threads)
                entry.count(found)
                objects = tables.objects(curves, sources)
                variability.add(name, tables.variability_table(objects, solution.state.mean, left, found))
        progress("recalibrating", len(index.files), len(index.files))
    return summary


def residuals_of(curves: LightCurves, solution: Solution) -> Residuals:
    """What the solution leaves of the light curves."""
    return Residuals(
        curves.starts, curves.hmjd, solution.residual, solution.sigma, solution.use, solution.n_used, solution.freedom
    )


@dataclass(frozen=True)
class Index:
    """What all files together say: which can be read, which light curves are of one source, and its colour."""

    files: list[Path]
    objectid: np.ndarray
    source: np.ndarray
    colour_source: np.ndarray
    colour: np.ndarray

    def sources_of(self, curves: LightCurves) -> np.ndarray:
        """The source of each light curve, (n,) int64."""
        return self.source[np.searchsorted(self.objectid, curves.objectid)]

    def colours_of(self, sources: np.ndarray) -> np.ndarray | None:
        """g-r of sources (n,) where known, else NaN; None where no filter but one is there."""
        return looked_up(sources, self.colour_source, self.colour)


def looked_up(sources: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """The values of sources (n,) among the `known` ones, which are sorted; NaN for others, None where none is known."""
    if not len(known):
        return None
    at = np.minimum(np.searchsorted(known, sources), len(known) - 1)
    return np.where(known[at] == sources, values[at], np.nan)


def look(files: Sequence[Path], summary: Summary) -> Index:
    """Go through the files once, keeping a few numbers per light curve."""
    readable, found = [], []
    for file in files:
        try:
            loaded = read_file(file)
        except InputError as error:
            summary.unreadable[str(file)] = str(error)
            continue
        summary.n_rows += loaded.n_rows
        readable.append(file)
        curves = loaded.curves
        channel = (curves.fieldid.astype(np.int64) * 64 + curves.rcid) * 8 + curves.filterid
        found.append(
            (curves.objectid, curves.objra, curves.objdec, channel, np.diff(curves.starts), clean_medians(curves))
        )
    if not found:
        none = np.empty(0, np.int64)
        return Index(readable, none, none, none, np.empty(0))
    objectid, ra, dec, channel, n_epochs, mean = (np.concatenate(part) for part in zip(*found, strict=True))
    source = source_ids(objectid, ra, dec, channel, n_epochs)
    order = np.argsort(objectid, kind="stable")
    return Index(readable, objectid[order], source[order], *colours_of_sources(source, channel % 8, mean))


def clean_medians(curves: LightCurves) -> np.ndarray:
    """Medians of the clean magnitudes, (n,), NaN without any."""
    from alerce_dagster.releases import _ensemble

    out = np.empty(len(curves))
    _ensemble.medians(curves.starts, curves.mag.astype(np.float64), curves.catflags == 0, out)
    return out


def colours_of_sources(source: np.ndarray, band: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sources seen in g and in r, sorted, and their colours, from the filters and mean magnitudes of light curves."""
    g, r = ((band == k) & np.isfinite(mean) for k in (1, 2))
    both = np.intersect1d(source[g], source[r])
    if not len(both):
        return np.empty(0, np.int64), np.empty(0)

    def mean_of(mine: np.ndarray) -> np.ndarray:
        at = np.searchsorted(both, source[mine])
        inside = both[np.minimum(at, len(both) - 1)] == source[mine]
        total = np.bincount(at[inside], mean[mine][inside], minlength=len(both))
        return total / np.bincount(at[inside], minlength=len(both))

    return both, mean_of(g) - mean_of(r)
