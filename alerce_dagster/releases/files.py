"""Where the files of a data release are: paths, folders of Parquet files, http(s) URLs."""

from collections.abc import Callable, Sequence
from pathlib import Path

from alerce_dagster.surveys.download import CHUNK, Download, DownloadError
from alerce_dagster.surveys.sources import is_url


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
