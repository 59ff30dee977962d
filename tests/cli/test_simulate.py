"""`alerce-dagster simulate`, as a person uses it."""

import io
import uuid
from pathlib import Path

import fastavro
import pyarrow.parquet as pq
import pytest

from tests.cli.test_run import command
from tests.kafka import Broker
from tests.simulation.test_stream import received


def test_a_night_to_kafka_with_its_truth_in_a_folder(kafka: Broker, tmp_path: Path) -> None:
    name = uuid.uuid4().hex[:8]
    pace = ("--rate", "200", "--burst", "20", "--topic", f"{name}_%Y%m%d")
    result = command("simulate", "--alerts", "40", "--kafka", kafka.address, "--out", str(tmp_path), *pace)
    assert result.returncode == 0, result.stderr
    assert "40 packets of" in result.stderr
    messages = received(kafka, f"{name}_20240301")
    truth = pq.read_table(tmp_path / "truth.parquet")
    found = {next(fastavro.reader(io.BytesIO(message.value())))["objectId"] for message in messages}
    assert len(messages) == 40
    assert found == set(truth["oid"].to_pylist())
    assert [path.name for path in tmp_path.iterdir()] == ["truth.parquet"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ((), 2, "give --out FOLDER or --kafka BROKERS"),
        (("--out", "sky", "--rate", "10"), 2, "give --kafka BROKERS too"),
        (("--kafka", "localhost:1", "--burst", "10"), 2, "give --rate too"),
    ],
)
def test_wishes_that_make_no_sense(tmp_path: Path, arguments: tuple[str, ...], code: int, reason: str) -> None:
    result = command("simulate", *arguments)
    assert result.returncode == code
    assert reason in result.stderr
