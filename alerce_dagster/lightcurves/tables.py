"""The tables that light curves give: corrected photometry, statistics per object, statistics per object and
band.

Arrow schemas only, each column with its unit and meaning as metadata; what fills them is in `correction`
and `statistics`. A value that is not defined is null. Times are MJD in the time scale of the survey (UTC
for ZTF).
"""

import pyarrow as pa

from alerce_dagster.surveys.tables import BOOL, FLOAT, INT, TEXT, column

# Appended to DETECTIONS by `correction.correct`.
CORRECTION = pa.schema(
    [
        column("mag_corr", FLOAT, "mag", "apparent magnitude: flux of the reference source plus difference flux"),
        column("mag_corr_err", FLOAT, "mag", "1-sigma error of mag_corr for a point source in the reference"),
        column(
            "mag_corr_err_ext",
            FLOAT,
            "mag",
            "1-sigma error of mag_corr for an extended source in the reference",
        ),
        column("corrected", BOOL, "", "a reference source lies close enough to belong to the object"),
    ]
)

# Appended to FORCED_PHOTOMETRY, before CORRECTION.
FORCED_MAGNITUDES = pa.schema(
    [
        column("mag", FLOAT, "mag", "magnitude of the absolute difference flux"),
        column("mag_err", FLOAT, "mag", "1-sigma error of mag"),
        column("positive", BOOL, "", "the difference flux is above zero"),
    ]
)

OBJECTS = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("n_det", INT, "", "detections"),
        column("n_forced", INT, "", "epochs of forced photometry"),
        column("n_non_det", INT, "", "upper limits"),
        column("first_mjd", FLOAT, "d", "first detection"),
        column("last_mjd", FLOAT, "d", "last detection"),
        column("delta_mjd", FLOAT, "d", "last_mjd minus first_mjd"),
        column("ra", FLOAT, "deg", "right ascension, weighted mean of the detections, ICRS"),
        column("dec", FLOAT, "deg", "declination, weighted mean of the detections, ICRS"),
        column("ra_err", FLOAT, "arcsec", "1-sigma error of the mean along right ascension, on the sky"),
        column("dec_err", FLOAT, "arcsec", "1-sigma error of the mean along declination"),
        column("corrected", BOOL, "", "the first detection has a reference source close by"),
        column("stellar", BOOL, "", "the reference source of the first detection looks like a star"),
        column("any_positive", BOOL, "", "some detection is brighter than in the reference image"),
        column(
            "reference_change",
            BOOL,
            "",
            "some reference image holds exposures later than the first detection",
        ),
        column("g_r_max", FLOAT, "mag", "g minus r of the brightest difference magnitudes"),
        column("g_r_max_corr", FLOAT, "mag", "g minus r of the brightest corrected magnitudes"),
        column("g_r_mean", FLOAT, "mag", "g minus r of the mean difference magnitudes"),
        column("g_r_mean_corr", FLOAT, "mag", "g minus r of the mean corrected magnitudes"),
        column("n_det_history", INT, "", "detections over the whole survey, as the latest alert counts them"),
        column("n_cov_history", INT, "", "exposures over the whole survey, as the latest alert counts them"),
        column("mjd_start_history", FLOAT, "d", "first detection of the whole survey, as the latest alert says"),
        column("mjd_end_history", FLOAT, "d", "last detection of the whole survey, as the latest alert says"),
    ]
)


def _magnitude_columns(suffix: str, what: str) -> list[pa.Field]:
    return [
        column(f"mag_mean{suffix}", FLOAT, "mag", f"mean of the {what} magnitudes"),
        column(f"mag_median{suffix}", FLOAT, "mag", f"median of the {what} magnitudes"),
        column(f"mag_max{suffix}", FLOAT, "mag", f"faintest {what} magnitude"),
        column(f"mag_min{suffix}", FLOAT, "mag", f"brightest {what} magnitude"),
        column(f"mag_sigma{suffix}", FLOAT, "mag", f"standard deviation of the {what} magnitudes (over n)"),
        column(f"mag_first{suffix}", FLOAT, "mag", f"first {what} magnitude"),
        column(f"mag_last{suffix}", FLOAT, "mag", f"last {what} magnitude"),
    ]


MAGSTATS = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("band", TEXT, "", "g, r or i"),
        column("corrected", BOOL, "", "the first detection in this band has a reference source close by"),
        column("stellar", BOOL, "", "the reference source of the first detection in this band looks like a star"),
        column("n_det", INT, "", "detections in this band"),
        column("n_dubious", INT, "", "detections in this band whose correction is in doubt"),
        *_magnitude_columns("", "difference"),
        *_magnitude_columns("_corr", "corrected"),
        column("first_mjd", FLOAT, "d", "first detection in this band"),
        column("last_mjd", FLOAT, "d", "last detection in this band"),
        column("saturation_rate", FLOAT, "", "share of corrected detections brighter than saturation"),
        column(
            "dmdt_first",
            FLOAT,
            "mag/d",
            "slowest rise that the upper limits before the first detection allow",
        ),
        column("dm_first", FLOAT, "mag", "first magnitude minus the limit that gives dmdt_first"),
        column("sigmadm_first", FLOAT, "mag", "1-sigma error of dm_first"),
        column("dt_first", FLOAT, "d", "first detection minus the epoch of that limit"),
    ]
)
