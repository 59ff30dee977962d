"""The Dagster instance as the command line opens it: warm, for hundreds of short runs in one process."""

import logging
import os
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any, TextIO

import sqlalchemy as sa

from alerce_dagster.errors import AlerceError, StoreError
from alerce_dagster.storage.database import explain
from alerce_dagster.storage.locks import file_lock

if TYPE_CHECKING:
    import dagster as dg

    from alerce_dagster.settings import Settings


@contextmanager
def warm_instance(settings: "Settings") -> Iterator["dg.DagsterInstance"]:
    """The instance at DAGSTER_HOME.

    Raises
    ------
    StoreError
        When Dagster's state cannot be used, here or in the block.
    """
    import dagster as dg

    # Dagster has no public way to open an instance with a setting overridden. Standard output is not captured: it
    # belongs to the progress bars here.
    from dagster._core.instance.ref import InstanceRef

    no_capture = {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    ref = InstanceRef.from_dir(str(settings.dagster_home), overrides={"compute_logs": no_capture})
    with ExitStack() as stack:
        stack.enter_context(_explained(settings))
        stack.enter_context(redirect_stderr(_WithoutRepetitions(sys.stderr)))
        # Dagster makes its tables on the first opening, and does not expect company there.
        with file_lock(settings.dagster_home / "opening.lock"), _without_warnings():
            instance = stack.enter_context(dg.DagsterInstance.from_ref(ref))
        end_dead_runs(instance)
        yield instance


def process_tags() -> dict[str, str]:
    """Tags of a run that this process executes."""
    return {
        "alerce/started_by": "alerce-dagster run",
        "alerce/host": socket.gethostname(),
        "alerce/process": str(os.getpid()),
    }


def end_dead_runs(instance: "dg.DagsterInstance") -> None:
    """Mark the runs of killed processes as failed.

    Dagster believes them alive for ever, and lets no other run into their pool.
    """
    import dagster as dg

    mine = {name: process_tags()[name] for name in ("alerce/started_by", "alerce/host")}
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished, tags=mine)):
        if not _lives(int(run.tags["alerce/process"])):
            instance.report_run_failed(run, "The process that executed this run has died.")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Dagster tells of each attempt to reach its database; the last one's error says it all."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class _WithoutRepetitions:
    """Standard error, without what Dagster writes there about a fault that it raises as well."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, unless it is such a line."""
        return len(text) if text.startswith("Exception while writing logger call") else self._stream.write(text)


@contextmanager
def _explained(settings: "Settings") -> Iterator[None]:
    """Faults of Dagster's own storage, however deep Dagster has wrapped them, in one sentence."""
    try:
        yield
    except AlerceError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, sa.exc.DBAPIError | sqlite3.Error | OSError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        setting = "DAGSTER_DATABASE_URL" if os.environ.get("DAGSTER_DATABASE_URL") else "DAGSTER_HOME"
        said = (cause.strerror if isinstance(cause, OSError) else None) or explain(cause, setting)
        raise StoreError(f"Dagster's own state ({settings.dagster_home}): {said}") from error
