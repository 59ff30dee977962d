"""Files of data releases that arrive in the folder ALERCE_RELEASES become partitions and runs.

A field is asked for once its files have been left alone for a minute, and again when they change. The sensor asks once
for each state of the files; the daily schedule asks again for fields that have no products, as after a failure.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from alerce_dagster.assets.releases import JOB, PARTITIONS, PRODUCTS
from alerce_dagster.releases.files import FieldFiles, fields_in
from alerce_dagster.settings import Settings, releases_source

_EVERY = 60  # seconds
_AT_ONCE = 20  # fields that a tick asks for
_ON = bool(os.environ.get("ALERCE_RELEASES"))

release_field = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(*PRODUCTS),
    description="One field of a data release: its light curves loaded, recalibrated and tested for variability.",
    tags={"alerce/kind": "release"},
)


@dataclass(frozen=True)
class Wanted:
    """A field to run, under a key that is the same for the same state of its files."""

    partition: str
    run_key: str


def wanted(fields: Sequence[FieldFiles], asked: set[str]) -> list[Wanted]:
    """The fields whose present files have not been asked for, the first few of them."""
    new = [Wanted(field.partition, f"{field.partition}:{field.digest}") for field in fields]
    return [want for want in new if want.run_key not in asked][:_AT_ONCE]


def _found() -> list[FieldFiles] | str:
    """The fields in the folder, or why there are none to see: a folder that cannot be read is not an empty one."""
    folder = releases_source()
    if folder is None:
        return "ALERCE_RELEASES is not set"
    try:
        return fields_in(folder)
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror or error}"


@dg.sensor(
    job=release_field,
    minimum_interval_seconds=_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING if _ON else dg.DefaultSensorStatus.STOPPED,
    description="Starts a run for each field whose data-release files are new or have changed.",
)
def release_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Add partitions and ask for runs."""
    fields = _found()
    if isinstance(fields, str):
        return dg.SkipReason(fields)
    asked = set((context.cursor or "").split("\n")) if context.cursor else set()
    now = wanted(fields, asked)
    if not now:
        return dg.SkipReason(f"{len(fields)} fields, none of them new")
    present = {f"{field.partition}:{field.digest}" for field in fields}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=w.run_key, partition_key=w.partition) for w in now],
        dynamic_partitions_requests=[PARTITIONS.build_add_request(sorted({w.partition for w in now}))],
        cursor="\n".join(sorted((asked & present) | {w.run_key for w in now})),
    )


@dg.schedule(
    job=release_field,
    cron_schedule="30 12 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING if _ON else dg.DefaultScheduleStatus.STOPPED,
    description="Asks again for fields of data releases that have files and no products.",
)
def unfinished_releases(context: dg.ScheduleEvaluationContext):
    """Ask for what is missing."""
    fields = _found()
    if isinstance(fields, str):
        return dg.SkipReason(fields)
    known = set(context.instance.get_dynamic_partitions(str(PARTITIONS.name)))
    releases = Settings.from_environment().releases
    made = {f.partition for f in fields if (releases / f.partition / "variability").is_dir()}
    missing = [f.partition for f in fields if f.partition in known - made]
    if not missing:
        return dg.SkipReason("every field that was asked for has its products")
    return [dg.RunRequest(partition_key=partition) for partition in missing[:_AT_ONCE]]
