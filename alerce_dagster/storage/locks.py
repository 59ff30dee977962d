"""Locks between processes on one machine. The death of a process ends its lock."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alerce_dagster.errors import store_errors


@contextmanager
def file_lock(file: Path) -> Iterator[None]:
    """Wait until no other process has locked `file`, then hold it locked; the file stays, and stays empty.

    Raises
    ------
    StoreError
        When the file cannot be made.
    """
    with store_errors(str(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = file.open("ab")
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def is_free(file: Path) -> bool:
    """Whether no process holds `file` locked at this moment."""
    if not file.exists():
        return True
    with file.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
