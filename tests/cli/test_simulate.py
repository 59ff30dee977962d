"""`alerce-dagster simulate`, as a person uses it."""

import io
import json
import uuid
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alerce_dagster.cli.truth import confusion, truth_beside
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


def test_the_summary_of_a_run_compares_with_the_truth(home: Path, tmp_path: Path) -> None:
    sky = tmp_path / "sky"
    made = command("simulate", "--alerts", "80", "--history", "60", "--seed", "4", "--archive", "--out", str(sky))
    assert made.returncode == 0, made.stderr
    truth = pq.read_table(sky / "truth.parquet").to_pandas()
    ran = command("run", str(sky), "--json", "--no-progress")
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["read"] == summary["stored"] == truth["n_alerts"].sum() > 80
    assert summary["nights"][-1] == "2024-03-01"
    found = summary["truth"]
    assert {name: sum(row.values()) for name, row in found.items()} == truth["stamp_class"].value_counts().to_dict()
    across = {name: sum(row[name] for row in found.values()) for name in next(iter(found.values()))}
    assert across == summary["classes"]
    assert sum(found[name].get(name, 0) for name in found) > 0.5 * len(truth)
    shown = command("run", str(sky), "--no-progress")
    assert "the simulation's truth down" in shown.stdout


def test_objects_that_are_not_in_the_truth_are_not_compared() -> None:
    found = {"a": "SN", "b": None, "c": "VS", "d": "AGN"}
    truth = {"a": "SN", "b": "SN", "c": "AGN", "z": "VS"}
    assert confusion(truth, found) == {
        "AGN": {"SN": 0, "VS": 1, "unclassified": 0},
        "SN": {"SN": 1, "VS": 0, "unclassified": 1},
    }
    assert confusion({}, found) == {}


def test_a_parquet_file_that_is_something_else_is_no_truth(tmp_path: Path) -> None:
    pq.write_table(pa.table({"oid": ["a"], "other": [1]}), tmp_path / "truth.parquet")
    assert truth_beside([str(tmp_path), str(tmp_path / "night.tar.gz"), "https://host/night.tar.gz"]) == {}
