"""AT reports: the real ones are made again from their photometry, field by field, in both dialects."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alerce_dagster.errors import InputError
from alerce_dagster.reporting.at_report import (
    Photometry,
    Reporter,
    Rise,
    Subject,
    build,
    mjd_of,
    moment,
    plain,
    to_json,
)

BANDS = {"110": "g", "111": "r", "112": "i"}
REPORTER = Reporter("74", "48", "A. Person")


def detection(mjd: float, band: str = "g", **changes) -> dict:
    return {"mjd": mjd, "band": band, "mag": 19.25, "mag_err": 0.1, "mag_limit": 20.5} | changes


def subject(**changes) -> Subject:
    return Subject(**{"oid": "ZTF24aaaaaaa", "ra": 150.1234567, "dec": -2.5} | changes)


def real_reports(folder: Path) -> Iterator[dict]:
    with tarfile.open(folder / "tns" / "bulk_reports_sample.tar.xz") as archive:
        for member in archive:
            if member.isfile():
                text = archive.extractfile(member)
                assert text is not None
                yield from (json.load(text).get("at_report") or {}).values()


def parts(report: dict) -> tuple[Subject, Photometry, Reporter]:
    """What a real report was made of, as far as it tells: the photometry, and what it says of position and host."""
    group = report["photometry"]["photometry_group"]
    detections = [
        {"mjd": mjd_of(one["obsdate"]), "band": BANDS[one["filter_value"]], "mag": one["flux"]}
        | {"mag_err": one["flux_error"], "mag_limit": one["limiting_flux"]}
        for one in group.values()
    ]
    before = report["non_detection"]
    limits = []
    if "obsdate" in before:
        band, limit = BANDS[before["filter_value"]], before["limiting_flux"]
        limits.append({"mjd": mjd_of(before["obsdate"]), "band": band, "mag_limit": limit})
    found = re.findall(r"([gri])-rise > ([\d.]+)(?:\+-([\d.]+))?", report["remarks"])
    rises = [Rise(band, float(rate), float(error) if error else None, 1.0) for band, rate, error in found]
    named = re.search(r"classified using (.*) and the public ZTF stream", report["remarks"])
    own = Subject(
        report["internal_name"],
        report["ra"]["value"],
        report["dec"]["value"],
        float(report["ra"]["error"]),
        float(report["dec"]["error"]),
        report.get("host_name"),
        report.get("host_redshift") or None,
        rises,
    )
    words = {"classified_by": named[1]} if named else {}
    return own, Photometry(detections, limits), Reporter("74", "48", report["reporter"], **words)


def differences(real: object, made: object, place: str = "") -> Iterator[str]:
    """Places where two JSON values differ."""
    if isinstance(real, dict) and isinstance(made, dict):
        for key in real.keys() | made.keys():
            yield from differences(real.get(key), made.get(key), f"{place}/{key}")
    elif real != made:
        yield place


@pytest.mark.realdata
def test_real_reports_are_made_again(real_data: Path) -> None:
    """Every field of every report, but for words and ids that were others in their time."""
    n, wrong, told = 0, [], 0
    for report in real_reports(real_data):
        n += 1
        try:
            made = to_json([build(*parts(report))])["at_report"]["0"]
        except InputError as error:
            wrong.append(str(error))
            continue
        differ = set(differences(report, made)) - older_words(report, made)
        if "/remarks" in differ and "classified using" not in report["remarks"]:
            # The wording before 2020; what is said of the rise is the same.
            differ.discard("/remarks")
            if rise_of(report).removeprefix("Early ") != rise_of(made).removeprefix("Early "):
                differ.add("/remarks: the rise")
        if differ and at_the_limit(report["remarks"]):
            differ -= {"/remarks", "/remarks: the rise"}
        told += rise_of(made) == rise_of(report)
        if differ:
            wrong.append(f"{report['internal_name']}: {sorted(differ)}")
    assert n > 2_500
    assert told > 0.9 * n
    # Two reports contradict themselves: a discovery, or a last limit, that does not go with the first detection.
    assert len(wrong) <= 2, wrong[:10]


def older_words(report: dict, made: dict) -> set[str]:
    """Fields that some years wrote in another way: the group's number, a redshift that is a number, no host as ""."""
    older = {"/groupid", "/reporting_group_id", "/discovery_data_source_id"}
    if str(report.get("host_redshift", "")) == made.get("host_redshift", ""):
        older.add("/host_redshift")
    return older if report.get("host_name") else older | {"/host_name"}


def rise_of(report: dict) -> str:
    """What the remarks say before how it was classified: the rises."""
    return report["remarks"].partition(" classified")[0]


def at_the_limit(remarks: str) -> bool:
    """A rise that was over the limit only before it was rounded, or was quoted without its error in 2019."""
    found = re.findall(r"-rise > ([\d.]+)(?:\+-([\d.]+))?", remarks)
    return any(float(rate) - float(error or 0) <= 0.0501 for rate, error in found)


@pytest.mark.realdata
def test_the_newer_dialect_has_every_field_of_its_example(real_data: Path) -> None:
    example = json.loads((real_data / "tns" / "new_format_at_report_example_lvra.json").read_text())["at_report"]["0"]
    photometry = Photometry(
        [detection(mjd_of("2016-03-01 05:36:57.600"))],
        [{"mjd": mjd_of("2016-02-28 02:57:07.200"), "band": "r", "mag_limit": 21.5}],
    )
    made = to_json([build(subject(host_name="NGC 1234"), photometry, REPORTER)], "2024")["at_report"]["0"]
    optional = {"internal_name_format", "auto_class"}  # for who has no names of their own; for classifications
    assert set(example) - set(made) == optional
    assert set(made) <= set(example)
    for name in ("ra", "dec", "non_detection", "internal_ids"):
        assert set(made[name]) == set(example[name]), name
    assert set(made["photometry"]["0"]) == set(example["photometry"]["0"])
    assert made["non_detection"]["limiting_flux"] == example["non_detection"]["limiting_flux"]


def test_times_are_written_to_the_millisecond() -> None:
    for text in ("2019-08-03 10:01:01.001", "2021-12-31 23:59:59.999", "2024-02-29 00:00:00.000"):
        assert moment(mjd_of(text)) == text
    assert moment(58698.4173727) == "2019-08-03 10:01:01.001"
    assert moment(51544.9999999999) == "2000-01-02 00:00:00.000"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (19.5, "19.5"),
        (20.0, "20"),
        (1e-7, "0.0000001"),
        (0.085, "0.085"),
        ("20.1308994293213", "20.1308994293213"),
    ],
)
def test_numbers_have_no_exponent(value: float | str, text: str) -> None:
    assert plain(value) == text


def test_single_precision_has_no_more_digits() -> None:
    made = build(subject(), Photometry([detection(60000.0, mag=20.050199508666992)]), REPORTER)
    assert made.photometry[0].flux == "20.0502"


def test_position_errors_have_a_floor() -> None:
    photometry = Photometry([detection(60000.0)])
    made = build(subject(ra_err=0.02, dec_err=0.12), photometry, REPORTER)
    assert (made.ra.error, made.dec.error) == ("0.085", "0.12")
    assert build(subject(), photometry, REPORTER).ra.error == "0.085"


def test_the_last_limit_before_the_discovery_counts() -> None:
    limits = [{"mjd": 59990.0 + k, "band": "r", "mag_limit": 20.0 + k / 10} for k in (3, 9, 1, 12)]
    photometry = Photometry([detection(60001.0, "r"), detection(60000.0)], limits)
    made = build(subject(), photometry, REPORTER)
    assert made.discovery_datetime == moment(60000.0)
    assert (made.non_detection.limiting_flux, made.non_detection.filter_value) == ("20.9", "111")
    none = build(subject(), Photometry([detection(60000.0)], limits[3:]), REPORTER).non_detection
    assert (none.archiveid, none.obsdate) == ("0", None)


@pytest.mark.parametrize(
    ("rises", "said"),
    [
        ([], "SN candidate"),
        ([Rise("g", 0.3, 0.08, 2.0)], "Early SN candidate (g-rise > 0.30+-0.08 mag/day)"),
        ([Rise("g", 0.1, 0.06, 2.0)], "SN candidate"),
        ([Rise("g", 3.0, 0.1, 0.1), Rise("r", 0.2, 0.01, 3.0)],
         "Early SN candidate (g-rise > 1.00 mag/day, r-rise > 0.20+-0.01 mag/day)"),
        ([Rise("r", 2.0, 0.1, 0.9)], "Early SN candidate (r-rise > 2.00+-0.10 mag/day)"),
    ],
)  # fmt: skip
def test_a_rise_is_quoted_where_it_is_sure(rises: list[Rise], said: str) -> None:
    made = build(subject(rises=rises), Photometry([detection(60000.0)]), REPORTER)
    assert made.remarks.partition(" classified")[0] == said


@pytest.mark.parametrize(
    ("changes", "rows", "said"),
    [
        ({}, [], "has no detection to report"),
        ({"ra": 400.0}, [detection(60000.0)], "the position is not on the sky"),
        ({"oid": "two words"}, [detection(60000.0)], "internal_name"),
        ({}, [detection(60000.0, "y")], "TNS's number of the band 'y' is not known; there are g, r, i"),
        ({}, [detection(60000.0, mag=float("nan"))], "photometry|flux"),
    ],
)
def test_what_cannot_be_sent_is_said(changes: dict, rows: list[dict], said: str) -> None:
    with pytest.raises(InputError, match=re.compile(said)):
        build(subject(**changes), Photometry(rows), REPORTER)


@pytest.mark.realdata
def test_reports_are_made_of_independent_light_curves(real_data: Path) -> None:
    """Light curves out of another archive (times to 0.001 d, without limits of detections) give the same discovery,
    last limit and epochs as ALeRCE reported; a few lost epochs aside.
    """
    real = {report["internal_name"]: report for report in real_reports(real_data)}
    curves = pd.read_parquet(real_data / "light_curves" / "ztf_sne_alerce_tns.parquet")
    n = discoveries = limits = same_limits = epochs = same_epochs = 0
    for row in curves[curves.oid.isin(real)].itertuples():
        report = real[row.oid]
        reported = list(report["photometry"]["photometry_group"].values())
        until = max(mjd_of(one["obsdate"]) for one in reported) + 0.002
        points = list(zip(row.mjd, row.band, row.mag, row.magerr, row.is_limit, strict=True))
        seen = [
            detection(mjd, band, mag=mag, mag_err=None if np.isnan(error) else error)
            for mjd, band, mag, error, is_limit in points
            if not is_limit and mjd <= until
        ]
        before = [{"mjd": mjd, "band": band, "mag_limit": mag} for mjd, band, mag, _, is_limit in points if is_limit]
        made = build(subject(oid=row.oid), Photometry(seen, before), REPORTER)
        n += 1
        discoveries += close(made.discovery_datetime, report["discovery_datetime"])
        last = report["non_detection"]
        if "obsdate" in last and made.non_detection.obsdate:
            limits += 1
            same_limits += close(made.non_detection.obsdate, last["obsdate"])
        epochs += len(reported)
        same_epochs += sum(
            any(close(own.obsdate, one["obsdate"]) and abs(float(own.flux) - float(one["flux"])) < 0.01
                for own in made.photometry)
            for one in reported
        )  # fmt: skip
    assert n > 200
    assert discoveries >= 0.97 * n
    assert same_limits >= 0.97 * limits
    assert same_epochs == epochs


def close(one: str, other: str) -> bool:
    """Whether two moments are the same to the precision of those light curves."""
    return abs(mjd_of(one) - mjd_of(other)) < 0.002
