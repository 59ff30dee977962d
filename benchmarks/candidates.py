"""How many supernovae the candidate rules find, and how many candidates are supernovae, on simulated nights.

    python -m benchmarks.candidates --seeds 101 102 --alerts 4000 --nights 4

Nights are read one after the other as the broker reads them, and the candidates looked at after each. A supernova
counts for recall when an alert of it within a day of its first detection is brighter than --mag; it is found when it is
a candidate after a night within that day. Purity is the share of supernovae among the objects that became candidates,
all of them and those brighter than --mag. Rules are tuned on other seeds than those that are told of.
"""

import argparse
import json
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.reporting import candidate_rules
from alerce_dagster.reporting.candidate_rules import Rules
from alerce_dagster.simulation.ztf import write_simulation
from alerce_dagster.stages import Night
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.candidates import SUPERNOVAE, make_candidates
from alerce_dagster.stages.classifications import make_classifications
from alerce_dagster.stages.combined import make_combined, rules_hash
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.hosts import make_hosts
from alerce_dagster.stages.lightcurve_classifications import make_lightcurve_classifications
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.stages.stamps import make_stamps
from alerce_dagster.storage import Stores, schema, tables
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database
from alerce_dagster.surveys import get_survey


def judged_nights(folder: Path, packets: Path, rules: Rules) -> pd.DataFrame:
    """Candidates after each night: one row per object that the rules looked at and night, with its first detection."""
    stores = Stores(Database(f"sqlite:///{folder / 'alerce.db'}"), Archive(str(folder / "archive")))
    schema.upgrade(stores.database)
    stamps, curves = StampClassifier.load(threads=1), LightCurveClassifier.load()
    found = []
    for file in sorted(packets.glob("ztf_public_*.tar.gz")):
        text = file.name.removeprefix("ztf_public_")[:8]
        night = Night(stores, get_survey("ztf"), date(int(text[:4]), int(text[4:6]), int(text[6:])), "benchmark")
        ingest(night, read_places([str(file)]))
        make_stamps(night)
        make_detections(night)
        make_objects(night)
        make_hosts(night, GalaxyCatalogues.among({}))
        make_classifications(night, stamps)
        make_lightcurve_classifications(night, curves)
        make_combined(night, stamps.model_hash, curves)
        make_candidates(night, rules, rules_hash(stamps.model_hash, curves.model_hash))
        found.append(_after(stores, night.night))
    return pd.concat(found, ignore_index=True)


def _after(stores: Stores, night: date) -> pd.DataFrame:
    alert, object_, candidate = tables.alert, tables.object_, tables.candidate
    chosen = (
        sa.select(
            alert.c.oid,
            sa.func.min(alert.c.mag).label("mag"),
            sa.func.max(alert.c.mjd).label("mjd"),
            sa.func.min(object_.c.first_mjd).label("first_mjd"),
            sa.func.max(sa.cast(candidate.c.passed, sa.Integer)).label("passed"),
            sa.func.max(candidate.c.score).label("score"),
            sa.func.max(sa.cast(candidate.c.reasons, sa.Text)).label("reasons"),
        )
        .join(object_, (object_.c.survey == alert.c.survey) & (object_.c.oid == alert.c.oid))
        .join(candidate, (candidate.c.survey == alert.c.survey) & (candidate.c.oid == alert.c.oid), isouter=True)
        .where(alert.c.night == night)
        .group_by(alert.c.oid)
    )
    with stores.database.reading() as connection:
        return pd.DataFrame(connection.execute(chosen).mappings()).assign(night=night)


def measured(nights: pd.DataFrame, truth: pd.DataFrame, mag: float) -> dict[str, float | int]:
    """Recall and purity, and their counts."""
    nights = nights.merge(truth[["oid", "class_name"]], on="oid")
    nights["passed"] = nights["passed"].fillna(0).astype(bool)
    nights["supernova"] = nights.class_name.isin(SUPERNOVAE)
    young = nights[nights.mjd - nights.first_mjd <= 1.0]
    due = young[young.supernova & (young.mag < mag)].oid.unique()
    found = young[young.passed & young.oid.isin(due)].oid.unique()
    passed = nights[nights.passed].drop_duplicates("oid")
    bright = passed[passed.mag < mag]
    told: dict[str, float | int] = {
        "due": len(due),
        "found": len(found),
        "recall": round(len(found) / max(len(due), 1), 3),
    }
    for name, of in (("", passed), ("_bright", bright), ("_young", young[young.passed].drop_duplicates("oid"))):
        n = int(of.supernova.sum())
        told |= {f"candidates{name}": len(of), f"purity{name}": round(n / max(len(of), 1), 3)}
    whole = nights[nights.supernova & (nights.mag < mag)]
    told["all_due"], told["all_recall"] = (
        whole.oid.nunique(),
        round(whole[whole.passed].oid.nunique() / max(whole.oid.nunique(), 1), 3),
    )
    return told


def main() -> None:
    """Measure every seed and all together."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, nargs="+", required=True)
    options.add_argument("--alerts", type=int, default=4000)
    options.add_argument("--nights", type=int, default=4)
    options.add_argument("--objects", type=int)
    options.add_argument("--history", type=int, default=60)
    options.add_argument("--mag", type=float, default=19.5)
    options.add_argument("--rules", type=Path, help="another rules file than the shipped one")
    options.add_argument("--keep", type=Path, help="folder for the judged nights, as Parquet")
    given = options.parse_args()
    rules = candidate_rules.load(given.rules)
    everything, truths = [], []
    for seed in given.seeds:
        with tempfile.TemporaryDirectory(prefix="alerce-candidates-") as name:
            folder = Path(name)
            sky = {"n_alerts": given.alerts, "n_objects": given.objects, "nights": given.nights}
            truth = write_simulation(
                folder / "sky", archive=True, seed=seed, history=given.history, start=date(2024, 3, 1), **sky
            ).to_pandas()
            nights = judged_nights(folder, folder / "sky", rules)
        print(seed, json.dumps(measured(nights, truth, given.mag)), flush=True)
        everything.append(nights.assign(oid=f"{seed} " + nights.oid))
        truths.append(truth.assign(oid=f"{seed} " + truth.oid))
    nights, truth = pd.concat(everything), pd.concat(truths)
    print("all", json.dumps(measured(nights, truth, given.mag)))
    if given.keep:
        nights.merge(truth[["oid", "stamp_class", "class_name", "explosion_mjd"]], on="oid").to_parquet(given.keep)
    named = nights[nights.passed == 1].drop_duplicates("oid").merge(truth, on="oid")
    print("candidates by true class", dict(Counter(named.class_name).most_common()))


if __name__ == "__main__":
    main()
