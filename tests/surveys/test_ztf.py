"""ZTF packets to the common tables: field by field against fastavro's dicts, and what must be refused."""

import io
import json
import math
import re

import fastavro
import numpy as np
import pyarrow as pa
import pytest

from alerce_dagster.surveys import SURVEYS, Packet, avro_schema, get_survey, read_container
from alerce_dagster.surveys.avro_schema import compile_schema
from alerce_dagster.surveys.packets import decode_record
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE, ztf_schema
from tests.surveys.make_packets import container, stamp, ztf_record

ZTF = get_survey("ztf")
FIELDS = {  # written out here once more: common column -> ZTF field
    "ra": "ra", "dec": "dec", "mag": "magpsf", "mag_err": "sigmapsf", "mag_limit": "diffmaglim", "mag_ap": "magap",
    "mag_ap_err": "sigmagap", "mag_ap_big": "magapbig", "mag_ap_big_err": "sigmagapbig", "real_bogus": "rb",
    "ref_distance": "distnr", "ref_mag": "magnr", "ref_mag_err": "sigmagnr", "ref_chi": "chinr",
    "ref_sharp": "sharpnr", "field": "field", "readout_channel": "rcid", "image_id": "pid", "night_id": "nid",
    "program": "programid",
}  # fmt: skip
CONTEXT = {
    "deep_real_bogus": "drb", "real_bogus_version": "rbversion", "deep_real_bogus_version": "drbversion",
    "star_shape": "classtar", "elongation": "elong", "x": "xpos", "y": "ypos", "edge_distance": "mindtoedge",
    "exposure_time": "exptime", "zero_point": "magzpsci", "ref_id": "rfid", "ref_n_frames": "nframesref",
    "ps1_id_1": "objectidps1", "ps1_star_score_1": "sgscore1", "ps1_distance_1": "distpsnr1",
    "ps1_g_mag_1": "sgmag1", "ps1_r_mag_1": "srmag1", "ps1_i_mag_1": "simag1", "ps1_z_mag_1": "szmag1",
    "ps1_id_2": "objectidps2", "ps1_star_score_2": "sgscore2", "ps1_distance_2": "distpsnr2",
    "ps1_id_3": "objectidps3", "ps1_star_score_3": "sgscore3", "ps1_distance_3": "distpsnr3",
    "gaia_distance": "neargaia", "gaia_mag": "maggaia", "ss_distance": "ssdistnr", "ss_mag": "ssmagnr",
    "ss_name": "ssnamenr", "n_det_history": "ndethist", "n_cov_history": "ncovhist",
}  # fmt: skip
DATES = {"ref_mjd_start": "jdstartref", "ref_mjd_end": "jdendref",
         "mjd_first_history": "jdstarthist", "mjd_last_history": "jdendhist"}  # fmt: skip


def packet(candidate=None, **changes) -> Packet:
    return read_container(container([ztf_record(candidate, **changes)]))[0]


def clean(value):
    """The rules for values, one at a time."""
    if isinstance(value, float) and (not math.isfinite(value) or value in (-999.0, -99999.0)):
        return None
    return None if value in (-999, "", "null") else value


def measured(row):
    out = {name: clean(row.get(field)) for name, field in FIELDS.items()}
    out["fwhm"] = row["fwhm"] if row.get("fwhm") is not None and row["fwhm"] > 0 else None
    if out["ref_distance"] is not None:
        out["ref_distance"] *= PIXEL_SCALE
    out["mjd"] = row["jd"] - 2400000.5
    out["band"] = {1: "g", 2: "r", 3: "i"}[row["fid"]]
    out["positive"] = row["isdiffpos"] in ("t", "1")
    return out


def truth(record):
    """(alert row, detection rows, non-detection rows, forced rows) of one fastavro dict."""
    candidate = record["candidate"]
    candid, oid = candidate["candid"], record["objectId"]
    own = {"oid": oid, "candid": candid} | measured(candidate)
    alert = own | {name: clean(candidate.get(field)) for name, field in CONTEXT.items()}
    alert |= {
        name: candidate[field] - 2400000.5 if clean(candidate.get(field)) else None for name, field in DATES.items()
    }
    alert |= {"schema_version": record.get("schemavsn"), "extra": None}
    detections = [own | {"has_stamp": True, "parent_candid": None}]
    non_detections, forced = [], []
    for row in record.get("prv_candidates") or []:
        if row.get("candid") is not None:
            detections.append(
                {"oid": oid, "candid": row["candid"], "has_stamp": False, "parent_candid": candid} | measured(row)
            )
        elif row.get("forcediffimflux") is not None:
            forced.append(row)
        else:
            non_detections.append(
                {"oid": oid, "parent_candid": candid, "band": "_gri"[row["fid"]], "mjd": row["jd"] - 2400000.5,
                 "mag_limit": row["diffmaglim"], "image_id": row["pid"]}
            )  # fmt: skip
    forced = [_forced(row, oid, candid) for row in forced + (record.get("fp_hists") or [])]
    return alert, detections, non_detections, forced


def _forced(row, oid, candid):
    out = {"oid": oid, "parent_candid": candid, "band": "_gri"[row["fid"]], "mjd": row["jd"] - 2400000.5}
    for name, field in {
        "image_id": "pid", "mag_limit": "diffmaglim", "zero_point": "magzpsci", "seeing": "sciinpseeing",
        "status": "procstatus", "ref_distance": "distnr", "ref_mag": "magnr", "ref_mag_err": "sigmagnr",
        "ref_chi": "chinr", "ref_sharp": "sharpnr", "ref_id": "rfid", "field": "field", "readout_channel": "rcid",
        "exposure_time": "exptime", "program": "programid",
    }.items():  # fmt: skip
        out[name] = clean(row.get(field))
    for name, field in {"flux": "forcediffimflux", "flux_err": "forcediffimfluxunc"}.items():
        value, zero_point = row[field], row["magzpsci"]
        missing = value is None or value == -99999.0 or zero_point is None
        # Through the magnitude, not by the factor that the reader uses.
        size = None if missing else 10 ** ((23.9 - (zero_point - 2.5 * math.log10(abs(value)))) / 2.5)
        out[name] = None if size is None else math.copysign(size, value)
    return out


def assert_rows(table, rows, schema):
    assert table.schema.equals(schema, check_metadata=True)
    found = table.to_pylist()
    assert len(found) == len(rows)
    for ours, theirs in zip(found, rows, strict=True):
        assert set(ours) == set(theirs)
        for name, value in theirs.items():
            if name in ("flux", "flux_err") and value is not None:
                assert ours[name] == pytest.approx(value, rel=1e-12)
            else:
                assert ours[name] == value, (theirs["oid"], name)


@pytest.mark.realdata
def test_reference_distance_is_in_arcsec(real_data):
    """ZTF gives distnr in pixels: the separation of the positions in the packet is the judge."""
    ratios = []
    for file in sorted((real_data / "ztf_alerts" / "avro").glob("*.avro"))[:200]:
        packet = read_container(file.read_bytes())[0]
        candidate = decode_record(packet)["candidate"]
        [distance] = ZTF.alerts([packet])[0]["ref_distance"].to_pylist()
        if not distance or distance < 1 or "ranr" not in candidate:
            continue
        dra = (candidate["ra"] - candidate["ranr"]) * math.cos(math.radians(candidate["dec"]))
        ratios.append(math.hypot(dra, candidate["dec"] - candidate["decnr"]) * 3600 / distance)
    assert len(ratios) > 30
    assert sorted(ratios)[len(ratios) // 2] == pytest.approx(1, abs=2e-3)


@pytest.mark.realdata
def test_every_real_packet_field_by_field(real_data):
    files = sorted((real_data / "ztf_alerts").glob("**/*.avro"))
    packets = [one for file in files for one in read_container(file.read_bytes())]
    records = [decode_record(one) for one in packets]
    assert {record.get("schemavsn") for record in records} >= {
        None,
        "2.0",
        "3.0",
        "3.1",
        "3.2",
        "3.3",
        "3.5",
        "4.01",
        "4.02",
    }
    assert len({one.schema.text for one in packets}) > 15  # packets of one batch, in turns
    order = np.random.default_rng(5).permutation(len(packets))
    packets, records = [packets[i] for i in order], [records[i] for i in order]
    expected = [truth(record) for record in records]

    alerts, rows, problems = ZTF.alerts(packets)
    assert problems == []
    assert rows.tolist() == list(range(len(packets)))
    assert_rows(alerts, [alert for alert, *_ in expected], ALERTS)

    curves = ZTF.light_curves(packets)
    assert curves.set_aside == []
    for table, number, schema in (
        (curves.detections, 1, DETECTIONS),
        (curves.non_detections, 2, NON_DETECTIONS),
        (curves.forced, 3, FORCED_PHOTOMETRY),
    ):
        # The order of rows is not promised.
        key = [
            ("oid", "ascending"),
            ("mjd", "ascending"),
            ("band", "ascending"),
            ("parent_candid", "ascending"),
            ("image_id", "ascending"),
        ]
        flat = pa.Table.from_pylist([row for one in expected for row in one[number]], schema=schema)
        assert_rows(table.sort_by(key), flat.sort_by(key).to_pylist(), schema)


def test_a_made_packet():
    one = packet({"ndethist": 7, "jdstarthist": 2458000.5})
    alerts, rows, problems = ZTF.alerts([one])
    assert (rows.tolist(), problems) == ([0], [])
    (row,) = alerts.to_pylist()
    expected = {"oid": "ZTF20aaaaaaa", "candid": 1234567890123456789, "mjd": 59000.25, "band": "g", "positive": True,
                "ra": 10.5, "n_det_history": 7, "mjd_first_history": 58000.0, "extra": None}  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert ZTF.cutouts([one]).present.all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"candidate": {"ra": math.nan}}, "ra is missing or not a number"),
        ({"candidate": {"ra": 360.0}}, "ra is out of range: 360"),
        ({"candidate": {"dec": -90.5}}, "dec is out of range: -90.5"),
        ({"candidate": {"dec": math.inf}}, "dec is out of range: inf"),
        ({"candidate": {"jd": 0.0}}, "jd is out of range"),
        ({"candidate": {"jd": -999.0}}, "jd is out of range"),
        ({"candidate": {"magpsf": math.nan}}, "magpsf is missing"),
        ({"candidate": {"magpsf": 99.0}}, "magpsf is out of range"),
        ({"candidate": {"fid": 4}}, r"filter \(fid\) is 4"),
        ({"candidate": {"candid": 5}}, "candid is 1234567890123456789 in the packet but 5 in its candidate"),
        ({"candid": 0, "candidate": {"candid": 0}}, "candid is out of range: 0"),
        ({"objectId": ""}, "objectId is missing"),
        ({"objectId": "a b\n"}, "objectId is not an identifier"),
        ({"objectId": "Ж"}, "objectId is not an identifier"),
    ],
)
def test_what_cannot_be_used_is_refused_alone(change, reason):
    packets = [packet(), packet(**change), packet()]
    alerts, rows, problems = ZTF.alerts(packets)
    assert rows.tolist() == [0, 2]
    assert alerts.num_rows == 2
    ((index, sentence),) = problems
    assert index == 1
    assert re.search(reason, sentence)
    curves = ZTF.light_curves(packets)
    assert curves.detections.num_rows == 2
    assert curves.set_aside == problems


def test_a_damaged_body_is_refused_alone():
    good = packet()
    bad = [Packet(good.body[:cut], good.schema, b"") for cut in (0, 1, 100, len(good.body) - 1)]
    for reader in (ZTF.alerts, ZTF.light_curves, ZTF.cutouts):
        reader(bad)
    _, rows, problems = ZTF.alerts([*bad, good])
    assert rows.tolist() == [4]
    assert [index for index, _ in problems] == [0, 1, 2, 3]
    cutouts = ZTF.cutouts([*bad, good])
    assert cutouts.present.sum(axis=1).tolist() == [0, 0, 0, 0, 3]
    assert [index for index, _ in cutouts.reasons] == [0, 1, 2, 3]


def test_flipped_bytes_never_raise():
    good = packet(prv_candidates=[previous()] * 3, fp_hists=[forced()] * 3)
    rng = np.random.default_rng(3)
    packets = []
    for _ in range(400):
        body = bytearray(good.body)
        for at in rng.integers(0, 2500, rng.integers(1, 6)):
            body[at] = rng.integers(0, 256)
        packets.append(Packet(bytes(body), good.schema, b""))
    _, rows, problems = ZTF.alerts(packets)
    assert sorted([*rows.tolist(), *dict(problems)]) == list(range(400))
    assert len(problems) > 50
    ZTF.light_curves(packets)
    ZTF.cutouts(packets)


def test_sentinels_become_null():
    fields = (
        "ssdistnr",
        "ssmagnr",
        "sgscore1",
        "distpsnr1",
        "sgmag1",
        "neargaia",
        "maggaia",
        "distnr",
        "magnr",
        "drb",
        "rb",
    )
    alerts, _, _ = ZTF.alerts([packet({field: -999.0 for field in fields} | {"ssnamenr": "null", "objectidps1": -999})])
    (row,) = alerts.to_pylist()
    names = {field: name for name, field in (FIELDS | CONTEXT).items()}
    assert {field: row[names[field]] for field in (*fields, "ssnamenr", "objectidps1")} == dict.fromkeys(
        (*fields, "ssnamenr", "objectidps1")
    )


def test_missing_fields_are_null_and_new_ones_are_kept():
    schema = ztf_schema()
    (candidate,) = (field["type"] for field in schema["fields"] if field["name"] == "candidate")
    candidate["fields"] = [
        field for field in candidate["fields"] if field["name"] not in ("drb", "candid", "rfid", "isdiffpos")
    ]
    candidate["fields"] += [
        {"name": "score", "type": ["null", "float"]},
        {"name": "big", "type": "long"},
        {"name": "flag", "type": "boolean"},
        {"name": "note", "type": "string"},
        {"name": "list", "type": {"type": "array", "items": "int"}},
        {"name": "isdiffpos", "type": "boolean"},
    ]
    records = [
        ztf_record({"score": 0.5, "big": 2**62 + 1, "flag": True, "note": 'a "b"\n', "list": [1], "isdiffpos": False}),
        ztf_record({"score": math.nan, "big": 1, "flag": False, "note": "", "list": [], "isdiffpos": True}),
    ]
    alerts, _, problems = ZTF.alerts(read_container(container(records, schema)))
    assert problems == []
    assert alerts["deep_real_bogus"].to_pylist() == [None, None]
    assert alerts["positive"].to_pylist() == [False, True]
    extra = [json.loads(text) for text in alerts["extra"].to_pylist()]
    assert extra[0] == {"big": 2**62 + 1, "flag": True, "note": 'a "b"\n', "score": 0.5}
    assert extra[1] == {"big": 1, "flag": False}


def previous(**changes):
    row = {"jd": 2458999.5, "fid": 2, "pid": 5, "diffmaglim": 20.5, "candid": 77, "isdiffpos": "1", "ra": 1.0,
           "dec": 2.0, "magpsf": 19.0, "sigmapsf": 0.1, "programid": 1, "rbversion": "x"}  # fmt: skip
    return row | changes


def forced(**changes):
    row = {"jd": 2458998.5, "fid": 3, "pid": 6, "rfid": 8, "programid": 2, "magzpsci": 26.4, "forcediffimflux": -100.0,
           "forcediffimfluxunc": 10.0, "procstatus": "0", "ranr": 1.0, "decnr": 2.0, "diffmaglim": 20.0}  # fmt: skip
    return row | changes


def test_bad_rows_of_a_history_are_set_aside_alone():
    limit = previous(candid=None, ra=None, dec=None, magpsf=None)
    no_limit, no_filter = limit | {"diffmaglim": None}, limit | {"fid": 9}
    history = [
        previous(),
        previous(ra=math.nan),
        limit,
        no_limit,
        no_filter,
        previous(fid=0),
    ]
    epochs = [forced(), forced(forcediffimflux=-99999.0, forcediffimfluxunc=-99999.0), forced(jd=math.nan)]
    curves = ZTF.light_curves([packet(), packet(prv_candidates=history, fp_hists=epochs)])
    assert curves.detections.num_rows == 3
    assert curves.detections["has_stamp"].to_pylist() == [True, True, False]
    assert curves.detections["parent_candid"].to_pylist() == [None, None, 1234567890123456789]
    assert curves.non_detections.num_rows == 1
    assert curves.forced["flux"].to_pylist() == [pytest.approx(-100 * 10 ** (-0.4 * 2.5)), None]
    assert curves.forced["flux_err"].to_pylist() == [pytest.approx(1.0), None]
    assert [index for index, _ in curves.set_aside] == [1] * 5
    assert sorted(text.split(":")[1] for _, text in curves.set_aside) == sorted(
        [" ra is missing or not a number", " diffmaglim is missing or not a number", " jd is missing or not a number",
         " the filter (fid) is 9; ZTF's are 1, 2 and 3", " the filter (fid) is 0; ZTF's are 1, 2 and 3"]
    )  # fmt: skip


def test_missing_arrays_and_cutouts():
    one = packet(prv_candidates=None, fp_hists=None, cutoutTemplate=None,
                 cutoutScience={"fileName": "", "stampData": b""},
                 cutoutDifference={"fileName": "", "stampData": stamp()[:-20]})  # fmt: skip
    assert ZTF.light_curves([one]).detections.num_rows == 1
    cutouts = ZTF.cutouts([one])
    assert not cutouts.present.any()
    assert cutouts.reasons == [(0, "the difference cutout cannot be read: it does not decompress: it ends early")]


def test_no_packets():
    alerts, rows, problems = ZTF.alerts([])
    assert (alerts.num_rows, len(rows), problems) == (0, 0, [])
    assert alerts.schema.equals(ALERTS)
    assert ZTF.light_curves([]).forced.num_rows == 0
    assert ZTF.cutouts([]).images.shape == (0, 3, 63, 63)


@pytest.mark.realdata
@pytest.mark.parametrize(("folder", "other"), [("lsst_alerts", "lsst"), ("atlas_alerts", "atlas")])
def test_packets_of_other_surveys_are_refused(real_data, folder, other):
    files = [file for file in sorted((real_data / folder).glob("**/*.avro")) if file.parent.name != "confluent_raw"]
    packets = [one for file in files for one in read_container(file.read_bytes())]
    alerts, _, problems = ZTF.alerts(packets)
    assert alerts.num_rows == 0
    expected = f"a packet of another survey ({other}), not of ztf"
    assert problems == [(i, expected) for i in range(len(packets))]
    assert not ZTF.cutouts(packets).present.any()
    assert len(ZTF.light_curves(packets).set_aside) == len(packets)


def test_a_record_that_is_no_alert():
    schema = {"type": "record", "name": "other", "fields": [{"name": "a", "type": "int"}]}
    _, _, problems = ZTF.alerts(read_container(container([{"a": 1}], schema)))
    assert problems == [(0, "not a ZTF alert packet: its schema (other) has no candidate with jd, fid and magpsf")]


def test_night_is_the_utc_date():
    nights = ZTF.night(np.array([58119.0, 58119.999999, 40587.0, np.nan]))
    assert nights.dtype == "datetime64[D]"
    assert nights[:3].astype(str).tolist() == ["2018-01-01", "2018-01-01", "1970-01-01"]
    assert np.isnat(nights[3])


def test_surveys_by_name():
    assert get_survey("ZTF") is SURVEYS["ztf"]
    assert (ZTF.name, ZTF.time_scale) == ("ztf", "utc")
    with pytest.raises(ValueError, match="unknown survey 'panstarrs'; known surveys: ztf"):
        get_survey("panstarrs")


def test_fastavro_writes_what_the_tests_say():
    """The record made for tests is valid, so that refusals come from the change and not from the rest."""
    (record,) = fastavro.reader(io.BytesIO(container([ztf_record()])))
    assert record["candidate"]["candid"] == record["candid"]


def test_truncation_at_every_byte_of_a_record():
    good = packet(prv_candidates=[previous()], fp_hists=[forced()], cutoutScience=None, cutoutTemplate=None,
                  cutoutDifference={"fileName": "x", "stampData": b"12345"})  # fmt: skip
    packets = [Packet(good.body[:end], good.schema, b"") for end in range(len(good.body) + 1)]
    _, rows, problems = ZTF.alerts(packets)
    assert rows.tolist() == [len(good.body)]
    assert [index for index, _ in problems] == list(range(len(good.body)))
    assert ZTF.light_curves(packets).detections.num_rows == 2
    assert ZTF.light_curves(packets).set_aside == problems


def test_a_candidate_without_values_is_a_problem():
    names = ("jd", "fid", "magpsf", *(f"x{i}" for i in range(500)))
    kind = {"type": "record", "name": "candidate", "fields": [{"name": name, "type": "double"} for name in names]}
    schema = {"type": "record", "name": "alert", "fields": [{"name": "candidate", "type": ["null", kind]}]}
    alerts, _, problems = ZTF.alerts([Packet(b"\0", compile_schema(json.dumps(schema).encode()), b"")] * 2)
    assert alerts.num_rows == 0
    assert problems == [(0, "objectId is missing or is not text"), (1, "objectId is missing or is not text")]


def test_a_schema_too_large_to_compile_is_a_problem(monkeypatch):
    monkeypatch.setattr(avro_schema, "MAX_PROGRAM", 100)
    schema = avro_schema.AvroSchema(json.dumps(ztf_schema()).encode())
    good = packet()
    problem = "the schema is too large to compile"
    packets = [good, Packet(good.body, schema, b""), good]
    assert ZTF.alerts(packets)[2] == [(1, problem)]
    assert ZTF.light_curves(packets).set_aside == [(1, problem)]
    assert ZTF.cutouts(packets).reasons == [(1, problem)]


def test_rows_without_new_fields_have_no_extra():
    schema = ztf_schema()
    (candidate,) = (field["type"] for field in schema["fields"] if field["name"] == "candidate")
    candidate["fields"].append({"name": "score", "type": ["null", "float"]})
    records = [ztf_record({"score": value}) for value in (None, 0.25, None)]
    alerts, _, _ = ZTF.alerts(read_container(container(records, schema)))
    assert alerts["extra"].to_pylist() == [None, '{"score": 0.25}', None]
