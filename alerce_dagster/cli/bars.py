"""Progress of a run on the terminal: one bar over the nights, one for each stage of the night in hand."""

from collections.abc import Iterable
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from alerce_dagster.surveys.download import DownloadError
from alerce_dagster.surveys.sources import source_size


def progress_bars(shown: bool) -> Progress:
    """Bars on standard error, gone when they end; none when they are not wanted or nobody looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
    )
    hidden = not (shown and console.is_terminal)
    return Progress(*columns, console=console, transient=True, disable=hidden)


class NightBars:
    """The bars of one night after another; `update` is the progress function that the stages call."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._nights = bars.add_task("looking at the input", total=None, unit="files")
        self._stages: dict[str, TaskID] = {}
        self._megabytes: int | None = None

    def looked(self, n: int) -> None:
        """`n` more files have been looked at."""
        self._bars.advance(self._nights, n)

    def begin(self, night: object, done: int, total: int, sources: Iterable[str]) -> None:
        """The next night, after `done` of `total`, reads these sources."""
        self._bars.update(self._nights, description=f"night {night}", completed=done, total=total, unit="nights")
        for task in self._stages.values():
            self._bars.remove_task(task)
        self._stages.clear()
        self._megabytes = None if self._bars.disable else _megabytes(sources)

    def update(self, stage: str, done: int, total: int | None) -> None:
        """Show how far a stage is: alerts in bytes read, the others in alerts."""
        if stage not in self._stages:
            unit = "MB" if stage == "alerts" else "alerts"
            self._stages[stage] = self._bars.add_task(f"  {stage}", total=None, unit=unit)
        if stage == "alerts":
            done, total = done // 1_000_000, self._megabytes
        self._bars.update(self._stages[stage], completed=done, total=total)


def _megabytes(sources: Iterable[str]) -> int | None:
    """Size of all sources, or None when one does not say."""
    total = 0
    for source in sources:
        size = None
        with suppress(OSError, DownloadError):
            size = source_size(source)
        if size is None:
            return None
        total += size
    return max(1, total // 1_000_000)
