"""VOEvent packets are valid by the official schema, GCN notices by GCN's; both say what is known and nothing else."""

import json
import re
from datetime import UTC, datetime

import pytest
from astropy.time import Time
from jsonschema import Draft202012Validator
from lxml import etree
from referencing import Registry, Resource

from alerce_dagster.reporting.notices import Notice, gcn, voevent
from tests.packages import npm_package, source_package

MADE = datetime(2026, 11, 24, 20, 0, 0, tzinfo=UTC)
FULL = Notice(
    survey="ztf", oid="ZTF26abcdefg", candid=2_616_491_414_115_015_001, ra=150.1234567, dec=-2.7654321, mjd=61_368.25,
    band="r", mag=18.25, mag_err=0.06, mag_limit=20.4, first_mjd=61_365.5, n_det=4, classifier="combined",
    model="f" * 64, probabilities={"SNIa": 0.7, "SNII": 0.2, "AGN": 0.1}, redshift=0.0421,
    redshift_kind="spectroscopic", page="http://127.0.0.1:8000/objects/ZTF26abcdefg?a=1&b=<2>",
)  # fmt: skip
BARE = Notice(
    survey="ztf", oid="ZTF26abcdefg", candid=1, ra=0.0, dec=-90.0, mjd=61_368.25, band=None, mag=None, mag_err=None,
    mag_limit=None, first_mjd=61_368.25, n_det=1,
)  # fmt: skip
_CORE = ("Alert", "Reporter", "Event", "Localization", "DateTime", "Photometry", "Redshift", "Statistics",
         "AdditionalInfo")  # fmt: skip


@pytest.fixture(scope="module")
def voevent_schema() -> etree.XMLSchema:
    """IVOA's VOEvent-v2.0.xsd, as the package voevent-parse carries it."""
    source = (source_package("voevent-parse", "1.0.3") / "src" / "voeventparse" / "definitions.py").read_text()
    found = re.search(r'v2_0_schema_str = b"""(.*?)"""', source, re.S)
    assert found
    return etree.XMLSchema(etree.fromstring(found[1].encode()))


@pytest.fixture(scope="module")
def gcn_schema() -> tuple[Draft202012Validator, set[str]]:
    """A notice of GCN's core schemas, and the fields that they know."""
    files = [npm_package("@nasa-gcn/schema", "7.2.3") / f"gcn/notices/core/{name}.schema.json" for name in _CORE]
    schemas = [json.loads(file.read_text()) for file in files]
    registry = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas])
    whole = {"allOf": [{"$ref": schema["$id"]} for schema in schemas]}
    return Draft202012Validator(whole, registry=registry), {name for s in schemas for name in s["properties"]}


@pytest.mark.parametrize("notice", [FULL, BARE], ids=["full", "bare"])
def test_voevent_is_valid(voevent_schema: etree.XMLSchema, notice: Notice) -> None:
    packet = etree.fromstring(voevent(notice, MADE, "alerce"))
    assert voevent_schema.validate(packet), voevent_schema.error_log
    packet.find("WhereWhen").getparent().remove(packet.find("WhereWhen"))
    packet.set("role", "rumour")
    assert not voevent_schema.validate(packet), "the schema is in force"


def test_voevent_says_what_is_known() -> None:
    packet = etree.fromstring(voevent(FULL, MADE, "alerce"))
    assert packet.get("ivorn") == "ivo://alerce/ztf#ZTF26abcdefg-2616491414115015001"
    params = {node.get("name"): node.get("value") for node in packet.iter("Param")}
    assert params["candid"] == "2616491414115015001"
    assert (params["mag"], params["filter"], params["host_redshift"]) == ("18.25", "r", "0.0421")
    assert params["page"] == FULL.page
    assert Time(packet.findtext(".//ISOTime"), scale="utc").mjd == pytest.approx(FULL.mjd)
    assert float(packet.findtext(".//C1")) == pytest.approx(FULL.ra)
    assert float(packet.findtext(".//C2")) == pytest.approx(FULL.dec)
    assert [(node.findtext("Concept"), float(node.get("probability"))) for node in packet.iter("Inference")] == [
        ("SNIa", 0.7), ("SNII", 0.2), ("AGN", 0.1),
    ]  # fmt: skip
    bare = etree.fromstring(voevent(BARE, MADE, "alerce"))
    assert bare.find("Why") is None
    assert {node.get("name") for node in bare.iter("Param")} == {"oid", "candid", "first_mjd", "mjd", "n_det"}


@pytest.mark.parametrize("notice", [FULL, BARE], ids=["full", "bare"])
def test_gcn_is_valid_and_all_its_fields_are_known(gcn_schema, notice: Notice) -> None:
    validator, known = gcn_schema
    made = gcn(notice, MADE, "alerce")
    validator.validate(json.loads(json.dumps(made)))
    assert set(made) <= known
    assert list(validator.iter_errors(made | {"ra": "ten hours"})), "the schema is in force"


def test_gcn_says_what_is_known() -> None:
    made = gcn(FULL, MADE, "alerce")
    assert (made["event_name"], made["id"], made["alert_type"]) == ("ZTF26abcdefg", ["2616491414115015001"], "update")
    assert Time(made["trigger_time"][:-1], scale="utc").mjd == pytest.approx(FULL.first_mjd)
    assert made["classification"] == FULL.probabilities
    assert (made["redshift"], made["redshift_type"], made["redshift_measure"]) == (0.0421, "host", "spectroscopic")
    bare = gcn(BARE, MADE, "alerce")
    assert bare["alert_type"] == "initial"
    assert not {"mag", "filter", "classification", "redshift", "redshift_type"} & set(bare)
