"""What other stages know of an object is on its page and in the API, where it is stored; on both databases."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from alerce_dagster.lightcurves.features import FEATURES, VERSION
from alerce_dagster.storage import Stores, tables
from alerce_dagster.storage.database import Database
from alerce_dagster.web.access import Access
from alerce_dagster.web.app import create_app

OID = "ZTF24abcdefg"
CANDID = 2616491414115015001  # more than 2^53: JavaScript would round it
HTML = {"Accept": "text/html"}


def rows() -> list[tuple[sa.Table, dict]]:
    """One object as every stage would leave it."""
    key = {"survey": "ztf", "oid": OID}
    probabilities = {"SNIa": 0.7, "SNII": 0.2, "AGN": 0.1}
    evidence = [
        {"part": "stamp", "source": {}, "kl": 1.0, "log_ratio": {"SNIa": 1.25, "SNII": 0.75, "AGN": -2.5}},
        {"part": "host", "source": {}, "kl": 0.1, "log_ratio": {"SNIa": 0.5, "SNII": 0.5, "AGN": -3.25}},
    ]
    now = datetime(2024, 3, 2, 8, tzinfo=UTC)
    batch = {"survey": "ztf", "batch_id": "b1", "night": date(2024, 3, 2), "run_id": "run-1"}
    answer = key | {"classifier": "combined", "class_name": "SNIa", "probability": 0.7, "model": "f" * 64}
    return [
        (tables.object_, key | {"ra": 150.1, "dec": 2.2, "n_det": 1, "first_mjd": 60371.3, "last_mjd": 60371.3,
                                "healpix": 1}),
        (tables.batch, batch | {"file": "f.parquet", "n_packets": 1, "n_bytes": 1, "created_at": now}),
        (tables.alert, key | {"candid": CANDID, "mjd": 60371.3, "band": "g", "night": date(2024, 3, 2),
                              "batch_id": "b1", "file_row": 0, "content_hash": "c0ffee"}),
        (tables.alert_arrival, {"survey": "ztf", "candid": CANDID, "topic": "t", "partition": 0, "message_offset": 5,
                                "distributed_mjd": 60371.31}),
        (tables.ledger, batch | {"stage": "alerts", "version": "1", "n_in": 1, "n_out": 1, "n_known": 0, "n_aside": 0,
                                 "reasons": {}, "details": {}, "finished_at": now}),
        (tables.object_class, answer | {"probabilities": probabilities, "n_alerts": 1, "last_mjd": 60371.3}),
        (tables.object_class, key | {"classifier": "stamp_classifier", "n_alerts": 0, "model": "e" * 64}),
        (tables.classification, answer | {"candid": CANDID, "mjd": 60371.3, "probabilities": probabilities,
                                          "reason": "stamp and host", "run_id": "run-1", "evidence": evidence,
                                          "prediction_set": ["SNIa", "SNII"]}),
        (tables.classification, key | {"candid": CANDID, "mjd": 60371.3, "classifier": "stamp_classifier",
                                       "reason": "no cutout", "model": "e" * 64, "run_id": "run-1"}),
        (tables.xmatch, key | {"catalog": "allwise", "rank": 1, "catalog_id": "J100024.00+021200.0", "separation": 0.42,
                               "log_bayes": 5.5, "columns": {"W1mag": 14.123, "W2mag": None}, "snapshot": "5" * 64}),
        (tables.xmatch_state, key | {"catalog": "allwise", "state": "matched", "n_matches": 1, "radius": 3.0,
                                     "snapshot": "5" * 64, "run_id": "run-1"}),
        (tables.xmatch_state, key | {"catalog": "gaia_dr3", "state": "pending", "n_matches": 0, "radius": 1.0,
                                     "reason": "the service did not answer", "run_id": "run-1"}),
        (tables.host, key | {"catalog": "desi", "catalog_id": "3962", "host_mag": 18.2, "separation": 1.7,
                             "light_radii": 0.9, "probability": 0.97, "p_unseen": 0.02, "chance_probability": 0.004,
                             "redshift": 0.0421, "redshift_kind": "spectroscopic", "redshift_catalog": "desi",
                             "absolute_mag": -18.9, "luminosity": "plausible", "candidates": [], "snapshots": {},
                             "run_id": "run-1"}),
        (tables.candidate, key | {"candid": CANDID, "mjd": 60371.3, "passed": True, "score": 0.61, "run_id": "run-1",
                                  "reasons": {"positive": {"met": None, "counts": True, "facts": {"n_negative": 0}}},
                                  "rules": "supernovae 1 abc"}),
        (tables.tns_match, key | {"tns_name": "2024abc", "prefix": "SN", "type": "SN II", "redshift": 0.011,
                                  "separation": 0.31, "same_name": True, "snapshot": "s", "run_id": "run-1"}),
        (tables.tns_report, key | {"target": "sandbox", "state": "already_known", "approved_by": "Vera Rubin",
                                   "attempts": 0, "tns_name": "2024abc", "changed_at": now}),
        (tables.outlier, key | {"top_class": "Transient", "score": 0.93, "baseline": 0.5, "nearest": "SNIa",
                                "place": [0.0], "mjd": 60371.3, "inputs_hash": "a", "model": "d" * 64,
                                "run_id": "run-1"}),
    ]  # fmt: skip


@pytest.fixture
def whole(stores: Stores) -> Iterator[TestClient]:
    with stores.database.writing() as connection:
        for table, row in rows():
            connection.execute(table.insert().values(**row))
    url = stores.database.url.render_as_string(hide_password=False)
    reader = Database(url, seconds_per_query=5)
    with TestClient(create_app(Access(Stores(reader, stores.archive), stores.database))) as client:
        yield client
    reader.engine.dispose()


def test_the_page_shows_what_every_stage_knows(whole: TestClient) -> None:
    text = whole.get(f"/objects/{OID}", headers=HTML).text
    for expected in (
        "SNIa 70.0%", "One of SNIa, SNII in 90 %", "1.25", "-3.25", "allwise", "J100024.00+021200.0", "W1mag 14.123",
        "the service did not answer", "desi 3962", "0.0421", "plausible", "93.0%", "Undetermined", "no cutout",
        "SN 2024abc", "SN II, z = 0.0110", "under this name", "already known", "approved by Vera Rubin", "score 0.61",
        "14.4 minutes after the exposure", "/runs/run-1", "c0ffee", str(CANDID),
    ):  # fmt: skip
        assert expected in text, expected
    assert "W2mag" not in text


def test_hunter_shows_what_the_rules_let_through(whole: TestClient) -> None:
    """With how far the report is, whatever the classifiers say."""
    text = whole.get("/hunter?night=2024-03-02&kind=rules:candidate", headers=HTML).text
    for expected in (OID, "that the candidate rules let through", "SN 2024abc (SN II), already known (sandbox)"):
        assert expected in text, expected
    assert OID not in whole.get("/hunter?night=2024-03-02", headers=HTML).text


def test_the_api_tells_the_same(whole: TestClient) -> None:
    found = whole.get(f"/api/v1/objects/{OID}/xmatches").json()
    assert found["matches"][0]["columns"] == {"W1mag": 14.123, "W2mag": None}
    assert [row["state"] for row in found["searched"]] == ["matched", "pending"]
    assert whole.get(f"/api/v1/objects/{OID}/host").json()["redshift"] == 0.0421
    assert whole.get(f"/api/v1/objects/{OID}/outliers").json()[0]["nearest"] == "SNIa"
    (alert,) = whole.get(f"/api/v1/objects/{OID}/provenance").json()
    assert (alert["candid"], alert["distributed_mjd"]) == (str(CANDID), 60371.31)


def test_lists_show_the_answer_that_rests_on_the_most(whole: TestClient) -> None:
    """An undetermined answer of one classifier does not hide another's."""
    (item,) = whole.get("/ztf/v1/objects").json()["items"]
    assert (item["class"], item["classifier"]) == ("SNIa", "combined")
    (item,) = whole.get("/ztf/v1/objects", params={"classifier": "stamp_classifier", "oid": OID,
                                                   "order_by": "lastmjd"}).json()["items"]  # fmt: skip
    assert (item["class"], item["probability"]) == (None, None)
    both = whole.get("/ztf/v1/objects", params={"oid": OID, "ranking": 1, "order_by": "lastmjd"}).json()["items"]
    assert {item["classifier"] for item in both} == {"combined", "stamp_classifier"}
    assert whole.get(f"/ztf/v1/objects/{OID}/probabilities").json()[0]["class_name"] == "SNIa"


def test_features_have_alerces_names_and_bands(stores: Stores, whole: TestClient) -> None:
    import numpy as np

    values = np.arange(len(FEATURES), dtype="<f4")
    values[0] = np.nan
    row = {"survey": "ztf", "oid": OID, "version": VERSION, "features": values.tobytes(), "n_det": 20,
           "last_mjd": 60371.3, "inputs": "a", "run_id": "run-1"}  # fmt: skip
    with stores.database.writing() as connection:
        connection.execute(tables.feature.insert().values(**row))
    found = whole.get(f"/ztf/v1/objects/{OID}/features").json()
    assert [row["value"] for row in found] == [None, *range(1, len(FEATURES))]
    assert {row["fid"] for row in found} <= {0, 1, 2, 12}
    name = found[5]["name"]
    assert found[5] in whole.get(f"/ztf/v1/objects/{OID}/features/{name}").json()
    assert all(row["fid"] == 1 for row in whole.get(f"/ztf/v1/objects/{OID}/features?fid=1").json())


def test_the_models_in_use_say_how_often_they_were_right(stores: Stores, whole: TestClient) -> None:
    """A shipped model's figures stand beside its answer; of an unknown model nothing is claimed."""
    from alerce_dagster.classifiers.stamps import StampClassifier

    used = StampClassifier.load(threads=1)
    answer = {"survey": "ztf", "oid": OID, "classifier": "stamp_classifier"}
    assert "How far to trust it" not in whole.get(f"/objects/{OID}", headers=HTML).text
    with stores.database.writing() as connection:
        table = tables.object_class
        mine = [table.c[name] == value for name, value in answer.items()]
        said = {
            "model": used.model_hash,
            "class_name": "SN",
            "probability": 0.6,
            "probabilities": {"SN": 0.6, "AGN": 0.4},
        }
        connection.execute(table.update().where(*mine).values(**said))
    text = whole.get(f"/objects/{OID}", headers=HTML).text
    assert "How far to trust it: off by 3.3% in the mean" in text  # the model card's calibration error
    assert "probability 0.96: 0.96 right, 366 objects" in text
    assert "grouped by object" in text


def test_answers_of_several_models_are_told_apart(stores: Stores, whole: TestClient) -> None:
    later = [(60372.3, "f" * 64, {"SNIa": 0.8, "SNII": 0.1}), (60373.3, "9" * 64, {"SNIa": 0.4, "SNII": 0.5})]
    with stores.database.writing() as connection:
        for k, (mjd, model, probabilities) in enumerate(later, start=1):
            best = max(probabilities, key=lambda name: probabilities[name])
            connection.execute(
                tables.classification.insert().values(
                    survey="ztf", oid=OID, candid=CANDID + k, mjd=mjd, classifier="combined", class_name=best,
                    probability=probabilities[best], probabilities=probabilities, reason="stamp", model=model,
                    run_id="run-2",
                )
            )  # fmt: skip
    text = whole.get(f"/objects/{OID}", headers=HTML).text
    assert "at 3 alerts by 2 models" in text
    assert "model 99999999" in text  # where the other model took over
    assert "SNII 0.500" in text


def test_the_sky_frame_may_run_the_cds_and_reach_nothing_here(whole: TestClient) -> None:
    frame = whole.get(f"/objects/{OID}/sky")
    policy = frame.headers["content-security-policy"]
    assert frame.headers.get_list("content-security-policy") == [policy]
    assert "sandbox allow-scripts" in policy
    assert "allow-same-origin" not in policy
    assert "frame-ancestors 'self'" in policy
    assert "sandbox" not in whole.get(f"/objects/{OID}").headers["content-security-policy"]
    assert whole.get("/objects/ZTF00none/sky").status_code == 404


def test_the_footprint_is_a_cutout_wide_at_any_declination() -> None:
    from alerce_dagster.web.sky import overlays

    (west, south), _, (east, north), _ = overlays({"ra": 150.0, "dec": 60.0}, [], [], None)["footprint"]
    assert ((east - west) * 0.5 * 3600, (north - south) * 3600) == pytest.approx((63.0, 63.0))  # cos 60° = 1/2


def test_the_nights_page_shows_outliers_latency_and_drift(stores: Stores, whole: TestClient) -> None:
    night = date(2024, 3, 2)
    text = whole.get(f"/nights/{night}", headers=HTML).text
    assert "93.0%" in text  # odder than that share
    assert "exposed to distributed" in text
    assert "864.0 s" in text  # 0.01 d
    assert "Not looked at yet" in text
    found = {"kind": "inputs", "name": "Amplitude_g", "what": "share missing", "before": 0.01, "now": 0.4}
    summary = {"input": "Amplitude_g", "inputs_version": "1", "n": 250, "n_missing": 100, "counts": [150]}
    with stores.database.writing() as connection:
        connection.execute(tables.input_summary.insert().values(survey="ztf", night=night, **summary))
    assert "Steady" in whole.get(f"/nights/{night}", headers=HTML).text
    with stores.database.writing() as connection:
        connection.execute(tables.drift_finding.insert().values(survey="ztf", night=night, since=night, **found))
    text = whole.get(f"/nights/{night}", headers=HTML).text
    for expected in ("Amplitude_g", "share missing", "0.400", "against the eight weeks before"):
        assert expected in text
