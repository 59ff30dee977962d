"""ZTF candidates to the common ALERTS table, and the reasons why a packet is refused."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.surveys.avro import Column, Decoded, Rows
from alerce_dagster.surveys.avro_schema import AvroSchema
from alerce_dagster.surveys.packets import Packet
from alerce_dagster.surveys.survey import Problem
from alerce_dagster.surveys.tables import ALERTS
from alerce_dagster.surveys.ztf.schema import CANDIDATE
from alerce_dagster.surveys.ztf.values import (
    JD_MINUS_MJD,
    band,
    date,
    decoded,
    integer,
    measured,
    nullable,
    number,
    pixels,
    sign,
    text,
)

# Column of the common table -> ZTF's field and how it is written.
Reading = tuple[str, Callable[[Column], pa.Array]]


def size(column: Column) -> pa.Array:
    """A number that is positive when it was measured: where the fit failed, FWHM is 0 or negative."""
    values = measured(column.floats())
    return nullable(np.where(values > 0, values, np.nan))


MEASUREMENT: dict[str, Reading] = {
    "mjd": ("jd", date),
    "band": ("fid", band),
    "ra": ("ra", number),
    "dec": ("dec", number),
    "mag": ("magpsf", number),
    "mag_err": ("sigmapsf", number),
    "positive": ("isdiffpos", sign),
    "mag_limit": ("diffmaglim", number),
    "mag_ap": ("magap", number),
    "mag_ap_err": ("sigmagap", number),
    "mag_ap_big": ("magapbig", number),
    "mag_ap_big_err": ("sigmagapbig", number),
    "real_bogus": ("rb", number),
    "ref_distance": ("distnr", pixels),
    "ref_mag": ("magnr", number),
    "ref_mag_err": ("sigmagnr", number),
    "ref_chi": ("chinr", number),
    "ref_sharp": ("sharpnr", number),
    "fwhm": ("fwhm", size),
    "field": ("field", integer),
    "readout_channel": ("rcid", integer),
    "image_id": ("pid", integer),
    "night_id": ("nid", integer),
    "program": ("programid", integer),
}
_CONTEXT: dict[str, Reading] = {
    "deep_real_bogus": ("drb", number),
    "real_bogus_version": ("rbversion", text),
    "deep_real_bogus_version": ("drbversion", text),
    "star_shape": ("classtar", number),
    "elongation": ("elong", number),
    "x": ("xpos", number),
    "y": ("ypos", number),
    "edge_distance": ("mindtoedge", number),
    "exposure_time": ("exptime", number),
    "zero_point": ("magzpsci", number),
    "ref_id": ("rfid", integer),
    "ref_mjd_start": ("jdstartref", date),
    "ref_mjd_end": ("jdendref", date),
    "ref_n_frames": ("nframesref", integer),
    "ps1_id_1": ("objectidps1", integer),
    "ps1_star_score_1": ("sgscore1", number),
    "ps1_distance_1": ("distpsnr1", number),
    "ps1_g_mag_1": ("sgmag1", number),
    "ps1_r_mag_1": ("srmag1", number),
    "ps1_i_mag_1": ("simag1", number),
    "ps1_z_mag_1": ("szmag1", number),
    "ps1_id_2": ("objectidps2", integer),
    "ps1_star_score_2": ("sgscore2", number),
    "ps1_distance_2": ("distpsnr2", number),
    "ps1_id_3": ("objectidps3", integer),
    "ps1_star_score_3": ("sgscore3", number),
    "ps1_distance_3": ("distpsnr3", number),
    "gaia_distance": ("neargaia", number),
    "gaia_mag": ("maggaia", number),
    "ss_distance": ("ssdistnr", number),
    "ss_mag": ("ssmagnr", number),
    "ss_name": ("ssnamenr", text),
    "n_det_history": ("ndethist", integer),
    "n_cov_history": ("ncovhist", integer),
    "mjd_first_history": ("jdstarthist", date),
    "mjd_last_history": ("jdendhist", date),
}
_KNOWN = {field.name for field in CANDIDATE}
_ROOT = ("objectId", "candid", "schemavsn", "candidate.candid")
IDENTITY_AND_MEASUREMENT = (*_ROOT, *(f"candidate.{field}" for field, _ in MEASUREMENT.values()))
_PATHS = (*IDENTITY_AND_MEASUREMENT, *(f"candidate.{field}" for field, _ in _CONTEXT.values()))


def read_alerts(packets: Sequence[Packet]) -> tuple[pa.Table, npt.NDArray[np.int64], list[Problem]]:
    """The candidates of a batch of ZTF packets.

    Returns (table in schema ALERTS with one row per readable packet, in order; index of the packet of each
    row; problems as (packet index, one sentence), in order). Magnitudes AB, MJD in UTC, null where not
    measured.
    """
    parts, indices = [], []
    problems: list[Problem] = []
    for schema, where, batch in decoded(packets, _paths, {}, problems):
        refused = faults(batch)
        keep = np.ones(len(where), bool)
        keep[list(refused)] = False
        columns = identity(batch.root) | measurement(batch.root, "candidate.")
        columns |= {name: kind(batch.root[f"candidate.{field}"]) for name, (field, kind) in _CONTEXT.items()}
        columns["schema_version"] = text(batch.root["schemavsn"])
        columns["extra"] = _extra(batch.root, _new_scalars(schema))
        table = pa.table([columns[name] for name in ALERTS.names], schema=ALERTS)
        parts.append(table if keep.all() else table.filter(pa.array(keep)))
        indices.append(where[keep])
        problems.extend((int(where[row]), reason) for row, reason in refused.items())
    if not parts:
        return ALERTS.empty_table(), np.zeros(0, np.int64), sorted(problems)
    rows = np.concatenate(indices)
    table = pa.concat_tables(parts).combine_chunks()
    if np.any(np.diff(rows) < 0):
        order = np.argsort(rows)
        table, rows = table.take(pa.array(order)), rows[order]
    return table, rows, sorted(problems)


def identity(root: Rows) -> dict[str, pa.Array]:
    """Columns oid and candid. Some archives left the packet's candid out: the candidate's is
    the same number.
    """
    return {"oid": text(root["objectId"]), "candid": pa.array(_candid(root)[0], mask=~_candid(root)[1])}


def measurement(rows: Rows, prefix: str = "") -> dict[str, pa.Array]:
    """The columns a detection shares with an alert, from fields with `prefix`."""
    return {name: kind(rows[prefix + field]) for name, (field, kind) in MEASUREMENT.items()}


def _candid(root: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    outer, has_outer = root["candid"].integers()
    inner, has_inner = root["candidate.candid"].integers()
    return np.where(has_outer, outer, inner), has_outer | has_inner


def faults(batch: Decoded) -> dict[int, str]:
    """Row of each packet that cannot be used -> one sentence saying why."""
    root = batch.root
    found: dict[int, str] = {}

    def refuse(bad: npt.NDArray[np.bool_], reason: Callable[[int], str]) -> None:
        for row in np.flatnonzero(bad):
            found.setdefault(int(row), reason(int(row)))

    for row, reason in batch.problems():
        found[row] = reason
    oid = text(root["objectId"])
    refuse(~np.asarray(oid.is_valid()), lambda row: "objectId is missing or is not text")
    odd = pc.fill_null(pc.match_substring_regex(oid, r"^[!-~]{1,64}$"), True)
    refuse(~np.asarray(odd), lambda row: f"objectId is not an identifier: {oid[row].as_py()[:64]!r}")
    candid, has_candid = _candid(root)
    refuse(~has_candid, lambda row: "candid is missing or is not an integer")
    refuse(candid <= 0, lambda row: f"candid is out of range: {candid[row]}")
    inner, has_inner = root["candidate.candid"].integers()
    refuse(
        has_inner & (inner != candid),
        lambda row: f"candid is {candid[row]} in the packet but {inner[row]} in its candidate",
    )
    for field, bad, values in bad_values(root, "candidate."):
        refuse(bad, lambda row, field=field, values=values: out_of_range(field, values[row]))  # type: ignore[misc]
    return found


# Field, and which values of it make sense; a comparison with NaN is false, so NaN never does.
_SENSIBLE: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]] = {
    "jd": lambda v: (v > 50_000 + JD_MINUS_MJD) & (v < 100_000 + JD_MINUS_MJD),
    "ra": lambda v: (v >= 0) & (v < 360),
    "dec": lambda v: (v >= -90) & (v <= 90),
    "fid": lambda v: (v == 1) | (v == 2) | (v == 3),
    "magpsf": lambda v: (v > 0) & (v < 40),
}


def bad_values(
    rows: Rows, prefix: str = "", fields: Sequence[str] = tuple(_SENSIBLE)
) -> list[tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.float64]]]:
    """(field, where its value makes no sense, its values) for each of `fields`."""
    found = []
    for field in fields:
        values = rows[prefix + field].floats()
        found.append((field, ~_SENSIBLE[field](values), values))
    return found


def out_of_range(field: str, value: float) -> str:
    """One sentence for a value that makes no sense."""
    if np.isnan(value):
        return f"{field} is missing or not a number"
    if field == "fid":
        return f"the filter (fid) is {value:g}; ZTF's are 1, 2 and 3"
    return f"{field} is out of range: {value:g}"


def _paths(schema: AvroSchema) -> tuple[str, ...]:
    return (*_PATHS, *(f"candidate.{name}" for name in _new_scalars(schema)))


def _new_scalars(schema: AvroSchema) -> list[str]:
    """Fields of the candidate that version 4.02 of the schema does not have."""
    return sorted(set(schema.scalars("candidate")) - _KNOWN)


def _extra(root: Rows, names: Sequence[str]) -> pa.Array:
    """A JSON object of the fields `names` per row, nulls left out; null for a row without any."""
    if not names:
        return pa.nulls(len(root), pa.string())
    pieces = []
    for name in names:
        key = json.dumps(name) + ": "
        written = [_as_json(value) for value in _python_values(root[f"candidate.{name}"])]
        pieces.append([None if value is None else key + value for value in written])
    rows = (", ".join(piece for piece in row if piece is not None) for row in zip(*pieces, strict=True))
    return pa.array([f"{{{row}}}" if row else None for row in rows], pa.string())


def _as_json(value: object) -> str | None:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return json.dumps(value)


def _python_values(column: Column) -> list:
    """One Python value per row; only for fields that no version of the schema had when this was written."""
    numbers, (integers, whole), words = column.floats(), column.integers(), text(column).to_pylist()
    flags = column.is_flag()
    return [
        (bool(integers[i]) if flags[i] else int(integers[i]))
        if whole[i]
        else (words[i] if np.isnan(numbers[i]) else float(numbers[i]))
        for i in range(len(numbers))
    ]
