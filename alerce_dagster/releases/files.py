"""Where the files of a data release are: paths, folders of Parquet files, http(s) URLs."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alerce_dagster.errors import InputError
from alerce_dagster.surveys.download import CHUNK, Download, DownloadError
from alerce_dagster.surveys.sources import is_url

_NAME = re.compile(r"^ztf_(?P<field>\d{6})_z[gri]_c\d{2}_q[1-4]_(?P<release>dr\d+)\.parquet$")
_SETTLED = 60.0  # seconds without a change, after which a file is taken to be whole


@dataclass(frozen=True)
class FieldFiles:
    """The files of one field of one release."""

    partition: str
    """As dr5/000250."""
    files: tuple[Path, ...]
    digest: str
    """Changes when one of them does."""


def fields_in(folder: Path, now: float | None = None) -> list[FieldFiles]:
    """The fields that have files below a folder under IRSA's names (ztf_000250_zg_c01_q1_dr5.parquet), sorted; a field
    with a file that was changed within the last minute (or after `now`, s since 1970) is not among them.

    Raises
    ------
    OSError
        When the folder cannot be read.
    """
    now = time.time() if now is None else now
    next(folder.iterdir(), None)
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("ztf_*.parquet")):
        if match := _NAME.match(file.name):
            found.setdefault(f"{match['release']}/{match['field']}", []).append(file)
    fields = []
    for partition, files in sorted(found.items()):
        states = [(file.name, state.st_size, state.st_mtime_ns) for file in files for state in [file.stat()]]
        if max(state[2] for state in states) / 1e9 <= now - _SETTLED:
            digest = hashlib.sha256(repr(states).encode()).hexdigest()[:16]
            fields.append(FieldFiles(partition, tuple(files), digest))
    return fields


def files_of(partition: str, folder: Path | None) -> tuple[Path, ...]:
    """The files of a field below a folder.

    Raises
    ------
    InputError
        When there are none, or no folder was named.
    """
    if folder is None:
        raise InputError(
            f"no files for {partition}: give `files` in the configuration, or set ALERCE_RELEASES to a folder"
        )
    for field in fields_in(folder, time.time() + _SETTLED) if folder.is_dir() else []:
        if field.partition == partition:
            return field.files
    raise InputError(f"{folder} holds no file of {partition} (they are called as ztf_000250_zg_c01_q1_dr5.parquet)")


def find_files(
    places: Sequence[str], cache: Path, progress: Callable[[str, int, int], None]
) -> tuple[list[Path], dict[str, str]]:
    """The files at the places, in their order, and what could not be had, each with its reason.

    A URL is downloaded into the folder `cache`; a download that broke off goes on where it stopped, one that is there
    is not made again. `progress` is called with "downloading", the bytes so far and those in all (0: not known).
    """
    files: list[Path] = []
    failed: dict[str, str] = {}
    for place in places:
        if is_url(place):
            try:
                files.append(_fetched(place, cache, progress))
            except DownloadError as error:
                failed[place] = str(error)
        elif Path(place).is_dir():
            inside = sorted(file for file in Path(place).rglob("*.parquet") if not file.name.startswith("."))
            files += inside
            if not inside:
                failed[place] = f"the folder {place} holds no file *.parquet"
        else:
            files.append(Path(place))
    return files, failed


def _fetched(url: str, cache: Path, progress: Callable[[str, int, int], None]) -> Path:
    with Download(url, cache) as download:
        done = 0
        while data := download.read(CHUNK):
            done += len(data)
            progress("downloading", done, download.size or 0)
        assert download.path is not None
        return download.path
