"""The shape of the published broker comparison: a night of 29,142 alerts over some 27,600 objects whose history is
stored, a catalogue of 1.9 million rows, classifiers and 25 filters, from the first message to the last output, as JSON.

The packets are simulated. They wait on disk as one nightly archive and are taken in micro-batches, each through all
stages, as from a stream whose backlog is the whole night. An alert's latency runs from the moment its packet is read.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.in_use import InUse, open_in_use
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.simulation.ztf import write_simulation
from alerce_dagster.stages import Night, batches
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.classifications import make_classifications
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.stamps import make_stamps
from alerce_dagster.stages.xmatches import make_xmatches
from alerce_dagster.storage import Stores, ledger, schema
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database
from alerce_dagster.storage.ledger import Entry
from alerce_dagster.surveys import get_survey
from alerce_dagster.surveys.sources import SourcedPacket, iter_packets
from benchmarks.filters import FILTERS, passed, products

ALERTS, CATALOGUE_ROWS = 29_142, 1_900_000
OBJECTS_PER_ALERT = 5.15  # on the simulated sky: then some 27,600 different ones alert, nearly all once
NIGHT = date(2024, 3, 1)
AT_A_TIME = 2_000  # alerts of a micro-batch
HISTORY = 60  # nights
_LASTING = ("AGN", "SN", "VS")


@dataclass
class Cost:
    """What a stage has taken so far."""

    seconds: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    entry: Entry = field(default_factory=lambda: Entry("", NIGHT, "", "", ""))

    def figures(self, n: int) -> dict:
        """Of `n` alerts."""
        return {
            "seconds": round(self.seconds, 2),
            "alerts_per_s": round(n / self.seconds, 1),
            "cpu_ms_per_alert": round(1000 * self.cpu / n, 3),
            "peak_mb": self.peak_mb,
        }

    def run(self, stage: Callable[[], Entry]) -> None:
        """Run a stage once and add up."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.entry.add(stage())
        self.seconds += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        self.peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def run(n: int, rows: int, at_a_time: int) -> dict:
    """Measure a night of `n` alerts against a catalogue of `rows`; the counts of every stage are asserted."""
    with tempfile.TemporaryDirectory(prefix="alerce-bench-") as name:
        folder = Path(name)
        began = time.perf_counter()
        prepare = [sys.executable, "-m", "benchmarks.broker", str(n), "--catalogue", str(rows), "--prepare", name]
        subprocess.run(prepare, check=True)  # in a process of its own: its memory is not counted here
        prepared = time.perf_counter() - began
        known = json.loads((folder / "prepared.json").read_text())
        night, archive, catalogues, classifier = _opened(folder, NIGHT)
        costs: dict[str, Cost] = defaultdict(Cost)
        wall, cpu = time.perf_counter(), time.process_time()
        outputs, late = _process(night, archive, catalogues, classifier, at_a_time, costs)
        pq.write_table(pa.concat_tables(outputs), folder / "passed.parquet")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        _check(n, costs, known["planted"], folder / "passed.parquet")
        night.stores.database.engine.dispose()
    return known | {
        "alerts": n,
        "catalogue_rows": rows,
        "matched": costs["xmatches"].entry.details["reference matched"],
        "filters": len(FILTERS),
        "passed": sum(part.num_rows for part in outputs),
        "micro_batch": at_a_time,
        "preparation_seconds": round(prepared, 1),
        "seconds": round(wall, 2),
        "alerts_per_s": round(n / wall, 1),
        "cpu_ms_per_alert": round(1000 * cpu / n, 3),
        "latency_s": {f"p{q}": round(float(np.percentile(late, q)), 2) for q in (50, 90, 95, 99, 100)},
        "peak_mb": costs["filters"].peak_mb,
        "stages": {stage: cost.figures(n) for stage, cost in costs.items()},
    }


def prepare(folder: Path, n: int, rows: int) -> None:
    """The sky, the catalogue, and the stores with the history of all objects."""
    sky = {"n_alerts": n, "nights": 1, "seed": 1, "n_objects": round(OBJECTS_PER_ALERT * n), "history": HISTORY}
    truth = write_simulation(folder / "sky", archive=True, start=NIGHT, **sky)
    planted = _write_catalogue(folder, truth, rows)
    costs: dict[str, Cost] = defaultdict(Cost)
    for file in sorted((folder / "sky").glob("*.tar.gz"))[:-1]:
        day = date.fromisoformat(file.name.split("_")[2][:8])
        night, archive, catalogues, classifier = _opened(folder, day)
        _process(night, archive, catalogues, classifier, AT_A_TIME, costs)
        night.stores.database.engine.dispose()
    known = {
        "packets": "simulated ZTF packets",
        "objects": truth.num_rows,
        "planted": planted,
        "history_nights": HISTORY,
        "alerts_preloaded": costs["alerts"].entry.n_in,
    }
    (folder / "prepared.json").write_text(json.dumps(known))


def _opened(folder: Path, day: date) -> tuple[Night, Path, InUse, StampClassifier]:
    stores = Stores(Database(f"sqlite:///{folder}/alerce.db"), Archive(f"{folder}/archive"))
    schema.upgrade(stores.database)
    night = Night(stores, get_survey("ztf"), day, "bench")
    archive = folder / "sky" / f"ztf_public_{day:%Y%m%d}.tar.gz"
    return night, archive, open_in_use(Library(folder / "catalogs")), StampClassifier.load()


def _process(
    night: Night, archive: Path, catalogues: InUse, classifier: StampClassifier, at_a_time: int, costs: dict[str, Cost]
) -> tuple[list[pa.Table], np.ndarray]:
    """A night's archive in micro-batches through all stages: what passed the filters, and each alert's latency in s."""
    outputs: list[pa.Table] = []
    latencies = [np.zeros(0)]
    packets = _timed(iter_packets(str(archive)))
    while taken := list(islice(packets, at_a_time)):
        read_at, chunk = zip(*taken, strict=True)
        for stage, work in _stages(night, list(chunk), catalogues, classifier, outputs).items():
            costs[stage].run(work)
        latencies.append(time.perf_counter() - np.array(read_at))
    return outputs, np.concatenate(latencies)


def _stages(
    night: Night, chunk: list[SourcedPacket], catalogues: InUse, classifier: StampClassifier, outputs: list[pa.Table]
) -> dict[str, Callable[[], Entry]]:
    """All stages of a micro-batch, in their order."""
    return {
        "alerts": lambda: ingest(night, chunk).entry,
        "stamps": lambda: make_stamps(night),
        "detections": lambda: make_detections(night),
        "objects": lambda: make_objects(night),
        "xmatches": lambda: make_xmatches(night, catalogues),
        "classifications": lambda: make_classifications(night, classifier),
        "filters": lambda: _filter(night, outputs),
    }


def _filter(night: Night, outputs: list[pa.Table]) -> Entry:
    """Put the batches that have not been filtered through the filters."""
    total = night.entry("filters", "1")
    for batch in batches.pending(night, "filters", "1"):
        with night.stores.database.reading() as connection:
            table = products(night.stores, connection, batch)
        outputs.append(passed(table))
        entry = night.entry("filters", "1", batch.batch_id)
        entry.n_in = entry.n_out = table.num_rows
        with night.stores.database.writing() as connection:
            ledger.record(connection, entry)
        total.add(entry)
    return total


def _timed(packets: Iterator[SourcedPacket]) -> Iterator[tuple[float, SourcedPacket]]:
    for packet in packets:
        yield time.perf_counter(), packet


def _write_catalogue(folder: Path, truth: pa.Table, rows: int) -> int:
    """A catalogue with a source 0.3 arcsec from every lasting object, the rest anywhere; returns how many such."""
    rng = np.random.default_rng(1)
    frame = truth.to_pandas()
    lasting = frame[frame["stamp_class"].isin(_LASTING)]
    rest = rows - len(lasting)
    angle = rng.uniform(0, 2 * np.pi, len(lasting))
    ra = lasting["ra"] + 0.3 / 3600 * np.cos(angle) / np.cos(np.radians(lasting["dec"]))
    table = {
        "ra": np.concatenate([ra % 360, rng.uniform(0, 360, rest)]),
        "dec": np.concatenate(
            [lasting["dec"] + 0.3 / 3600 * np.sin(angle), np.degrees(np.arcsin(rng.uniform(-1, 1, rest)))]
        ),
        "id": np.arange(rows),
        "g": rng.uniform(14, 22, rows),
        "w1": rng.uniform(8, 17, rows),
    }
    pq.write_table(pa.table(table), folder / "catalogue.parquet")
    Library(folder / "catalogs").add("reference", open_source([folder / "catalogue.parquet"]), Wanted(), Recipe())
    return len(lasting)


def _check(n: int, costs: dict[str, Cost], planted: int, output: Path) -> None:
    for stage, cost in costs.items():
        assert cost.entry.n_in == cost.entry.n_out + cost.entry.n_aside == n, (stage, cost.entry)
    matched = costs["xmatches"].entry.details["reference matched"]
    # An object of two micro-batches is matched twice; hardly any source lies near an asteroid by chance.
    assert planted <= matched <= 1.1 * planted, (planted, matched)
    names = set(pq.read_table(output)["filter"].to_pylist())
    assert names == set(FILTERS) or n < ALERTS, set(FILTERS) - names


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("alerts", type=int, nargs="?", default=ALERTS)
    parser.add_argument("--catalogue", type=int, default=CATALOGUE_ROWS)
    parser.add_argument("--at-a-time", type=int, default=AT_A_TIME)
    parser.add_argument("--prepare", type=Path)
    options = parser.parse_args()
    if options.prepare:
        prepare(options.prepare, options.alerts, options.catalogue)
        sys.exit()
    print(json.dumps(run(options.alerts, options.catalogue, options.at_a_time)))
