"""Brings a night's candidates of the broker into a SkyPortal: `python skyportal_pull.py 2026-11-24`.

SkyPortal gets each candidate, under one of its filters, and its photometry. Run it again as often as you like:
candidates that are there already stay as they are, and photometry is put, not added. Needs requests, nothing else.

=====================  ==============================================================
Variable               Meaning
=====================  ==============================================================
BROKER_URL             the broker (default http://127.0.0.1:8000)
SKYPORTAL_URL          the SkyPortal
SKYPORTAL_TOKEN        a token that may upload data
SKYPORTAL_FILTER       number of the filter that candidates come in under
SKYPORTAL_INSTRUMENT   number of ZTF's instrument there
SKYPORTAL_GROUP        number of the group that sees the photometry
=====================  ==============================================================

SkyPortal's API: https://skyportal.io/docs/api.html (POST /api/candidates, PUT /api/photometry).
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

_TIMEOUT = 60  # s
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


def candidate(row: dict[str, Any], filter_id: int) -> dict[str, Any]:
    """A candidate of the broker as SkyPortal takes it; identifiers of 64 bits fit its integers."""
    passed_at = _MJD_ZERO + timedelta(days=row["alert_mjd"])
    return {
        "id": row["oid"],
        "ra": row["ra"],
        "dec": row["dec"],
        "score": row["probability"],
        "filter_ids": [filter_id],
        "passing_alert_id": int(row["candid"]),
        "passed_at": passed_at.isoformat(),
        "origin": "ALeRCE on Dagster",
    }


def photometry(oid: str, detections: list[dict], limits: list[dict]) -> dict[str, list]:
    """Light curve as SkyPortal takes it: a column each, magnitude and error both or neither, a limit always.

    Detections fainter than the template have no magnitude there, and are left out.
    """
    rows = [
        (row["mjd"], row["band"], row["mag"], row["mag_err"], row["mag_limit"], row["ra"], row["dec"])
        for row in detections
        if row["positive"] and None not in (row["mag"], row["mag_err"], row["mag_limit"])
    ]
    rows += [
        (row["mjd"], row["band"], None, None, row["mag_limit"], None, None)
        for row in limits
        if row["mag_limit"] is not None
    ]
    rows.sort(key=lambda row: row[0])
    names = ("mjd", "filter", "mag", "magerr", "limiting_mag", "ra", "dec")
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    return columns | {"filter": [f"ztf{band}" for band in columns["filter"]], "obj_id": [oid] * len(rows)}


def pull(night: str, broker: str, skyportal: str, token: str, filter_id: int, instrument: int, group: int) -> int:
    """Bring a night's candidates over; returns how many.

    Raises
    ------
    requests.HTTPError
        When either side refuses, with its status; what came before stays.
    """
    session = requests.Session()
    session.headers["Authorization"] = f"token {token}"
    found = _read(f"{broker}/api/v1/nights/{night}/candidates")
    for row in found:
        sent = session.post(f"{skyportal}/api/candidates", json=candidate(row, filter_id), timeout=_TIMEOUT)
        if sent.status_code != 200 and "already" not in sent.text:
            sent.raise_for_status()
        path = f"{broker}/api/v1/objects/{row['oid']}"
        body: dict[str, Any] = photometry(row["oid"], _read(f"{path}/detections"), _read(f"{path}/non_detections"))
        if body["mjd"]:
            about = {"instrument_id": instrument, "magsys": "ab", "group_ids": [group]}
            session.put(f"{skyportal}/api/photometry", json=body | about, timeout=_TIMEOUT).raise_for_status()
    return len(found)


def _read(url: str) -> list[dict[str, Any]]:
    answer = requests.get(url, timeout=_TIMEOUT)
    answer.raise_for_status()
    return answer.json()


def main() -> None:
    """Read the environment, pull the night."""
    own = os.environ
    n = pull(
        sys.argv[1], own.get("BROKER_URL", "http://127.0.0.1:8000").rstrip("/"), own["SKYPORTAL_URL"].rstrip("/"),
        own["SKYPORTAL_TOKEN"], int(own["SKYPORTAL_FILTER"]), int(own["SKYPORTAL_INSTRUMENT"]),
        int(own["SKYPORTAL_GROUP"]),
    )  # fmt: skip
    sys.stdout.write(f"{n} candidates of {sys.argv[1]}\n")


if __name__ == "__main__":
    main()
