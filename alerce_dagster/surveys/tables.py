"""The common alert tables: what every survey's packets become, with units.

Each table is an Arrow schema; a column's metadata carries its unit and meaning, and the database tables are built from
the same schemas, so a column is described once. Rules that hold for all of them:

* identifiers are 64-bit integers or text;
* a value that the survey did not measure is null, never a sentinel;
* times are MJD in the time scale of the survey (`Survey.time_scale`: UTC for ZTF);
* magnitudes are AB; fluxes are difference fluxes in µJy and keep their sign.
"""

import pyarrow as pa

INT, FLOAT, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()


def column(name: str, kind: pa.DataType, unit: str, meaning: str) -> pa.Field:
    """An Arrow field that carries its unit ("" when it has none) and meaning as metadata."""
    return pa.field(name, kind, metadata={"unit": unit, "meaning": meaning})


_IDENTITY = [
    column("oid", TEXT, "", "the survey's object identifier"),
    column("candid", INT, "", "the survey's identifier of this detection"),
]

# What an image says of one source, both in an alert and in the history that later alerts repeat.
_MEASUREMENT = [
    column("mjd", FLOAT, "d", "start of the exposure"),
    column("band", TEXT, "", "g, r or i"),
    column("ra", FLOAT, "deg", "right ascension, ICRS"),
    column("dec", FLOAT, "deg", "declination, ICRS"),
    column("mag", FLOAT, "mag", "PSF magnitude of the absolute difference flux"),
    column("mag_err", FLOAT, "mag", "1-sigma error of mag"),
    column("positive", BOOL, "", "true when the source is brighter than in the reference image"),
    column("mag_limit", FLOAT, "mag", "5-sigma limit of the difference image"),
    column("mag_ap", FLOAT, "mag", "aperture magnitude of the absolute difference flux"),
    column("mag_ap_err", FLOAT, "mag", "1-sigma error of mag_ap"),
    column("mag_ap_big", FLOAT, "mag", "aperture magnitude in the large aperture"),
    column("mag_ap_big_err", FLOAT, "mag", "1-sigma error of mag_ap_big"),
    column("real_bogus", FLOAT, "", "the survey's real-bogus score, 0 to 1"),
    column("ref_distance", FLOAT, "arcsec", "distance to the nearest source of the reference image"),
    column("ref_mag", FLOAT, "mag", "magnitude of that reference source"),
    column("ref_mag_err", FLOAT, "mag", "1-sigma error of ref_mag"),
    column("ref_chi", FLOAT, "", "DAOPhot chi of that reference source"),
    column("ref_sharp", FLOAT, "", "DAOPhot sharpness of that reference source"),
    column("fwhm", FLOAT, "pixel", "full width at half maximum of the source"),
    column("field", INT, "", "survey field"),
    column("readout_channel", INT, "", "readout channel (CCD quadrant)"),
    column("image_id", INT, "", "the survey's identifier of the processed image (ZTF pid)"),
    column("night_id", INT, "", "the survey's night number (ZTF nid)"),
    column("program", INT, "", "observing programme (1 is public)"),
]

ALERTS = pa.schema(
    [
        *_IDENTITY,
        *_MEASUREMENT,
        column("deep_real_bogus", FLOAT, "", "the survey's deep-learning real-bogus score, 0 to 1"),
        column("real_bogus_version", TEXT, "", "model that gave real_bogus"),
        column("deep_real_bogus_version", TEXT, "", "model that gave deep_real_bogus"),
        column("star_shape", FLOAT, "", "star (1) or galaxy (0) by image shape (SExtractor CLASS_STAR)"),
        column("elongation", FLOAT, "", "major over minor axis"),
        column("x", FLOAT, "pixel", "position on the readout channel"),
        column("y", FLOAT, "pixel", "position on the readout channel"),
        column("edge_distance", FLOAT, "pixel", "distance to the nearest edge of the image"),
        column("exposure_time", FLOAT, "s", "integration time"),
        column("zero_point", FLOAT, "mag", "photometric zero point of the science image"),
        column("ref_id", INT, "", "the survey's identifier of the reference image (ZTF rfid)"),
        column("ref_mjd_start", FLOAT, "d", "first exposure in the reference image"),
        column("ref_mjd_end", FLOAT, "d", "last exposure in the reference image"),
        column("ref_n_frames", INT, "", "exposures in the reference image"),
        column("ps1_id_1", INT, "", "nearest Pan-STARRS1 source within 30 arcsec"),
        column("ps1_star_score_1", FLOAT, "", "star (1) or galaxy (0) score of that source"),
        column("ps1_distance_1", FLOAT, "arcsec", "distance to that source"),
        column("ps1_g_mag_1", FLOAT, "mag", "Pan-STARRS1 g of that source"),
        column("ps1_r_mag_1", FLOAT, "mag", "Pan-STARRS1 r of that source"),
        column("ps1_i_mag_1", FLOAT, "mag", "Pan-STARRS1 i of that source"),
        column("ps1_z_mag_1", FLOAT, "mag", "Pan-STARRS1 z of that source"),
        column("ps1_id_2", INT, "", "second nearest Pan-STARRS1 source"),
        column("ps1_star_score_2", FLOAT, "", "its star/galaxy score"),
        column("ps1_distance_2", FLOAT, "arcsec", "its distance"),
        column("ps1_id_3", INT, "", "third nearest Pan-STARRS1 source"),
        column("ps1_star_score_3", FLOAT, "", "its star/galaxy score"),
        column("ps1_distance_3", FLOAT, "arcsec", "its distance"),
        column("gaia_distance", FLOAT, "arcsec", "distance to the nearest Gaia source"),
        column("gaia_mag", FLOAT, "mag", "Gaia G of that source"),
        column("ss_distance", FLOAT, "arcsec", "distance to the nearest known Solar System object"),
        column("ss_mag", FLOAT, "mag", "its predicted magnitude"),
        column("ss_name", TEXT, "", "its name"),
        column("n_det_history", INT, "", "detections at this position over the whole survey"),
        column("n_cov_history", INT, "", "exposures that covered this position over the whole survey"),
        column("mjd_first_history", FLOAT, "d", "first detection at this position"),
        column("mjd_last_history", FLOAT, "d", "last detection at this position"),
        column("schema_version", TEXT, "", "version of the packet's schema, as the packet says it"),
        column("extra", TEXT, "", "JSON object of scalar fields this table has no column for; null without any"),
    ]
)

DETECTIONS = pa.schema(
    [
        *_IDENTITY,
        *_MEASUREMENT,
        column("has_stamp", BOOL, "", "the packet of this very detection was received, with its cutouts"),
        column("parent_candid", INT, "", "the alert whose history told of it; null for an alert's own detection"),
    ]
)

NON_DETECTIONS = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("band", TEXT, "", "g, r or i"),
        column("mjd", FLOAT, "d", "start of the exposure"),
        column("mag_limit", FLOAT, "mag", "5-sigma limit of the difference image"),
        column("image_id", INT, "", "the survey's identifier of the processed image"),
        column("parent_candid", INT, "", "the alert whose history told of it"),
    ]
)

FORCED_PHOTOMETRY = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("image_id", INT, "", "the survey's identifier of the processed image"),
        column("mjd", FLOAT, "d", "start of the exposure"),
        column("band", TEXT, "", "g, r or i"),
        column("flux", FLOAT, "uJy", "difference flux at the position of the alert, signed"),
        column("flux_err", FLOAT, "uJy", "1-sigma error of flux"),
        column("mag_limit", FLOAT, "mag", "5-sigma limit of the difference image"),
        column("zero_point", FLOAT, "mag", "photometric zero point of the science image"),
        column("seeing", FLOAT, "pixel", "full width at half maximum of the science image"),
        column("status", TEXT, "", "the survey's processing status; 0 is no warning"),
        column("ref_distance", FLOAT, "arcsec", "distance to the nearest source of the reference image"),
        column("ref_mag", FLOAT, "mag", "magnitude of that reference source"),
        column("ref_mag_err", FLOAT, "mag", "1-sigma error of ref_mag"),
        column("ref_chi", FLOAT, "", "DAOPhot chi of that reference source"),
        column("ref_sharp", FLOAT, "", "DAOPhot sharpness of that reference source"),
        column("ref_id", INT, "", "the survey's identifier of the reference image"),
        column("field", INT, "", "survey field"),
        column("readout_channel", INT, "", "readout channel (CCD quadrant)"),
        column("exposure_time", FLOAT, "s", "integration time"),
        column("program", INT, "", "observing programme (1 is public)"),
        column("parent_candid", INT, "", "the alert that carried it"),
    ]
)
