"""Feeding quarantined packets back through the ordinary run."""

import tempfile
from pathlib import Path

from alerce_dagster.errors import InputError
from alerce_dagster.settings import Settings, prepare_dagster_home
from alerce_dagster.storage import Stores, quarantine


def replay_packets(stores: Stores, survey: str, ids: list[str], mended: Path | None) -> tuple[int, int]:
    """Run the packets (all open ones without `ids`) again; returns how many were stored, and how many were not.

    Raises
    ------
    InputError
        When an id is not in the quarantine or the mended file cannot be opened.
    """
    from alerce_dagster.cli.bars import progress_bars
    from alerce_dagster.cli.run import run_nights
    from alerce_dagster.streams.wire import Schemas, packets_of
    from alerce_dagster.surveys import PacketError

    with stores.database.reading() as connection:
        rows = [quarantine.find(connection, i) for i in ids] or quarantine.listing(connection, survey)
    settings = Settings.from_environment()
    prepare_dagster_home(settings)
    stored = 0
    schemas = Schemas.from_environment(survey)
    with tempfile.TemporaryDirectory(prefix="alerce-replay-") as folder:
        for row in rows:
            data = _bytes(stores, row, mended)
            try:
                # A message with a schema number, whose schema is there by now, becomes a packet like any other.
                packets = packets_of(data, schemas)
            except PacketError:
                continue
            data = packets[0].container if len(packets) == 1 else data
            # A folder of its own for each: the run's summary tells whether this one was stored.
            file = Path(folder) / f"{row['quarantine_id']}.avro"
            file.write_bytes(data)
            summary = run_nights(settings, stores, survey, [str(file)], None, progress_bars(shown=False))
            if summary["stored"] + summary["known"] and not summary["quarantined"]:
                stored += 1
                with stores.database.writing() as connection:
                    quarantine.mark_replayed(connection, row["survey"], row["quarantine_id"])
    return stored, len(rows) - stored


def _bytes(stores: Stores, row, mended: Path | None) -> bytes:
    if mended is None:
        return quarantine.read_bytes(stores.archive, row)
    try:
        return mended.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {mended}: {error.strerror}") from error
