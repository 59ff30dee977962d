"""The candidate rules on real packets, judged by stamp classifiers that have not seen the objects they speak of.

    python -m benchmarks.candidates_real --data FOLDER --unseen /tmp/unseen.parquet

FOLDER is the folder of real data (see tests/README of `realdata`): ztf_alerts/avro, ztf_alerts/INDEX.csv, stamps, tns.
The shipped stamp model was trained on nearly all labelled packets there, so its answers about them mean nothing; each
object is judged by an ensemble of cross-validation that was fitted without it, by its cutouts alone (no light-curve
answer, whose training set holds some of these objects too). Truth is the label of the object, and whether TNS's and
BTS's lists name it. The mix of classes is that of public examples, not of the stream.
"""

import argparse
import json
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.classifiers.labelled_stamps import load_labelled
from alerce_dagster.classifiers.stamp_evaluation import unseen_predictions
from alerce_dagster.classifiers.stamp_training import Recipe, prepare_labelled
from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES
from alerce_dagster.cli.plan import plan
from alerce_dagster.reporting import candidate_rules
from alerce_dagster.reporting.candidate_rules import ANSWERS
from alerce_dagster.stages import Night
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.candidates import read_facts
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.hosts import make_hosts
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.storage import Stores, schema, tables
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database
from alerce_dagster.surveys import get_survey


def unseen(data: Path) -> pd.DataFrame:
    """Probabilities of every labelled alert by an ensemble fitted without its object: oid, candid, and each class."""
    labelled, recipe = load_labelled(data / "stamps"), Recipe()
    p = unseen_predictions(prepare_labelled(labelled, recipe), recipe, recipe.seed % 10_000)["as_is"]
    own = {"oid": labelled.objects, "candid": labelled.alerts["candid"].to_numpy()}
    return pd.DataFrame(own | {name: p[:, k] for k, name in enumerate(STAMP_CLASSES)})


def judged(data: Path, answers: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """After each night what the rules say of its labelled objects, by the alerts of these so far."""
    survey, rules, found = get_survey("ztf"), candidate_rules.load(), []
    stores = Stores(Database(f"sqlite:///{folder / 'alerce.db'}"), Archive(str(folder / "archive")))
    schema.upgrade(stores.database)
    for day, places in plan(survey, [str(data / "ztf_alerts" / "avro")]).items():
        night = Night(stores, survey, day, "benchmark")
        ingest(night, read_places(places.sources), read_places(places.again))
        make_detections(night)
        make_objects(night)
        make_hosts(night, GalaxyCatalogues.among({}))
        found.append(_judged_night(stores, answers, rules, night))
    return pd.concat(found, ignore_index=True)


def _judged_night(stores: Stores, answers: pd.DataFrame, rules: candidate_rules.Rules, night: Night) -> pd.DataFrame:
    with stores.database.reading() as connection:
        alert, object_ = tables.alert, tables.object_
        names = [alert.c[name] for name in ("oid", "candid", "mjd", "mag", "night")]
        chosen = sa.select(*names, object_.c.first_mjd).join(object_, object_.c.oid == alert.c.oid)
        alerts = pd.DataFrame(connection.execute(chosen).mappings())
        tonight = alerts[alerts.night == night.night]
        own = answers[answers.candid.isin(alerts.candid) & answers.oid.isin(tonight.oid)]
        mean = own.groupby("oid")[list(STAMP_CLASSES)].mean()
        rows = {
            "oid": mean.index.tolist(),
            "stamp_class": mean.idxmax(axis=1).tolist(),
            "stamp_sn": mean["SN"].tolist(),
        }
        rows |= {"stamp_asteroid": mean["asteroid"].tolist(), "stamp_bogus": mean["bogus"].tolist()}
        rows |= {"sn": rows["stamp_sn"], "still_sn": (mean["SN"] / (1 - mean["asteroid"])).tolist()}
        table = pa.table({f.name: pa.array(rows.get(f.name, [None] * len(mean)), f.type) for f in ANSWERS})
        table = table.filter(candidate_rules.considered(rules, table))
        verdict = candidate_rules.evaluate(rules, read_facts(stores.database, connection, "ztf", table))
    tonight = tonight.assign(age=tonight.mjd - tonight.first_mjd)
    seen = tonight.groupby("oid", as_index=False).agg(mag=("mag", "min"), age=("age", "max"))
    return seen.merge(verdict.to_pandas(), on="oid", how="left").assign(night=str(night.night))


def named_by_tns(data: Path) -> set[str]:
    """ZTF objects that the lists of TNS and BTS name."""
    names: set[str] = set()
    lists = ("tns_search_alerce_3060.csv.gz", "tns_search_ztf_9231.csv.gz", "tns_ztf_confirmed_sn_5577.parquet")
    for file in lists:
        place = data / "tns" / file
        table = pd.read_parquet(place) if place.suffix == ".parquet" else pd.read_csv(place)
        names |= {name.strip() for text in table["Disc. Internal Name"].dropna() for name in text.split(",")}
    return names | set(pd.read_csv(data / "tns" / "ztf_bts_explorer_7173.csv.gz").ZTFID)


def main() -> None:
    """Judge and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument(
        "--unseen", type=Path, required=True, help="where to keep the unseen answers (minutes to make)"
    )
    options.add_argument("--mag", type=float, default=19.5)
    given = options.parse_args()
    if not given.unseen.exists():
        unseen(given.data).to_parquet(given.unseen)
    answers = pd.read_parquet(given.unseen)
    with tempfile.TemporaryDirectory(prefix="alerce-candidates-") as folder:
        nights = judged(given.data, answers, Path(folder))
    index = pd.read_csv(given.data / "ztf_alerts" / "INDEX.csv").dropna(subset=["label"])
    nights["label"] = nights.oid.map(dict(zip(index.objectId, index.label, strict=True)))
    nights["at_tns"] = nights.oid.isin(named_by_tns(given.data))
    nights["passed"] = nights.passed.fillna(False).astype(bool)
    known = nights[nights.label.notna() & nights.oid.isin(answers.oid)]
    for name, part in {
        "all": known,
        f"brighter than {given.mag}": known[known.mag < given.mag],
        f"brighter than {given.mag}, within a day": known[(known.mag < given.mag) & (known.age <= 1.0)],
    }.items():
        by = part.groupby("oid").agg(label=("label", "last"), at_tns=("at_tns", "last"), passed=("passed", "max"))
        sn = by[(by.label == "SN") & by.at_tns]
        passed = by[by.passed]
        told = {"objects": by.label.value_counts().to_dict(), "supernovae at TNS or BTS": len(sn)}
        told |= {"found": int(sn.passed.sum()), "recall": round(float(sn.passed.mean()), 3), "candidates": len(passed)}
        told |= {
            "purity": round(float((passed.label == "SN").mean()), 3),
            "by label": passed.label.value_counts().to_dict(),
        }
        print(name, json.dumps(told))
    missed = known[(known.label == "SN") & ~known.oid.isin(known[known.passed].oid)]
    reasons = [[n for n, r in json.loads(t).items() if not r["counts"]] for t in missed.reasons.dropna()]
    print(
        "missed supernovae failed",
        json.dumps(pd.Series([n for r in reasons for n in r], dtype=str).value_counts().to_dict()),
    )


if __name__ == "__main__":
    main()
