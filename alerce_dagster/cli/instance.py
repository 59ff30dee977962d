"""The Dagster instance as the command line opens it: warm, for hundreds of short runs in one process."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    import dagster as dg

    from alerce_dagster.settings import Settings


@contextmanager
def warm_instance(settings: "Settings") -> Iterator["dg.DagsterInstance"]:
    """The instance at DAGSTER_HOME.

    Dagster opens a connection for every event. On SQLite closing the last one writes the whole log back, and every
    commit waits for the disk: together four fifths of a small night. While this is open, one idle connection to each
    file keeps the log, and commits do not wait. A power cut may cost the last lines of Dagster's history; the
    products have a database of their own.
    """
    import dagster as dg

    # Dagster has no public way to open an instance with a setting overridden. Standard output is not captured: it
    # belongs to the progress bars here.
    from dagster._core.instance.ref import InstanceRef

    no_capture = {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    ref = InstanceRef.from_dir(str(settings.dagster_home), overrides={"compute_logs": no_capture})
    with ExitStack() as stack:
        stack.enter_context(_commits_do_not_wait())
        instance = stack.enter_context(dg.DagsterInstance.from_ref(ref))
        for file in settings.dagster_home.rglob("*.db"):
            idle = stack.enter_context(closing(sqlite3.connect(file, timeout=30)))
            idle.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield instance


@contextmanager
def _commits_do_not_wait() -> Iterator[None]:
    """SQLite connections that are opened meanwhile, by any engine, commit to the log without waiting for the disk."""

    def relax(connection, _record) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=NORMAL")

    sa.event.listen(sa.engine.Engine, "connect", relax)
    try:
        yield
    finally:
        sa.event.remove(sa.engine.Engine, "connect", relax)
