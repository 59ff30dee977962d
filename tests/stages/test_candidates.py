"""The stage candidates: every alert accounted for, every verdict with its facts; and reports of what is stored."""

import json
import tarfile
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from alerce_dagster.reporting import candidate_rules
from alerce_dagster.reporting.at_report import Reporter, to_json
from alerce_dagster.simulation.ztf import write_simulation
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.candidates import SUPERNOVAE, make_candidates
from alerce_dagster.stages.combined import rules_hash
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.stages.tns_reports import report_of
from alerce_dagster.storage import Stores, ledger, reports, tables
from tests.stages.conftest import contents, light_curve_classifier, night_of, run_night

NIGHT = "2024-03-01"


def candidates_of(stores: Stores) -> pd.DataFrame:
    with stores.database.reading() as connection:
        return pd.DataFrame(connection.execute(sa.select(tables.candidate)).mappings())


def test_a_simulated_night_is_judged(stores: Stores, classifier, tmp_path: Path) -> None:
    """Candidates are supernovae, mostly; other rules make other candidates; a second run changes nothing."""
    write_simulation(tmp_path / "sky", n_alerts=120, nights=1, seed=5, start=date(2024, 3, 1), archive=True)
    truth = pd.read_parquet(tmp_path / "sky" / "truth.parquet").set_index("oid")
    night = night_of(stores, night=NIGHT)
    run_night(night, [tmp_path / "sky"], classifier)
    judged = candidates_of(stores)
    rules = candidate_rules.load()
    passed = judged[judged.passed.astype(bool)]
    assert len(passed) >= 5
    assert truth.loc[passed.oid].class_name.isin([*SUPERNOVAE, "TDE"]).mean() >= 0.7
    assert set(judged.rules) == {rules.identity}
    for row in judged.itertuples():
        said = row.reasons if isinstance(row.reasons, dict) else json.loads(row.reasons)
        assert list(said) == [rule.name for rule in rules.rules] or set(said) == {rule.name for rule in rules.rules}
        assert row.passed == (not candidate_rules.failed(rules, said))
        assert 0 <= row.score <= 1
    with stores.database.reading() as connection:
        entry = ledger.totals(connection, "ztf", night.night, {})["candidates"]
        best = reports.candidates_of_night(connection, "ztf", night.night)
    assert (entry.n_in, entry.n_out + entry.n_aside) == (120, 120)
    assert entry.details["candidates"] == len(passed) == len(best)
    assert [row["score"] for row in best] == sorted(passed.score, reverse=True)

    before = contents(stores)
    answers = rules_hash(classifier.model_hash, light_curve_classifier().model_hash)
    assert make_candidates(night, rules, answers).n_in == 0
    assert contents(stores) == before

    text = 'name = "strict"\nversion = 1\nlooks_at = "stamp_sn >= 0.9"\n[[rule]]\nname = "bright"\nsays = "bright"\n'
    strict = candidate_rules.parse(text + 'when = "mag < 18.5"\nunknown = false\n', "strict.toml")
    assert make_candidates(night, strict, answers).n_in == 120
    left = candidates_of(stores)
    assert len(left) < len(judged)
    assert set(left.rules) == {strict.identity}


@pytest.mark.realdata
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_real_report_is_made_of_its_real_packet(stores: Stores, real_data: Path) -> None:
    """A packet with its history holds all that ALeRCE's report of the object said of its discovery."""
    oid = "ZTF23abhvsbo"
    index = pd.read_csv(real_data / "ztf_alerts" / "INDEX.csv")
    file = real_data / "ztf_alerts" / index[index.objectId == oid].file.iloc[0]
    with tarfile.open(real_data / "tns" / "bulk_reports_sample.tar.xz") as archive:
        bulks = [json.load(text) for member in archive if member.isfile() and (text := archive.extractfile(member))]
    (real,) = [one for bulk in bulks for one in (bulk.get("at_report") or {}).values() if one["internal_name"] == oid]
    night = night_of(stores, night="2023-10-18")
    ingest(night, read_places([str(file)]))
    make_detections(night)
    make_objects(night)
    with stores.database.reading() as connection:
        made = to_json([report_of(connection, "ztf", oid, Reporter("74", "48", real["reporter"]))])["at_report"]["0"]
    for name in ("discovery_datetime", "at_type", "reporting_group_id", "discovery_data_source_id", "non_detection"):
        assert made[name] == real[name], name
    first, theirs = made["photometry"]["photometry_group"]["0"], real["photometry"]["photometry_group"]["0"]
    numbers = ("flux", "flux_error", "limiting_flux")
    assert {k: v for k, v in first.items() if k not in numbers} == {k: v for k, v in theirs.items() if k not in numbers}
    for name in numbers:
        assert float(first[name]) == pytest.approx(float(theirs[name]), abs=5e-5)
    for name in ("ra", "dec"):  # of ten detections here, of one there, which scatter
        assert float(made[name]["value"]) == pytest.approx(float(real[name]["value"]), abs=0.3 / 3600)
        assert made[name]["error"] == real[name]["error"]
