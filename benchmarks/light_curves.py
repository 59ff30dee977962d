"""The light-curve classifier: from stored detections to answers, and one object alone.

`python -m benchmarks.light_curves 1000` prints JSON: seconds and CPU seconds per 10,000 objects of reading from the
database, inputs, and trees; milliseconds of the trees for one object; and each as a ratio to the reference, imbalanced
forests' own prediction of one object in the same process.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from alerce_dagster.classifiers.light_curve_inputs import inputs
from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.lightcurves.features.batch import select
from alerce_dagster.simulation.light_curves import simulate_light_curves
from alerce_dagster.stages.light_curves import stored_light_curves
from alerce_dagster.storage import schema, tables
from alerce_dagster.storage.database import APPEND, Database

PER = 10_000


def timed(function: Callable[[], object]) -> tuple[object, dict[str, float]]:
    """What it returns, with its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def forest_alone(x: np.ndarray, y: np.ndarray) -> float:
    """Milliseconds that imbalanced-learn's forest of 500 trees takes for one object."""
    from imblearn.ensemble import BalancedRandomForestClassifier

    forest = BalancedRandomForestClassifier(
        500, max_depth=10, sampling_strategy="all", replacement=True, bootstrap=False, random_state=1
    ).fit(np.nan_to_num(x), y)
    forest.predict_proba(np.nan_to_num(x[:1]))
    begin = time.process_time()
    for _ in range(5):
        forest.predict_proba(np.nan_to_num(x[:1]))
    return (time.process_time() - begin) / 5 * 1000


def main() -> None:
    """Simulate, store, read, compute, predict."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    made = simulate_light_curves(max(n // 17, 1), seed=5)
    detections = correct(made.detections)
    oids = sorted(set(made.objects["oid"].to_pylist()))
    classifier = LightCurveClassifier.load()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        schema.upgrade(database)
        rows = detections.append_column("survey", pa.repeat(pa.scalar("ztf"), detections.num_rows))
        with database.writing() as connection:
            database.write(connection, tables.detection, rows, APPEND)
        with database.reading() as connection:
            read = lambda: stored_light_curves(database, connection, "ztf", oids).batch  # noqa: E731
            read()
            batch, reading = timed(read)
    inputs(select(batch, np.arange(20)))  # compiled
    classifier.predict(inputs(select(batch, np.arange(20))))
    x, computing = timed(lambda: inputs(batch))
    classifier.predict(np.tile(x, (2, 1))[:300])
    _, trees = timed(lambda: classifier.predict(x))
    begin = time.process_time()
    for i in range(200):
        classifier.predict(x[i % len(x)][None])
    alone = (time.process_time() - begin) / 200 * 1000
    kind = {
        oid: name for oid, name in zip(made.truth["oid"].to_pylist(), made.truth["class_name"].to_pylist(), strict=True)
    }
    reference = forest_alone(x, np.array([kind[oid] for oid in batch.oids]))
    found: dict[str, float] = {"light curves: objects measured": len(batch)}
    for name, figures in (("reading", reading), ("inputs", computing), ("trees", trees)):
        for key, value in figures.items():
            found[f"light curves: {name}, {key.replace('_', ' ')} for 10,000"] = round(value * PER / len(batch), 2)
    found["light curves: trees for one object, CPU ms"] = round(alone, 3)
    found["light curves: forest of 500 for one object, CPU ms"] = round(reference, 2)
    found["light curves: trees to forest, one object"] = round(alone / reference, 4)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
