"""The photometry a ZTF packet carries: its own detection, the previous candidates, and forced photometry.

`prv_candidates` mixes detections (with a candid) and non-detections (without one, only a limiting magnitude);
packets of schema 3.5 put forced photometry there too. `fp_hists` (from 4.01) is forced photometry.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alerce_dagster.surveys.avro import Rows
from alerce_dagster.surveys.packets import Packet
from alerce_dagster.surveys.survey import LightCurves, Problem
from alerce_dagster.surveys.tables import DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS
from alerce_dagster.surveys.ztf.alerts import (
    IDENTITY_AND_MEASUREMENT,
    MEASUREMENT,
    Reading,
    bad_values,
    faults,
    identity,
    measurement,
    out_of_range,
)
from alerce_dagster.surveys.ztf.values import band, date, decoded, integer, measured, nullable, number, text

_FORCED: dict[str, Reading] = {
    "image_id": ("pid", integer),
    "mjd": ("jd", date),
    "band": ("fid", band),
    "mag_limit": ("diffmaglim", number),
    "zero_point": ("magzpsci", number),
    "seeing": ("sciinpseeing", number),
    "status": ("procstatus", text),
    "ref_distance": ("distnr", number),
    "ref_mag": ("magnr", number),
    "ref_mag_err": ("sigmagnr", number),
    "ref_chi": ("chinr", number),
    "ref_sharp": ("sharpnr", number),
    "ref_id": ("rfid", integer),
    "field": ("field", integer),
    "readout_channel": ("rcid", integer),
    "exposure_time": ("exptime", number),
    "program": ("programid", integer),
}
_FLUX = ("forcediffimflux", "forcediffimfluxunc")
_FORCED_PATHS = (*(field for field, _ in _FORCED.values()), *_FLUX)
_PREVIOUS_PATHS = tuple(dict.fromkeys(("candid", *(field for field, _ in MEASUREMENT.values()), *_FORCED_PATHS)))
_TABLES = {"prv_candidates": _PREVIOUS_PATHS, "fp_hists": _FORCED_PATHS}
_NOT_MEASURED_FLUX = (-99999.0,)  # -999 may be a flux
AB_ZERO_UJY = 23.9  # AB magnitude of 1 µJy


def read_light_curves(packets: Sequence[Packet]) -> LightCurves:
    """The light curves of a batch of ZTF packets.

    Detections: the packets' own (has_stamp true, parent_candid null), then those of the histories (has_stamp
    false). Forced difference fluxes are in µJy, keep their sign, and are null where ZTF measured none.
    Packets that `alerts` refuses give no rows; they and every row of a history that cannot be used are in
    `set_aside`.
    """
    detections, non_detections, forced = [], [], []
    set_aside: list[Problem] = []
    for _, where, batch in decoded(packets, lambda schema: IDENTITY_AND_MEASUREMENT, _TABLES, set_aside):
        refused = faults(batch)
        set_aside.extend((int(where[row]), reason) for row, reason in refused.items())
        good = np.ones(len(where), bool)
        good[list(refused)] = False
        own = identity(batch.root)
        n = len(where)
        columns = own | measurement(batch.root, "candidate.")
        columns |= {"has_stamp": pa.array(np.ones(n, bool)), "parent_candid": pa.nulls(n, pa.int64())}
        detections.append(_table(columns, DETECTIONS, good))

        previous = batch.tables["prv_candidates"]
        known = good[previous.parent]
        has_candid = previous["candid"].integers()[1]
        is_forced = ~has_candid & previous["forcediffimflux"].valid
        for table, kind, chosen, fields in (
            (previous, "previous detection", known & has_candid, ("jd", "ra", "dec", "fid", "magpsf")),
            (previous, "non-detection", known & ~has_candid & ~is_forced, ("jd", "fid", "diffmaglim")),
            (previous, "forced epoch", known & is_forced, ("jd", "fid", "pid")),
            (batch.tables["fp_hists"], "forced epoch", None, ("jd", "fid", "pid")),
        ):
            wanted = good[table.parent] if chosen is None else chosen
            usable, problems = _usable(table, wanted, kind, fields)
            set_aside.extend((int(where[row]), reason) for row, reason in problems)
            parent = pa.array(table.parent)
            whose = {"oid": own["oid"].take(parent), "parent_candid": own["candid"].take(parent)}
            if kind == "previous detection":
                columns = whose | measurement(table)
                columns |= {
                    "candid": integer(table["candid"]),
                    "has_stamp": pa.array(np.zeros(len(table), bool)),
                }
                detections.append(_table(columns, DETECTIONS, usable))
            elif kind == "non-detection":
                columns = whose | {name: kind(table[field]) for name, (field, kind) in _NON_DETECTION.items()}
                non_detections.append(_table(columns, NON_DETECTIONS, usable))
            else:
                forced.append(_table(whose | _forced(table), FORCED_PHOTOMETRY, usable))
    return LightCurves(
        _joined(detections, DETECTIONS),
        _joined(non_detections, NON_DETECTIONS),
        _joined(forced, FORCED_PHOTOMETRY),
        sorted(set_aside),
    )


_NON_DETECTION: dict[str, Reading] = {
    "band": ("fid", band),
    "mjd": ("jd", date),
    "mag_limit": ("diffmaglim", number),
    "image_id": ("pid", integer),
}


def _forced(rows: Rows) -> dict[str, pa.Array]:
    """Columns of forced photometry; fluxes from data numbers to µJy by the zero point of the image."""
    flux, error = (measured(rows[field].floats(), _NOT_MEASURED_FLUX) for field in _FLUX)
    zero_point = measured(rows["magzpsci"].floats())
    error[~(error > 0)] = np.nan
    # m = -2.5 log10(DN) + zp and m = -2.5 log10(µJy) + 23.9 (Masci et al. 2023, ZTF forced photometry guide)
    with np.errstate(over="ignore"):
        scale = 10 ** ((AB_ZERO_UJY - zero_point) / 2.5)
        flux, error = measured(flux * scale, ()), measured(error * scale, ())
    columns = {name: kind(rows[field]) for name, (field, kind) in _FORCED.items()}
    return columns | {"flux": nullable(flux), "flux_err": nullable(error)}


def _usable(
    rows: Rows, wanted: npt.NDArray[np.bool_], kind: str, fields: Sequence[str]
) -> tuple[npt.NDArray[np.bool_], list[Problem]]:
    """Which of the wanted rows make sense, and (row of the parent, one sentence) for each that does not."""
    usable = wanted.copy()
    problems: list[Problem] = []
    checks = bad_values(rows, "", [field for field in fields if field not in ("diffmaglim", "pid")])
    for field in fields:
        if field in ("diffmaglim", "pid"):
            values = measured(rows[field].floats())
            checks.append((field, np.isnan(values), values))
    for field, bad, values in checks:
        for row in np.flatnonzero(usable & bad):
            problems.append((int(rows.parent[row]), f"a {kind} in the history: {out_of_range(field, values[row])}"))
        usable &= ~bad
    return usable, problems


def _table(columns: dict[str, pa.Array], schema: pa.Schema, keep: npt.NDArray[np.bool_]) -> pa.Table:
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return table if keep.all() else table.filter(pa.array(keep))


def _joined(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()
