"""The places people name: files, folders, archives and URLs, with faults said in one sentence."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from alerce_dagster.errors import InputError
from alerce_dagster.surveys.download import DownloadError
from alerce_dagster.surveys.sources import SourcedPacket, files_in, is_url, iter_packets

_ARCHIVES = (".tar", ".tar.gz", ".tgz")


def read_places(
    places: Iterable[str], cache: Path | None = None, progress: Callable[[int], None] = lambda n: None
) -> Iterator[SourcedPacket]:
    """Every packet at the places, one after the other; `progress` hears of the bytes read so far, of all of them.

    Raises
    ------
    InputError
        When a place cannot be opened at all or a download breaks off for good.
    """
    before = 0
    for place in places:
        last = 0

        def count(n: int) -> None:
            nonlocal last
            last = n
            progress(before + n)  # noqa: B023

        try:
            yield from iter_packets(place, cache=cache, progress=count)
        except DownloadError as error:
            raise InputError(f"{place}: {error}; run it again to go on where it stopped") from error
        except OSError as error:
            raise InputError(f"cannot read {place}: {(error.strerror or str(error)).lower()}") from error
        before += last


def expand(place: str) -> list[str]:
    """A folder's packet files and archives; any other place is itself.

    Raises
    ------
    InputError
        When a folder has none.
    """
    path = Path(place).expanduser()
    if is_url(place) or not path.is_dir():
        return [place]
    files = [str(file) for file in files_in(path)]
    if not files:
        raise InputError(f"no packets in {place}: it holds no .avro, .tar, .tar.gz or .tgz file")
    return files


def is_archive(place: str) -> bool:
    """Whether a place is named like a tar archive."""
    return urlsplit(place).path.lower().endswith(_ARCHIVES)
