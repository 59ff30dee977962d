"""History is forgotten, but no night looks as if it had never been made."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from alerce_dagster.sensors.retention import retention, superseded
from tests.zpackets import NIGHT


@dg.asset(partitions_def=dg.DailyPartitionsDefinition("2020-01-01"))
def product(context: dg.AssetExecutionContext) -> None:
    """Made, or not, as the run's tags say."""
    if context.run.tags.get("fail"):
        raise dg.Failure("as asked")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def make(instance: dg.DagsterInstance, night: str, **tags: str) -> str:
    result = dg.materialize([product], instance=instance, partition_key=night, tags=tags, raise_on_error=False)
    return result.run_id


def test_the_latest_success_of_a_night_stays(instance, home) -> None:
    first = make(instance, NIGHT)
    other = make(instance, "2020-01-16")
    second = make(instance, NIGHT)
    failed = make(instance, NIGHT, fail="yes")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert set(superseded(instance, tomorrow)) == {first, failed}
    assert not set(superseded(instance, datetime.now(UTC) - timedelta(days=1)))
    days = {"config": {"days": -1}}
    config = {"ops": {"forget_superseded_runs": days, "compact_offsets": days}}
    assert retention.execute_in_process(instance=instance, run_config=config).success
    assert {second, other} <= {run.run_id for run in instance.get_runs()}
    assert instance.get_run_by_id(first) is None
    assert instance.get_materialized_partitions(product.key) == {NIGHT, "2020-01-16"}
