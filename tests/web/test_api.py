"""The two APIs answer what the tables hold, on both databases, and refuse the rest with a reason."""

import io
from datetime import UTC, date, datetime

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse_single_table
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerce_dagster.errors import InputError, StoreError
from alerce_dagster.storage import Stores, ledger, listings, queries, tables
from alerce_dagster.storage.database import REPLACE
from alerce_dagster.web import parameters
from alerce_dagster.web.access import Access
from alerce_dagster.web.answers import BadRequest
from alerce_dagster.web.app import create_app
from tests.web.conftest import NIGHTS


@pytest.fixture(scope="module")
def everything(written: Stores) -> list[dict]:
    """Every object with its stamp classifier's answer, to judge listings by."""
    objects, answers = tables.object_, tables.object_class
    joined = objects.join(answers, (answers.c.survey == objects.c.survey) & (answers.c.oid == objects.c.oid))
    columns = [*objects.columns, answers.c.class_name, answers.c.probability]
    with written.database.reading() as connection:
        chosen = sa.select(*columns).select_from(joined).where(answers.c.classifier == "stamp_classifier")
        return [dict(row) for row in connection.execute(chosen).mappings()]


def oids(client: TestClient, path: str, **parameters) -> list[str]:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return [item["oid"] for item in answer.json()["items"]]


FILTERS = [
    ({"class": "SN"}, lambda o: o["class_name"] == "SN"),
    ({"class": "VS", "probability": 0.6}, lambda o: o["class_name"] == "VS" and o["probability"] >= 0.6),
    ({"probability": 0.5, "classifier": "stamp_classifier"}, lambda o: o["class_name"] and o["probability"] >= 0.5),
    ({"ndet": 3}, lambda o: o["n_det"] >= 3),
    ({"ndet": [2, 4]}, lambda o: 2 <= o["n_det"] <= 4),
    ({"firstmjd": [60340, 60371]}, lambda o: 60340 <= o["first_mjd"] <= 60371),
    ({"lastmjd": 60371, "class": "asteroid"}, lambda o: o["last_mjd"] >= 60371 and o["class_name"] == "asteroid"),
    ({"oid": "ZTF18*"}, lambda o: o["oid"].startswith("ZTF18")),
    ({"oid": "*a"}, lambda o: o["oid"].endswith("a")),
    ({"classifier": "no_such_classifier", "class": "SN"}, lambda o: False),
    ({"class": "DROP TABLE object"}, lambda o: False),
]


@pytest.mark.parametrize(("asked", "wanted"), FILTERS, ids=lambda f: str(f) if isinstance(f, dict) else "")
def test_filters_equal_brute_force(client: TestClient, everything: list[dict], asked: dict, wanted) -> None:
    expected = {o["oid"] for o in everything if wanted(o)}
    found = oids(client, "/ztf/v1/objects", page_size=5000, **asked)
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert client.get("/ztf/v1/objects", params=asked | {"count": "true"}).json()["total"] == len(expected)


@pytest.mark.parametrize("mode", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("oid", "oid"), ("ndet", "n_det"), ("lastmjd", "last_mjd"), ("meanra", "ra"), ("probability", "probability")],
)
def test_pages_put_together_are_the_list_in_order(
    client: TestClient, everything: list[dict], theirs: str, ours: str, mode: str
) -> None:
    asked = {"order_by": theirs, "order_mode": mode, "page_size": 20, "classifier": "stamp_classifier"}
    found, page = [], 1
    while page is not None:
        answer = client.get("/ztf/v1/objects", params=asked | {"page": page}).json()
        assert answer["has_prev"] == (page > 1)
        found += answer["items"]
        page = answer["next"]
    kept = [o for o in everything if ours != "probability" or o["probability"] is not None]
    assert {o["oid"] for o in found} == {o["oid"] for o in kept}
    assert len(found) == len(kept)
    values = [item[theirs] for item in found]
    assert values == sorted((o[ours] for o in kept), reverse=mode == "DESC")


@pytest.mark.parametrize("radius", [2.0, 3600.0, 36_000.0])
def test_cones_are_ordered_by_distance(client: TestClient, everything: list[dict], radius: float) -> None:
    sky = SkyCoord([o["ra"] for o in everything], [o["dec"] for o in everything], unit="deg")
    for centre in everything[:: len(everything) // 7]:
        separation = sky.separation(SkyCoord(centre["ra"], centre["dec"], unit="deg"))
        expected = {o["oid"] for o, s in zip(everything, separation, strict=True) if s <= radius * u.arcsec}
        place = {"ra": centre["ra"], "dec": centre["dec"], "radius": radius}
        items = client.get("/api/v1/objects", params=place | {"page_size": 5000}).json()["items"]
        assert {item["oid"] for item in items} == expected
        assert [i["separation"] for i in items] == sorted(i["separation"] for i in items)
        assert items[0]["oid"] == centre["oid"]
        assert set(oids(client, "/ztf/v1/objects", page_size=5000, order_by="ndet", **place)) == expected


def test_a_cone_at_ra_0_dec_0_and_across_it(stores: Stores) -> None:
    """Zero is a position, not an absence; and 359.9999 is next to it."""
    ra = np.array([0.0, 359.9999, 0.0001, 0.0, 90.0])
    dec = np.array([0.0, 0.0, 0.0, 0.01, 89.99999])
    rows = pa.table(
        {
            "survey": ["ztf"] * 5, "oid": list("abcde"), "ra": ra, "dec": dec, "n_det": [1] * 5,
            "last_mjd": [60000.0] * 5, "healpix": queries.healpix_cells(ra, dec),
        }
    )  # fmt: skip
    with stores.database.writing() as connection:
        stores.database.write(connection, tables.object_, rows, REPLACE)
    reader_url = stores.database.url.render_as_string(hide_password=False)
    access = Access(Stores(type(stores.database)(reader_url, seconds_per_query=5), stores.archive), stores.database)
    with TestClient(create_app(access)) as client:
        assert set(oids(client, "/ztf/v1/objects", ra=0, dec=0, radius=1)) == set("abc")
        assert set(oids(client, "/ztf/v1/objects", ra=0, dec=0)) == set("abc")
        assert set(oids(client, "/api/v1/objects", ra=270, dec=90, radius=5)) == set("e")
        assert client.get("/ztf/v1/objects", params={"ra": 0}).status_code == 400
    access.stores.database.engine.dispose()


BAD = [
    ("/ztf/v1/objects", {"ra": "nan", "dec": 0}),
    ("/ztf/v1/objects", {"ra": 0, "dec": "inf"}),
    ("/ztf/v1/objects", {"ra": 360, "dec": 0}),
    ("/ztf/v1/objects", {"ra": 1, "dec": 2, "radius": 1e9}),
    ("/ztf/v1/objects", {"ra": 1, "dec": 2, "radius": 0}),
    ("/ztf/v1/objects", {"radius": 2}),
    ("/ztf/v1/objects", {"page_size": 10**9}),
    ("/ztf/v1/objects", {"page": 0}),
    ("/ztf/v1/objects", {"page": 10**6, "page_size": 5000}),
    ("/ztf/v1/objects", {"page": "'1'"}),
    ("/ztf/v1/objects", {"order_by": "oid; DROP TABLE object"}),
    ("/ztf/v1/objects", {"order_mode": "sideways"}),
    ("/ztf/v1/objects", {"oid": "x' OR '1'='1"}),
    ("/ztf/v1/objects", {"oid": "\u2603"}),
    ("/ztf/v1/objects", {"class": "\x00"}),
    ("/ztf/v1/objects", {"ndet": 10**30}),
    ("/ztf/v1/objects", {"ndet": [5, 2]}),
    ("/ztf/v1/objects", {"ndet": [1, 2, 3]}),
    ("/ztf/v1/objects", {"probability": 1.5}),
    ("/ztf/v1/objects", {"ranking": 2}),
    ("/ztf/v1/objects", {"lastmjd": "1e400"}),
    ("/get_stamp", {"candid": 10**30}),
    ("/get_stamp", {}),
    ("/get_stamp", {"candid": 1, "type": "../../etc/passwd"}),
    ("/api/v1/objects", {"proability": 0.5}),
    ("/api/v1/objects", {"order_by": "separation"}),
    ("/api/v1/objects", {"format": "exe"}),
    ("/api/v1/nights/yesterday", {}),
    ("/v2/lightcurve/detections/ZTF'x", {}),
]


@pytest.mark.parametrize(("path", "parameters"), BAD)
def test_bad_parameters_are_400_with_a_reason(client: TestClient, path: str, parameters: dict) -> None:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["detail"]
    assert set(body["errors"]) & {*parameters, "candid", "night", "oid", "ra", "dec", "lastmjd.0", "ndet.0"} or any(
        key.partition(".")[0] in parameters for key in body["errors"]
    )


@pytest.mark.parametrize(
    "path",
    [
        "/ztf/v1/objects/ZTF00aaaaaaa", "/ztf/v1/objects/ZTF00aaaaaaa/lightcurve", "/ztf/v1/nothing",
        "/v2/lightcurve/forced-photometry/ZTF00aaaaaaa", "/get_avro?candid=1", "/api/v1/objects/ZTF00aaaaaaa",
        "/api/v1/nights/1999-01-01", "/api/v1/alerts/1/stamp", "/ztf/v1/classifiers/x/y/classes",
    ],
)  # fmt: skip
def test_what_is_not_stored_is_404_with_a_reason(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"]


def test_what_tom_toolkit_asks(client: TestClient) -> None:
    """The calls of its ALeRCE broker module, with the fields it reads; a form's empty fields come as empty values."""
    classifiers = client.get("/ztf/v1/classifiers").json()
    assert all({"classifier_name", "classifier_version", "classes"} <= set(row) for row in classifiers)
    form = {
        "count": "false", "page": 1, "page_size": 20, "classifier": "stamp_classifier", "class": "SN",
        "probability": "", "ra": "", "dec": "", "radius": "", "firstmjd": "", "lastmjd": "",
        "order_by": "probability", "order_mode": "DESC",
    }  # fmt: skip
    answer = client.get("/ztf/v1/objects/", params=form).json()
    for item in answer["items"]:
        assert {"oid", "meanra", "meandec", "lastmjd", "probability"} <= set(item)
        curve = client.get(f"/ztf/v1/objects/{item['oid']}/lightcurve").json()
        assert all({"mjd", "fid", "magpsf", "sigmapsf", "diffmaglim"} <= set(row) for row in curve["detections"])
        assert all({"mjd", "fid", "diffmaglim"} <= set(row) for row in curve["non_detections"])
        assert client.get(f"/ztf/v1/objects/{item['oid']}").json()["oid"] == item["oid"]


def test_empty_parameters_count_as_not_given(client: TestClient) -> None:
    """Forms and clients leave parameters empty, and Python's None travels as text."""
    assert client.get("/ztf/v1/objects?class=&oid=&order_by=None&ra=&page_size=3").json()["items"]


_TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["nan", "-inf", "1e999", "' OR 1=1 --", "%00", "0x10", "null", "[]", "9" * 40, "-1", "0", "1.5"]),
)
_PARAMETERS = [
    "oid", "classifier", "class", "class_name", "ranking", "ndet", "n_det", "probability", "min_probability",
    "firstmjd", "lastmjd", "first_mjd", "ra", "dec", "radius", "page", "page_size", "count", "order_by",
    "order_mode", "format", "survey_id", "candid", "type", "fid", "limit", "kind", "survey", "catalog", "oid",
    "measurement_id", "stamp_type", "file_format",
]  # fmt: skip
_PATHS = [
    "/ztf/v1/objects", "/alerts/v1/objects/", "/ztf/v1/objects/{x}", "/ztf/v1/objects/{x}/lightcurve",
    "/ztf/v1/objects/{x}/features/{x}", "/ztf/v1/classifiers/{x}/{x}/classes", "/v2/lightcurve/lightcurve/{x}",
    "/get_stamp", "/get_avro", "/get_avro_info", "/api/v1/objects", "/api/v1/objects/{x}/provenance",
    "/api/v1/alerts/{x}/stamp", "/api/v1/alerts/{x}/packet", "/api/v1/nights/{x}", "/api/v1/nights/{x}/candidates",
    "/api/v1/decisions", "/object_api/list_objects", "/object_api/object", "/lightcurve_api/lightcurve",
    "/lightcurve_api/conesearch/objects_by_coordinates", "/probability_api/probability", "/stamps_api/stamp",
    "/stamps_api/avro", "/magstat_api/magstats", "/crossmatch_api/crossmatch", "/api/v1/catalogs/{x}/cone",
    "/catshtm/conesearch", "/catshtm/crossmatch_all", "/api/v1/nights/{x}/latency",
]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(_PATHS),
    middle=_TEXT.filter(lambda text: text not in ("", ".", "..") and "/" not in text),
    parameters=st.dictionaries(st.sampled_from(_PARAMETERS), _TEXT | st.lists(_TEXT, max_size=3), max_size=4),
)
def test_nothing_that_is_asked_is_a_fault_of_the_server(
    client: TestClient, path: str, middle: str, parameters: dict
) -> None:
    """A fault would be an exception here: the test client raises it."""
    from urllib.parse import quote

    answer = client.get(path.replace("{x}", quote(middle.encode("utf-8", "surrogatepass"))), params=parameters)
    assert answer.status_code in (200, 400, 404), answer.text
    if answer.status_code != 200:
        assert answer.json()["detail"]


def test_the_reader_cannot_write_and_breaks_off(access: Access) -> None:
    with pytest.raises(StoreError), access.stores.database.reading() as connection:
        connection.execute(tables.object_.delete())
    url = access.writer.url.render_as_string(hide_password=False)
    hasty = type(access.writer)(url, seconds_per_query=0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(StoreError, match="took too long"), hasty.reading() as connection:
        connection.execute(sa.text(endless))
    hasty.engine.dispose()


@pytest.mark.parametrize("kind", ["csv", "votable", "parquet"])
def test_downloads_hold_the_same_rows(client: TestClient, everything: list[dict], kind: str) -> None:
    busiest = max(everything, key=lambda o: o["n_det"])["oid"]
    rows = client.get(f"/api/v1/objects/{busiest}/detections").json()
    data = client.get(f"/api/v1/objects/{busiest}/detections", params={"format": kind}).content
    if kind == "votable":
        table = parse_single_table(io.BytesIO(data)).to_table()
        candids, mags = [int(v) for v in table["candid"]], [float(v) for v in table["mag"]]
        assert str(table["mag"].unit) == "mag"
    else:
        table = pq.read_table(io.BytesIO(data)) if kind == "parquet" else pa_csv.read_csv(io.BytesIO(data))
        candids, mags = table["candid"].to_pylist(), table["mag"].to_pylist()
    assert candids == [int(row["candid"]) for row in rows]
    assert mags == pytest.approx([row["mag"] for row in rows])


@pytest.mark.parametrize("kind", ["csv", "votable", "parquet"])
def test_lists_can_be_downloaded_too(client: TestClient, kind: str) -> None:
    answer = client.get("/api/v1/objects", params={"format": kind, "class_name": "SN"})
    assert answer.status_code == 200
    assert answer.content


def test_nights_and_provenance_add_up(client: TestClient, everything: list[dict]) -> None:
    nights = client.get("/api/v1/nights").json()
    assert [night["night"] for night in nights] == sorted(NIGHTS, reverse=True)
    assert sum(night["n_packets"] for night in nights) == 160
    for known in nights:
        assert known["complete"]
        night = client.get(f"/api/v1/nights/{known['night']}").json()
        assert night["n_packets"] == known["n_packets"]
        for stage in night["stages"]:
            assert stage["balances"]
            assert stage["batches_done"] == night["n_batches"]
            assert stage["n_in"] == stage["n_out"] + stage["n_known"] + stage["n_aside"]
    for night in nights:
        shares = client.get(f"/api/v1/nights/{night['night']}").json()["classes"]["stamp_classifier"]
        assert sum(shares.values()) == night["n_packets"]
    busiest = max(everything, key=lambda o: o["n_det"])["oid"]
    alerts = client.get(f"/api/v1/objects/{busiest}/provenance").json()
    said = client.get(f"/api/v1/objects/{busiest}/answers").json()
    assert {row["candid"] for row in alerts} == {row["candid"] for row in said}
    for row in alerts:
        done = {entry["stage"] for entry in row["stages"]}
        assert {"alerts", "stamps", "detections", "objects", "features", "classifications"} <= done
        assert row["content_hash"]


def test_a_night_is_complete_when_every_stage_has_every_batch(stores: Stores) -> None:
    night, rows = date(2024, 3, 1), {"survey": "ztf", "night": date(2024, 3, 1), "run_id": "r"}
    now = datetime.now(UTC)
    counts = {"n_in": 5, "n_out": 3, "n_known": 1, "n_aside": 1, "reasons": {}, "details": {}, "finished_at": now}

    def entry(stage: str, batch: str, version: str = "1") -> None:
        with stores.database.writing() as connection:
            values = rows | counts | {"stage": stage, "version": version, "batch_id": batch}
            connection.execute(tables.ledger.insert().values(**values))

    def complete() -> bool:
        with stores.database.reading() as connection:
            assert ledger.newest_nights(connection, "ztf", 5) == [night]
            return ledger.complete(connection, "ztf", night)

    with stores.database.writing() as connection:
        for batch in "ab":
            values = rows | {"batch_id": batch, "file": batch, "n_packets": 5, "n_bytes": 1, "created_at": now}
            connection.execute(tables.batch.insert().values(**values))
    for stage in ledger.STAGES:
        entry(stage, "a")
        entry(stage, "a", "2")  # a second version of one batch is not the other batch
        assert not complete()
    for stage in ledger.STAGES:
        assert not complete()
        entry(stage, "b")
    assert complete()
    with stores.database.writing() as connection:
        connection.execute(tables.ledger.update().where(tables.ledger.c.batch_id == "b").values(n_out=4))
    assert not complete()


def test_candidates_are_the_nights_supernovae(client: TestClient, written: Stores) -> None:
    answer = tables.classification.c
    for night in NIGHTS:
        found = client.get(f"/api/v1/nights/{night}/candidates").json()
        start = (date.fromisoformat(night) - date(1858, 11, 17)).days
        with written.database.reading() as connection:
            tonight = sa.select(answer.oid).where(
                answer.classifier == "stamp_classifier",
                answer.class_name == "SN",
                answer.mjd >= start,
                answer.mjd < start + 1,
            )
            still = tables.object_class.c
            expected = connection.scalars(
                sa.select(still.oid).where(
                    still.classifier == "stamp_classifier", still.class_name == "SN", still.oid.in_(tonight)
                )
            ).all()
        assert {row["oid"] for row in found} == set(expected)
        assert [row["probability"] for row in found] == sorted((r["probability"] for r in found), reverse=True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200), ("/nights/{night}", 200), ("/nights/1999-01-01", 404), ("/explorer", 200),
        ("/explorer?class=SN&probability=0.1&ndet_from=1&first_to=2030-01-01&order_by=n_det&order=asc", 200),
        ("/explorer?position=10:00:24+%2B02:12:00&radius=36000", 200), ("/explorer?position=nowhere", 400),
        ("/explorer?oid='&ndet_from=x", 400), ("/explorer?radius=5", 400), ("/explorer?last_from=yesterday", 400),
        ("/objects/{oid}", 200), ("/objects/ZTF00none", 404), ("/hunter", 200), ("/hunter?night={night}", 200),
        ("/hunter?night=x", 400),
        ("/hunter?kind=stamp_classifier:asteroid", 200), ("/hunter?kind=x", 400), ("/api", 200), ("/nothing", 404),
    ],
)  # fmt: skip
def test_pages_are_made_and_say_what_is_wrong(
    client: TestClient, everything: list[dict], path: str, status: int
) -> None:
    path = path.replace("{oid}", everything[0]["oid"]).replace("{night}", NIGHTS[0])
    answer = client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_what_is_typed_is_shown_as_text(client: TestClient) -> None:
    answer = client.get("/explorer", params={"oid": '"><script>alert(1)</script>'}, headers={"Accept": "text/html"})
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text


@pytest.mark.parametrize(
    ("text", "ra", "dec"),
    [
        ("150.1 2.2", 150.1, 2.2), ("150.1, -2.2", 150.1, -2.2), ("10:00:24 +02:12:00", 150.1, 2.2),
        ("10h00m24s -2d12m0s", 150.1, -2.2), ("10 00 24 -02 12 00", 150.1, -2.2), ("0 0", 0, 0),
        ("00:00:00 -00:30:00", 0, -0.5), ("150d06m00s +2d12m", 150.1, 2.2),
    ],
)  # fmt: skip
def test_positions_as_people_write_them(text: str, ra: float, dec: float) -> None:
    assert parameters.position(text) == pytest.approx((ra, dec))


@pytest.mark.parametrize("text", ["", "12", "400 0", "0 91", "nan 0", "a b", "10:61:00 +1:0:0", "1 2 3"])
def test_other_texts_are_no_position(text: str) -> None:
    with pytest.raises(BadRequest):
        parameters.position(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_position_or_refused(text: str) -> None:
    try:
        ra, dec = parameters.position(text)
    except BadRequest:
        return
    assert 0 <= ra < 360
    assert -90 <= dec <= 90


READING = [
    "/ztf/v1/objects", "/ztf/v1/objects?order_by=ndet", "/ztf/v1/objects?class=SN&probability=0.5&page=2",
    "/ztf/v1/objects?classifier=stamp_classifier", "/ztf/v1/objects?class=SN&count=true&ndet=2",
    "/ztf/v1/objects?ra=10&dec=10&radius=60", "/ztf/v1/objects?oid=ZTF18*", "/ztf/v1/objects?class=SN&order_by=lastmjd",
    "/ztf/v1/objects/limit_values", "/ztf/v1/objects/{oid}/lightcurve", "/v2/lightcurve/lightcurve/{oid}",
    "/ztf/v1/objects/{oid}/probabilities", "/ztf/v1/objects/{oid}/features", "/ztf/v1/classifiers",
    "/api/v1/objects/{oid}", "/api/v1/objects/{oid}/answers", "/api/v1/objects/{oid}/provenance",
    "/api/v1/objects/{oid}/xmatches", "/api/v1/objects/{oid}/host", "/api/v1/objects/{oid}/outliers",
    "/api/v1/nights/{night}", "/api/v1/nights/{night}/candidates", "/api/v1/nights/{night}/latency", "/api/v1/nights",
    "/object_api/list_objects?survey=ztf", "/lightcurve_api/lightcurve?oid={oid}&survey_id=ztf",
    "/lightcurve_api/conesearch/objects_by_oid?oid={oid}&survey_id=ztf", "/get_avro?candid={candid}",
    "/objects/{oid}", "/explorer?class=SN&probability=0.1", "/hunter", "/hunter?classifier=rules", "/",
]  # fmt: skip


@pytest.mark.parametrize("path", READING)
def test_no_answer_reads_a_whole_table(
    client: TestClient, access: Access, everything: list[dict], written: Stores, path: str
) -> None:
    """What reads every row is quick here and would take seconds with a million objects."""
    if not written.database.is_sqlite:
        pytest.skip("PostgreSQL rightly reads a table of a hundred rows as a whole")
    oid = max(everything, key=lambda o: o["n_det"])["oid"]
    candid = client.get(f"/api/v1/objects/{oid}/provenance").json()[0]["candid"]
    said: list[tuple[str, tuple]] = []

    def listen(_connection, _cursor, statement, values, _context, _many) -> None:
        said.append((statement, values))

    engine = access.stores.database.engine
    sa.event.listen(engine, "before_cursor_execute", listen)
    try:
        answer = client.get(path.format(oid=oid, night=NIGHTS[0], candid=candid), headers={"Accept": "text/html"})
        assert answer.status_code == 200
    finally:
        sa.event.remove(engine, "before_cursor_execute", listen)
    # Of these a survey has a row for each alert or object; SQLite says SCAN, or names the key's first column alone.
    large = {"object", "object_class", "alert", "detection", "classification", "non_detection", "forced_photometry"}
    with engine.connect() as connection:
        for statement, values in said:
            if statement.startswith("BEGIN"):
                continue
            for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values):
                step = row[3]
                table = step.split()[1] if step.startswith(("SCAN", "SEARCH")) else ""
                whole = step.endswith("USING PRIMARY KEY (survey=?)") or step.startswith("SCAN")
                assert not (table in large and whole), f"{step}: {statement}"


def test_many_that_pass_a_filter_and_few(client: TestClient, everything: list[dict], monkeypatch) -> None:
    """SQLite is told which index leads; whichever does, the list is the same."""
    asked = {"ndet": 2, "firstmjd": 60000, "lastmjd": [60000, 70000], "page_size": 5000}
    expected = {o["oid"] for o in everything if o["n_det"] >= 2}
    for few in (1, 5_000):
        monkeypatch.setattr(listings, "_FEW", few)
        assert set(oids(client, "/ztf/v1/objects", **asked)) == expected
        with_class = {o["oid"] for o in everything if o["n_det"] >= 2 and o["class_name"] == "VS"}
        assert set(oids(client, "/ztf/v1/objects", **asked, **{"class": "VS"})) == with_class


def test_who_asks_too_often_has_to_wait(access: Access) -> None:
    with TestClient(create_app(access, "3/minute")) as hasty:
        assert [hasty.get("/api/v1/health").status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = hasty.get("/api/v1/health", headers={"Origin": "https://elsewhere.example"})
        assert "3 per 1 minute" in answer.json()["detail"]
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert hasty.get("/static/nothing.js").status_code == 404
    with pytest.raises(InputError, match="ALERCE_WEB_RATE"):
        create_app(access, "often")


def test_other_sites_may_read_and_not_write(client: TestClient) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    assert client.get("/api/v1/nights", headers=origin).headers["Access-Control-Allow-Origin"] == "*"
    asked = origin | {"Access-Control-Request-Method": "POST"}
    assert client.options("/api/v1/decisions", headers=asked).status_code == 400


def test_half_a_surrogate_pair_is_refused(client: TestClient) -> None:
    body = b'{"\\ud800": 1, "oid": "\\ud800"}'
    answer = client.post("/api/v1/decisions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_latency_of_an_alert_and_of_a_night(client: TestClient, everything: list[dict]) -> None:
    """Of alerts that came from files: stored and classified in that order; when they were sent is not known."""
    oid = max(everything, key=lambda o: o["n_det"])["oid"]
    for row in client.get(f"/api/v1/objects/{oid}/provenance").json():
        moments = {entry["stage"]: datetime.fromisoformat(entry["finished_at"]) for entry in row["stages"]}
        spent = (moments["classifications"] - moments["alerts"]).total_seconds()
        assert row["latency"]["stored to classified"] == pytest.approx(spent, abs=2e-3)
        assert row["latency"]["exposed to distributed"] is None
    assert client.get(f"/api/v1/nights/{NIGHTS[0]}/latency").json() == {"n_alerts": 0, "steps": {}}
