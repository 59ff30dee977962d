"""The project's own errors: one sentence each that says what is wrong, where, and what to do.

Anything raised from here may be shown to a person as it is, without a traceback.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class AlerceError(Exception):
    """A fault that a person can understand and mend."""


class InputError(AlerceError):
    """What the person asked for cannot be read or makes no sense."""


class StoreError(AlerceError):
    """The database, the archive or the models folder cannot be used."""


class StreamError(AlerceError):
    """A Kafka cluster or a schema registry cannot be used; it may answer again later."""


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Turn an operating-system error met while using `where` into a StoreError that says what to do.

    Raises
    ------
    StoreError
        For any OSError raised inside the block.
    """
    try:
        yield
    except OSError as error:
        advice = {
            errno.ENOSPC: "the disk is full; free some space and run it again, nothing was half-written",
            errno.EDQUOT: "the disk quota is used up; free some space and run it again",
            errno.EROFS: "it is read-only; make it writable or set ALERCE_ARCHIVE_URL (or ALERCE_HOME) elsewhere",
            errno.EACCES: "no permission; change its owner or mode, or set ALERCE_HOME elsewhere",
            errno.EPERM: "not permitted; change its owner or mode, or set ALERCE_HOME elsewhere",
            errno.ENOTDIR: "a part of that path is a file, not a folder; remove it or set ALERCE_HOME elsewhere",
            errno.EEXIST: "a file stands where a folder is needed; remove it or set ALERCE_HOME elsewhere",
        }.get(error.errno or 0, f"{error.strerror or error}")
        raise StoreError(f"cannot write to {where}: {advice}") from error
