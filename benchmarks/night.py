"""One night through all stages in this process: alerts/s, CPU seconds and memory of each stage, as JSON."""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.catalogs.in_use import InUse
from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.stages import Night
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.classifications import make_classifications
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.features import make_features
from alerce_dagster.stages.hosts import make_hosts
from alerce_dagster.stages.identity import make_identity
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.stamps import make_stamps
from alerce_dagster.stages.watch import make_watch_matches
from alerce_dagster.stages.xmatches import make_xmatches
from alerce_dagster.storage import Stores, schema
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database
from alerce_dagster.surveys import get_survey
from benchmarks.packets import NIGHT, copies, templates


def run(n: int, database_url: str | None = None) -> dict:
    """Measure a night of `n` packets; the counts of every stage are asserted."""
    with tempfile.TemporaryDirectory(prefix="alerce-bench-") as folder:
        stores = Stores(Database(database_url or f"sqlite:///{folder}/alerce.db"), Archive(f"{folder}/archive"))
        schema.upgrade(stores.database)
        night = Night(stores, get_survey("ztf"), date.fromisoformat(NIGHT), "bench")
        kind, sources = templates()
        classifier = StampClassifier.load()
        _warm(Path(folder), sources, classifier)
        stages: dict[str, Callable] = {
            "alerts": lambda: ingest(night, copies(sources, n)).entry,
            "stamps": lambda: make_stamps(night),
            "detections": lambda: make_detections(night),
            "objects": lambda: make_objects(night),
            "xmatches": lambda: make_xmatches(night, InUse({}, {}, {})),
            "hosts": lambda: make_hosts(night, GalaxyCatalogues({})),
            "features": lambda: make_features(night),
            "classifications": lambda: make_classifications(night, classifier),
            "identity": lambda: make_identity(night),
            "watch_matches": lambda: make_watch_matches(night),
        }
        found: dict = {"packets": kind, "n": n, "stages": {}}
        for name, stage in stages.items():
            wall, cpu = time.perf_counter(), time.process_time()
            entry = stage()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            assert entry.n_in == entry.n_out + entry.n_aside == n, (name, entry)
            found["stages"][name] = {
                "seconds": round(wall, 3),
                "alerts_per_s": round(n / wall, 1),
                "cpu_ms_per_alert": round(1000 * cpu / n, 3),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            }
        store = sum(found["stages"][name]["seconds"] for name in ("alerts", "stamps", "detections"))
        whole = sum(stage["seconds"] for stage in found["stages"].values())
        found["decode_cutouts_archive_database_per_s"] = round(n / store, 1)
        found["all_stages_per_s"] = round(n / whole, 1)
        stores.database.engine.dispose()
        return found


def _warm(folder: Path, sources: list, classifier: StampClassifier) -> None:
    """Compile and load everything once, on a night of its own: start-up is not what is measured."""
    stores = Stores(Database(f"sqlite:///{folder}/warm.db"), Archive(f"{folder}/warm"))
    schema.upgrade(stores.database)
    night = Night(stores, get_survey("ztf"), date.fromisoformat(NIGHT), "warm")
    ingest(night, copies(sources, 50))
    make_stamps(night)
    make_detections(night)
    make_objects(night)
    make_classifications(night, classifier)
    stores.database.engine.dispose()


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), *sys.argv[2:3])))
