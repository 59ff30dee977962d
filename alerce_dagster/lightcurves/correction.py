"""From difference photometry to apparent magnitudes.

A survey reports the flux of a difference image. For a source that the reference image contains, a variable
star or an active nucleus, the apparent magnitude is that of reference flux plus difference flux. Here that
sum is made, for detections and for forced photometry alike; what is derived from whole light curves belongs
to `statistics`.

With F the flux of the reference source, f the signed difference flux and s their 1-sigma errors,

    mag_corr         = -2.5 log10(F + f) + zero point               where F + f > 0
    mag_corr_err     = 2.5/ln10 * sqrt(s_f^2 - s_F^2) / (F + f)     where s_f >= s_F
    mag_corr_err_ext = 2.5/ln10 * s_f / (F + f)

The reference image went into the difference, so its variance is part of s_f^2 and is taken off again for a
point source. For an extended one the photometry of the reference catalogue does not hold and the plain
error is safer. The formulas are ALeRCE's (Förster et al. 2021, AJ 161, 242, section 3); what differs is in
docs/photometry.md.
"""

import numpy as np
import pyarrow as pa

from alerce_dagster.lightcurves.columns import append, flags, floats, nullable, nullable_bool
from alerce_dagster.lightcurves.tables import CORRECTION, FORCED_MAGNITUDES

MAX_REF_DISTANCE = 1.4  # arcsec: a reference source closer than this is taken to be the object itself
AB_ZERO_POINT = 23.9  # magnitude of 1 µJy
MAG_PER_RELATIVE_ERROR = 2.5 / np.log(10)  # d(mag) = 1.0857 * d(flux) / flux


def correct(table: pa.Table) -> pa.Table:
    """Append the corrected photometry (`tables.CORRECTION`) to detections or forced photometry.

    `table` has the columns of DETECTIONS or of FORCED_PHOTOMETRY (known by its `flux`, µJy; then `mag`,
    `mag_err` and `positive` are derived and appended first). Rows and their order are kept. A quantity that
    is undefined is null: no reference source within 1.4 arcsec, a sum of fluxes that is not positive, a
    missing input, or, for `mag_corr_err` alone, a difference error smaller than the error of the reference
    source.
    """
    if "flux" in table.column_names:
        difference, error = floats(table, "flux"), floats(table, "flux_err")
        table = _append_magnitudes(table, difference, error)
    else:
        size = 10 ** (-0.4 * (floats(table, "mag") - AB_ZERO_POINT))
        known = table["positive"].is_valid().to_numpy(zero_copy_only=False)
        sign = np.where(flags(table, "positive"), 1.0, -1.0)
        difference = np.where(known, sign * size, np.nan)
        error = size * floats(table, "mag_err") / MAG_PER_RELATIVE_ERROR

    corrected = floats(table, "ref_distance") < MAX_REF_DISTANCE  # false where there is no reference source
    reference = 10 ** (-0.4 * (floats(table, "ref_mag") - AB_ZERO_POINT))
    reference_error = reference * floats(table, "ref_mag_err") / MAG_PER_RELATIVE_ERROR
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total = reference + difference
        total = np.where(corrected & (total > 0), total, np.nan)
        mag = -2.5 * np.log10(total) + AB_ZERO_POINT
        # The square root of a negative number is NaN, hence null: the reference is noisier than the
        # difference.
        point_error = MAG_PER_RELATIVE_ERROR * np.sqrt(error**2 - reference_error**2) / total
        extended_error = MAG_PER_RELATIVE_ERROR * error / total
    columns = {
        "mag_corr": nullable(mag),
        "mag_corr_err": nullable(point_error),
        "mag_corr_err_ext": nullable(extended_error),
        "corrected": pa.array(corrected),
    }
    return append(table, CORRECTION, columns)


def _append_magnitudes(table: pa.Table, flux: np.ndarray, error: np.ndarray) -> pa.Table:
    """Magnitude, its error and the sign of signed fluxes (µJy); a flux of zero has no magnitude."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mag = -2.5 * np.log10(np.abs(flux)) + AB_ZERO_POINT
        mag_err = MAG_PER_RELATIVE_ERROR * error / np.abs(flux)
    columns = {
        "mag": nullable(mag),
        "mag_err": nullable(mag_err),
        "positive": nullable_bool(flux > 0, ~np.isnan(flux)),
    }
    return append(table, FORCED_MAGNITUDES, columns)
