"""ZTF packets made for tests: valid ones with a history and cutouts, to be spoiled as a test needs."""

import gzip
import io
from pathlib import Path

import fastavro
import numpy as np

from alerce_dagster.surveys.ztf.schema import ztf_schema

SCHEMA = fastavro.parse_schema(ztf_schema())
NIGHT = "2020-01-15"
JD0 = 2458863.5  # 2020-01-15 00:00 UTC
_DEFAULTS = {"int": 0, "long": 0, "float": 0.0, "double": 0.0, "string": "", "bytes": b""}


def _fill(record: str, **values) -> dict:
    """A record with null, zero or empty in every field that `values` does not give."""
    fields = SCHEMA["__named_schemas"][f"ztf.alert.{record}"]["fields"]
    unknown = set(values) - {field["name"] for field in fields}
    assert not unknown, unknown
    return {
        field["name"]: values.get(field["name"], None if isinstance(field["type"], list) else _DEFAULTS[field["type"]])
        for field in fields
    }


def cutout(seed: int, side: tuple[int, int] = (63, 63), flux: float = 500.0) -> bytes:
    """A gzipped FITS image: noise and a point source in the middle."""
    rows, columns = side
    y, x = np.mgrid[:rows, :columns]
    image = np.random.default_rng(seed).normal(100, 5, side)
    image += flux * np.exp(-((x - columns // 2) ** 2 + (y - rows // 2) ** 2) / 4)
    cards = ["SIMPLE  =                    T", "BITPIX  =                  -32", "NAXIS   =                    2"]
    cards += [f"NAXIS1  = {columns:>20}", f"NAXIS2  = {rows:>20}", "END"]
    header = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    data = image.astype(">f4").tobytes()
    return gzip.compress(header + data + b"\0" * (-len(data) % 2880), 1, mtime=0)


def alert(n: int, oid: str | None = None, *, day: float = 0.3, history: int = 3, **candidate) -> dict:
    """Alert number `n` as a record: `history` earlier detections and as many upper limits of its object."""
    jd = JD0 + day + n * 1e-5
    candid = candid_of(n, day)
    oid = oid or f"ZTF20{_letters(n)}"
    values = {
        "jd": jd, "fid": 1 + n % 2, "pid": candid // 10**6, "diffmaglim": 20.5, "programid": 1, "candid": candid,
        "isdiffpos": "t", "ra": (10 + 0.37 * n) % 360, "dec": -20 + (n * 0.11) % 80, "magpsf": 17 + (n % 30) / 10,
        "sigmapsf": 0.08, "distnr": 0.4, "magnr": 18.5, "sigmagnr": 0.03, "chinr": 1.0, "sharpnr": 0.0, "rb": 0.9,
        "drb": 0.99, "sgscore1": 0.9, "distpsnr1": 0.3, "ndethist": history + 1, "ncovhist": 50, "fwhm": 2.2,
        "ssdistnr": -999.0, "ssmagnr": -999.0, "ssnamenr": "null", "classtar": 0.98, "field": 500, "rcid": 10,
        "nid": 1109, "jdstarthist": jd - 3 * history, "jdendhist": jd, "jdendref": JD0 - 300, "rbversion": "t1",
        "drbversion": "d6", "xpos": 1500.0, "ypos": 1500.0,
    }  # fmt: skip
    values |= candidate
    previous = []
    for k in range(1, history + 1):
        shared = {name: values[name] for name in ("fid", "programid", "field", "rcid", "diffmaglim", "rbversion")}
        earlier = {"jd": jd - 3 * k, "pid": values["pid"] - k, **shared}
        seen = ("isdiffpos", "ra", "dec", "sigmapsf", "distnr", "magnr", "sigmagnr", "chinr", "sharpnr", "rb")
        measured = {name: values[name] for name in seen}
        measured |= {"candid": candid - 3 * k * 10**15, "magpsf": values["magpsf"] + 0.1 * k}
        previous.append(_fill("prv_candidate", **earlier, **measured))
        previous.append(_fill("prv_candidate", **(earlier | {"jd": jd - 3 * k - 1, "pid": earlier["pid"] - 100})))
    forced = [
        _fill(
            "fp_hist", jd=jd - k, fid=values["fid"], pid=values["pid"] - 500 - k, programid=1, magzpsci=26.2,
            forcediffimflux=100.0 * k - 150, forcediffimfluxunc=12.0, procstatus="0", diffmaglim=20.4,
            distnr=0.4, magnr=18.5, sigmagnr=0.03,
        )
        for k in range(1, 3)
    ]  # fmt: skip
    record = {
        "schemavsn": "4.02", "publisher": "test", "objectId": oid, "candid": candid,
        "candidate": _fill("candidate", **values), "prv_candidates": previous, "fp_hists": forced,
    }  # fmt: skip
    for k, kind in enumerate(("Science", "Template", "Difference")):
        record[f"cutout{kind}"] = {"fileName": f"{candid}_{kind}.fits.gz", "stampData": cutout(n * 3 + k)}
    return record


def candid_of(n: int, day: float = 0.3) -> int:
    """The candid of alert number `n`: days since 2017-01-01 in the leading digits, as ZTF makes them."""
    return int((JD0 - 2457754.5 + day) * 10_000) * 10**11 + 15_000_000_000 + n


def packet(record: dict, codec: str = "null") -> bytes:
    """The record as a container of its own."""
    stream = io.BytesIO()
    fastavro.writer(stream, SCHEMA, [record], codec=codec, sync_marker=b"0123456789abcdef")
    return stream.getvalue()


def write_packets(folder: Path, records: list[dict]) -> Path:
    """One file per packet, named by its candid as in ZTF's archives."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        (folder / f"{record['candid']}.avro").write_bytes(packet(record))
    return folder


def _letters(n: int) -> str:
    letters = ""
    for _ in range(7):
        n, rest = divmod(n, 26)
        letters = chr(97 + rest) + letters
    return letters
