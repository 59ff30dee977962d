"""The ZTF alert schema: valid Avro, documented, and equal to the one that ZTF publishes."""

import json

import fastavro
import numpy as np
import pytest

from alerce_dagster.surveys.ztf import schema as ztf


def _without_docs(schema):
    """Types, names, order and defaults of a schema; text and version labels left out."""
    if isinstance(schema, list):
        return [_without_docs(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema["type"] == "array":
        return {"type": "array", "items": _without_docs(schema["items"])}
    if schema["type"] == "record":
        fields = [
            {"name": f["name"], "type": _without_docs(f["type"])}
            | ({"default": f["default"]} if "default" in f else {})
            for f in schema["fields"]
        ]
        return {"type": "record", "name": schema["name"].rsplit(".", 1)[-1], "fields": fields}
    return schema


def test_the_schema_is_valid_avro_with_the_namespaces_of_ztf():
    names: dict = {}
    fastavro.parse_schema(ztf.ztf_schema(), named_schemas=names)
    assert set(names) == {
        "ztf.alert",
        "ztf.alert.candidate",
        "ztf.alert.prv_candidate",
        "ztf.alert.fp_hist",
        "ztf.alert.cutout",
    }


def test_every_call_gives_a_new_schema():
    first = ztf.ztf_schema()
    first["fields"].clear()
    assert ztf.ztf_schema()["fields"]


@pytest.mark.parametrize("record", [ztf.CANDIDATE, ztf.PRV_CANDIDATE, ztf.FP_HIST, ztf.CUTOUT])
def test_fields_are_unique_and_explained(record):
    assert len({field.name for field in record}) == len(record)
    assert all(len(field.meaning) > 5 for field in record)
    kinds = {field.type.rstrip("?~") for field in record}
    assert kinds <= {"double", "float", "int", "long", "string", "bytes"}


def test_records_of_one_quantity_agree():
    """A field that two records share has one unit and type; the history has no field of its own."""
    candidate = {field.name: field for field in ztf.CANDIDATE}
    for field in (*ztf.PRV_CANDIDATE, *ztf.FP_HIST):
        if field.name in candidate:
            if field.name != "distnr":  # pixels in candidates, arcseconds in the forced photometry
                assert field.unit == candidate[field.name].unit
            assert field.type.rstrip("?~") == candidate[field.name].type.rstrip("?~")
    assert {field.name for field in ztf.PRV_CANDIDATE} <= set(candidate)


@pytest.mark.realdata
def test_the_schema_equals_the_official_one(real_data):
    folder = real_data / "ztf_alerts" / "schemas" / "schema"
    official = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.avsc")}
    ours: dict = {}
    fastavro.parse_schema(ztf.ztf_schema(), named_schemas=ours)
    for name in ("candidate", "prv_candidate", "fp_hist", "cutout"):
        assert official[name]["version"] == ztf.VERSION
        assert _without_docs(ours[f"ztf.alert.{name}"]) == _without_docs(official[name])
    # The official top record refers to the others by name; ours writes them out, so names are compared.
    alert = official["alert"]
    assert (alert["namespace"], alert["name"]) == ("ztf", "alert")
    expected = json.loads(json.dumps(ztf.ztf_schema()))
    for field in expected["fields"]:
        kind = field["type"]
        if isinstance(kind, dict):
            field["type"] = f"ztf.alert.{kind['name']}"
        elif isinstance(kind, list) and isinstance(kind[1], dict):
            inner = kind[1].get("items", kind[1])
            name = f"ztf.alert.{inner['name']}"
            field["type"] = ["null", {"type": "array", "items": name} if "items" in kind[1] else name]
    assert _without_docs(expected) == _without_docs(alert)


@pytest.mark.realdata
def test_a_real_packet_of_this_version_can_be_written_with_the_schema(real_data, tmp_path):
    """A record read with ZTF's own writer schema passes ours and comes back unchanged."""
    parsed = fastavro.parse_schema(ztf.ztf_schema())
    done = 0
    for path in sorted((real_data / "ztf_alerts" / "avro").glob("*.avro")):
        with path.open("rb") as file:
            reader = fastavro.reader(file)
            if not isinstance(reader.writer_schema, dict) or reader.writer_schema.get("version") != ztf.VERSION:
                continue
            record = next(reader)
        fastavro.validate(record, parsed, raise_errors=True)
        copy = tmp_path / "copy.avro"
        with copy.open("wb") as file:
            fastavro.writer(file, parsed, [record])
        with copy.open("rb") as file:
            assert next(fastavro.reader(file)) == record
        done += 1
        if done == 5:
            break
    assert done


@pytest.mark.realdata
def test_distnr_is_in_pixels_in_candidates_and_in_arcsec_in_forced_photometry(real_data):
    """The unit is written nowhere consistently; the positions of real packets tell it."""
    pixels, arcsec = [], []
    for path in sorted((real_data / "ztf_alerts" / "avro").glob("*.avro")):
        with path.open("rb") as file:
            record = next(fastavro.reader(file))
        if "candidate" not in record:
            continue
        candidate = record["candidate"]
        for source, ratios in [(candidate, pixels), *((fp, arcsec) for fp in record.get("fp_hists") or [])]:
            if source["distnr"] is not None and source["distnr"] > 3 and abs(source["decnr"]) <= 90:
                east = (candidate["ra"] - source["ranr"]) * np.cos(np.radians(candidate["dec"]))
                ratios.append(3600 * np.hypot(east, candidate["dec"] - source["decnr"]) / source["distnr"])
    assert np.median(pixels) == pytest.approx(ztf.PIXEL_SCALE, abs=2e-3)
    assert np.median(arcsec) == pytest.approx(1.0, abs=2e-3)
