"""The schema of ZTF alert packets, version 4.02, as plain data.

Each record is a tuple of `Field`s in the order in which ZTF writes them: name, Avro type, unit and
meaning. The reader of packets takes units and meanings from here, the simulator writes packets with
the schema that `ztf_schema` builds. Reading packets, of this or any other version, does not belong
here: a packet brings its own writer schema.

The types are written short:

* ``"double"`` a value is always there;
* ``"double?"`` it may be null, and null is the default;
* ``"double~"`` it may be null, but the schema states no default (as ZTF does for the previous candidates).
"""

from typing import Any, NamedTuple

VERSION = "4.02"

PIXEL_SCALE = 1.0127  # arcsec per pixel, as ra, dec, ranr and decnr against distnr give it in real packets


class Field(NamedTuple):
    """One field of a ZTF record; the short types are explained at the top, the unit is "" for none."""

    name: str
    type: str
    unit: str
    meaning: str


# --- pieces that several records share -------------------------------------------------------------------

_EXPOSURE = (
    Field("jd", "double", "d", "Julian date (UTC) of the start of the exposure"),
    Field("fid", "int", "", "filter: 1 is g, 2 is r, 3 is i"),
    Field("pid", "long", "", "identifier of the processed science image"),
    Field(
        "diffmaglim",
        "float?",
        "mag",
        "5-sigma limiting magnitude of the difference image, from its global noise",
    ),
    Field(
        "pdiffimfilename",
        "string?",
        "",
        "file name of the positive (science minus reference) difference image",
    ),
    Field("programpi", "string?", "", "principal investigator of the observing programme"),
    Field("programid", "int", "", "observing programme: 1 public, 2 partnership, 3 Caltech, 0 engineering"),
)

_PLACE_ON_DETECTOR = (
    Field("tblid", "long?", "", "row of the candidate in the pipeline's extraction table"),
    Field("nid", "int?", "", "night number, counted from 2017-01-01"),
    Field("rcid", "int?", "", "readout channel, 0 to 63"),
    Field("field", "int?", "", "field of the ZTF sky grid"),
    Field("xpos", "float?", "pixel", "x position on the readout channel"),
    Field("ypos", "float?", "pixel", "y position on the readout channel"),
)

_PSF_AND_APERTURE = (
    Field("chipsf", "float?", "", "reduced chi-square of the PSF fit"),
    Field("magap", "float?", "mag", "magnitude of the difference flux in an aperture of 14 pixels diameter"),
    Field("sigmagap", "float?", "mag", "1-sigma error of magap"),
    # In pixels here and in arcseconds in the forced photometry, under one name.
    Field("distnr", "float?", "pixel", "distance to the nearest source of the reference image"),
    Field("magnr", "float?", "mag", "magnitude of that reference source"),
    Field("sigmagnr", "float?", "mag", "1-sigma error of magnr"),
    Field("chinr", "float?", "", "DAOPhot chi of that reference source"),
    Field("sharpnr", "float?", "", "DAOPhot sharpness of that reference source; near 0 for a star"),
    Field("sky", "float?", "DN", "background of the difference image around the candidate"),
    Field("magdiff", "float?", "mag", "magap minus magpsf"),
    Field("fwhm", "float?", "pixel", "full width at half maximum, from SExtractor, for a Gaussian core"),
    Field("classtar", "float?", "", "star (1) or galaxy (0) by shape, from SExtractor"),
    Field("mindtoedge", "float?", "pixel", "distance to the nearest edge of the image"),
    Field("magfromlim", "float?", "mag", "diffmaglim minus magap"),
    Field("seeratio", "float?", "", "FWHM of the difference image over that of the candidate"),
    Field("aimage", "float?", "pixel", "root mean square extent along the major axis"),
    Field("bimage", "float?", "pixel", "root mean square extent along the minor axis"),
    Field("aimagerat", "float?", "", "aimage over fwhm"),
    Field("bimagerat", "float?", "", "bimage over fwhm"),
    Field("elong", "float?", "", "elongation, aimage over bimage"),
    Field("nneg", "int?", "", "negative pixels among the central 5 x 5 of the difference image"),
    Field("nbad", "int?", "", "pixels flagged bad beforehand among those 5 x 5"),
    Field("rb", "float?", "", "real-bogus score of the random forest, 0 bogus to 1 real"),
    Field("ssdistnr", "float?", "arcsec", "distance to the nearest known Solar System object, within 30 arcsec"),
    Field("ssmagnr", "float?", "mag", "predicted magnitude (mostly V) of that object"),
    Field("ssnamenr", "string?", "", "name of that object, from the Minor Planet Center"),
    Field(
        "sumrat",
        "float?",
        "",
        "sum of the 5 x 5 median-filtered pixels over the sum of their absolute values",
    ),
    Field("magapbig", "float?", "mag", "magnitude of the difference flux in an aperture of 18 pixels diameter"),
    Field("sigmagapbig", "float?", "mag", "1-sigma error of magapbig"),
)

_CALIBRATION = (
    Field("magzpsci", "float?", "mag", "photometric zero point of the science image"),
    Field("magzpsciunc", "float?", "mag", "1-sigma error of magzpsci"),
    Field("magzpscirms", "float?", "mag", "scatter of the calibrator stars about the calibration"),
)

_COLOUR_TERM = (
    Field("clrcoeff", "float?", "", "colour coefficient of the calibration of the science image"),
    Field("clrcounc", "float?", "", "1-sigma error of clrcoeff"),
)

_RB_VERSION = Field("rbversion", "string", "", "version of the random forest that gave rb")


def _ps1_magnitudes(rank: int, ordinal: str) -> tuple[Field, ...]:
    """Magnitudes, star score and distance of the nth nearest Pan-STARRS1 source."""
    source = f"of the {ordinal} Pan-STARRS1 source within 30 arcsec"
    return (
        *(
            Field(f"s{band}mag{rank}", "float?", "mag", f"{band} magnitude (PSF fit) {source}")
            for band in ("g", "r", "i", "z")
        ),
        Field(f"sgscore{rank}", "float?", "", f"star (1) or galaxy (0) score {source}"),
        Field(f"distpsnr{rank}", "float?", "arcsec", f"distance {source}"),
    )


def _ps1_id(rank: int, ordinal: str) -> Field:
    return Field(f"objectidps{rank}", "long?", "", f"identifier of the {ordinal} Pan-STARRS1 source within 30 arcsec")


# --- the records -----------------------------------------------------------------------------------------

CANDIDATE: tuple[Field, ...] = (
    *_EXPOSURE,
    Field("candid", "long", "", "identifier of this detection"),
    Field("isdiffpos", "string", "", "t or 1: brighter than the reference image; f or 0: fainter"),
    *_PLACE_ON_DETECTOR,
    Field("ra", "double", "deg", "right ascension, J2000"),
    Field("dec", "double", "deg", "declination, J2000"),
    Field("magpsf", "float", "mag", "magnitude of the absolute difference flux, PSF fit"),
    Field("sigmapsf", "float", "mag", "1-sigma error of magpsf"),
    *_PSF_AND_APERTURE,
    Field("ranr", "double", "deg", "right ascension of the nearest source of the reference image, J2000"),
    Field("decnr", "double", "deg", "declination of the nearest source of the reference image, J2000"),
    *_ps1_magnitudes(1, "nearest"),
    Field(
        "ndethist",
        "int",
        "",
        "detections within 1.5 arcsec on this field and readout channel since the survey began",
    ),
    Field("ncovhist", "int", "", "exposures that covered this position since the survey began"),
    Field("jdstarthist", "double?", "d", "Julian date of the first detection counted in ndethist"),
    Field("jdendhist", "double?", "d", "Julian date of the last detection counted in ndethist"),
    Field("scorr", "double?", "", "peak signal-to-noise ratio in the matched-filtered difference image"),
    Field("tooflag", "int?", "", "1 for an exposure of a target of opportunity"),
    _ps1_id(1, "nearest"),
    _ps1_id(2, "second nearest"),
    *_ps1_magnitudes(2, "second nearest"),
    _ps1_id(3, "third nearest"),
    *_ps1_magnitudes(3, "third nearest"),
    Field("nmtchps", "int", "", "Pan-STARRS1 sources within 30 arcsec"),
    Field("rfid", "long", "", "identifier of the reference image"),
    Field("jdstartref", "double", "d", "Julian date of the first exposure in the reference image"),
    Field("jdendref", "double", "d", "Julian date of the last exposure in the reference image"),
    Field("nframesref", "int", "", "exposures in the reference image"),
    _RB_VERSION,
    Field("dsnrms", "float?", "", "difference image at the candidate over the image's scatter"),
    Field("ssnrms", "float?", "", "matched-filtered difference image at the candidate over that image's scatter"),
    Field("dsdiff", "float?", "", "dsnrms minus ssnrms"),
    *_CALIBRATION,
    Field("nmatches", "int", "", "Pan-STARRS1 stars that calibrated the science image"),
    *_COLOUR_TERM,
    Field("zpclrcov", "float?", "mag2", "covariance of magzpsci and clrcoeff"),
    Field("zpmed", "float?", "mag", "zero point from the median of the calibrator stars"),
    Field("clrmed", "float?", "mag", "median colour of the calibrator stars: g-r, or r-i in the i band"),
    Field("clrrms", "float?", "mag", "scatter of that colour"),
    Field("neargaia", "float?", "arcsec", "distance to the nearest Gaia DR1 source, within 90 arcsec"),
    Field("neargaiabright", "float?", "arcsec", "distance to the nearest Gaia DR1 source brighter than 14 mag"),
    Field("maggaia", "float?", "mag", "G magnitude of the nearest Gaia DR1 source"),
    Field("maggaiabright", "float?", "mag", "G magnitude of the nearest Gaia DR1 source brighter than 14 mag"),
    Field("exptime", "float?", "s", "integration time"),
    Field("drb", "float?", "", "real-bogus score of the deep network, 0 bogus to 1 real"),
    Field("drbversion", "string", "", "version of the network that gave drb"),
)

# A previous candidate without candid is an upper limit: an exposure that detected nothing.
PRV_CANDIDATE: tuple[Field, ...] = (
    *_EXPOSURE,
    Field("candid", "long~", "", "identifier of the detection; null for an upper limit"),
    Field("isdiffpos", "string~", "", "t or 1: brighter than the reference image; f or 0: fainter"),
    *_PLACE_ON_DETECTOR,
    Field("ra", "double~", "deg", "right ascension, J2000"),
    Field("dec", "double~", "deg", "declination, J2000"),
    Field("magpsf", "float~", "mag", "magnitude of the absolute difference flux, PSF fit"),
    Field("sigmapsf", "float~", "mag", "1-sigma error of magpsf"),
    *_PSF_AND_APERTURE,
    Field("ranr", "double~", "deg", "right ascension of the nearest source of the reference image, J2000"),
    Field("decnr", "double~", "deg", "declination of the nearest source of the reference image, J2000"),
    Field("scorr", "double?", "", "peak signal-to-noise ratio in the matched-filtered difference image"),
    *_CALIBRATION,
    *_COLOUR_TERM,
    _RB_VERSION,
)

FP_HIST: tuple[Field, ...] = (
    Field("field", "int?", "", "field of the ZTF sky grid"),
    Field("rcid", "int?", "", "readout channel, 0 to 63"),
    Field("fid", "int", "", "filter: 1 is g, 2 is r, 3 is i"),
    Field("pid", "long", "", "identifier of the processed science image"),
    Field("rfid", "long", "", "identifier of the reference image"),
    Field("sciinpseeing", "float?", "pixel", "full width at half maximum of the science image"),
    Field("scibckgnd", "float?", "DN", "background of the science image"),
    Field("scisigpix", "float?", "DN", "robust scatter per pixel of the science image"),
    *_CALIBRATION,
    *_COLOUR_TERM,
    Field("exptime", "float?", "s", "integration time"),
    Field(
        "adpctdif1",
        "float?",
        "arcsec",
        "astrometric scatter of the science image against Gaia DR1, along right ascension",
    ),
    Field(
        "adpctdif2",
        "float?",
        "arcsec",
        "astrometric scatter of the science image against Gaia DR1, along declination",
    ),
    Field(
        "diffmaglim",
        "float?",
        "mag",
        "5-sigma limiting magnitude of the difference image, from its global noise",
    ),
    Field("programid", "int", "", "observing programme: 1 public, 2 partnership, 3 Caltech, 0 engineering"),
    Field("jd", "double", "d", "Julian date (UTC) of the start of the exposure"),
    Field(
        "forcediffimflux",
        "float?",
        "DN",
        "difference flux of the PSF fit at the position of the alert; -99999 if not measured",
    ),
    Field("forcediffimfluxunc", "float?", "DN", "1-sigma error of forcediffimflux; -99999 if not measured"),
    Field("procstatus", "string?", "", "status codes of the forced photometry; 0 is no warning"),
    Field("distnr", "float?", "arcsec", "distance to the nearest source of the reference image"),
    Field("ranr", "double", "deg", "right ascension of the nearest source of the reference image, J2000"),
    Field("decnr", "double", "deg", "declination of the nearest source of the reference image, J2000"),
    Field("magnr", "float?", "mag", "magnitude of that reference source"),
    Field("sigmagnr", "float?", "mag", "1-sigma error of magnr"),
    Field("chinr", "float?", "", "DAOPhot chi of that reference source"),
    Field("sharpnr", "float?", "", "DAOPhot sharpness of that reference source; near 0 for a star"),
)

CUTOUT: tuple[Field, ...] = (
    Field("fileName", "string", "", "name under which the image would be saved"),
    Field("stampData", "bytes", "", "gzipped FITS image, 63 x 63 pixels away from the edges of the detector"),
)


# --- the Avro schema -------------------------------------------------------------------------------------


def _avro_field(field: Field) -> dict[str, Any]:
    doc = f"{field.meaning} [{field.unit}]" if field.unit else field.meaning
    if field.type.endswith("?"):
        return {"name": field.name, "type": ["null", field.type[:-1]], "default": None, "doc": doc}
    if field.type.endswith("~"):
        return {"name": field.name, "type": ["null", field.type[:-1]], "doc": doc}
    return {"name": field.name, "type": field.type, "doc": doc}


def _avro_record(name: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": "ztf.alert",
        "version": VERSION,
        "fields": [_avro_field(field) for field in fields],
    }


def ztf_schema() -> dict[str, Any]:
    """The Avro schema of a ZTF alert packet, version 4.02, every named type written where it first occurs.

    A new dict at each call, so that a caller may change it. It equals the schema that ZTF publishes in names,
    types, order and defaults; the documentation of the fields is this project's own.
    """
    cutout = _avro_record("cutout", CUTOUT)
    return {
        "type": "record",
        "name": "alert",
        "namespace": "ztf",
        "doc": "ZTF alert packet",
        "version": VERSION,
        "fields": [
            {"name": "schemavsn", "type": "string", "doc": "version of the schema"},
            {"name": "publisher", "type": "string", "doc": "who made the packet"},
            {
                "name": "objectId",
                "type": "string",
                "doc": "name of the object: detections within 1.5 arcsec share it",
            },
            {"name": "candid", "type": "long", "doc": "identifier of the detection that caused the alert"},
            {"name": "candidate", "type": _avro_record("candidate", CANDIDATE)},
            {
                "name": "prv_candidates",
                "type": ["null", {"type": "array", "items": _avro_record("prv_candidate", PRV_CANDIDATE)}],
                "default": None,
            },
            {
                "name": "fp_hists",
                "type": ["null", {"type": "array", "items": _avro_record("fp_hist", FP_HIST)}],
                "default": None,
            },
            {"name": "cutoutScience", "type": ["null", cutout], "default": None},
            {"name": "cutoutTemplate", "type": ["null", "ztf.alert.cutout"], "default": None},
            {"name": "cutoutDifference", "type": ["null", "ztf.alert.cutout"], "default": None},
        ],
    }
