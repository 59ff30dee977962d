"""Anyone's light curves are read without an exception, and shown so that their brightness tells nothing."""

import numpy as np
import pyarrow as pa
import pytest

from alerce_dagster.classifiers.light_curves import concatenate, digests, read_light_curves, shown
from alerce_dagster.errors import InputError
from alerce_dagster.lightcurves.features.batch import select


def table(**rows: list) -> pa.Table:
    n = len(rows["mjd"])
    base = {
        "oid": [f"o{i}" for i in range(n)],
        "band": [["g"] * len(times or []) for times in rows["mjd"]],
        "mag": [[18.0 + 0.1 * k for k in range(len(times or []))] for times in rows["mjd"]],
        "magerr": [[0.05] * len(times or []) for times in rows["mjd"]],
    }
    return pa.table(base | rows)


def test_epochs_that_say_nothing_are_dropped_and_counted() -> None:
    nan = float("nan")
    batch, dropped = read_light_curves(
        table(
            mjd=[[3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0]],
            band=[["g", "zr", "i", "r@P48", "g", "g", "g", None]],
            mag=[[18.0, 18.1, 18.2, 18.3, nan, 18.4, 99.0, 18.0]],
            magerr=[[0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 0.1, 0.1]],
            is_limit=[[False, False, False, True, False, False, False, False]],
        )
    )
    assert batch.mjd.tolist() == [1.0, 3.0]
    assert batch.band.tolist() == [1, 0]
    assert dropped == {
        "another band": 2,
        "upper limit": 1,
        "no finite time, magnitude or error": 1,
        "error not above zero": 1,
        "magnitude out of range": 1,
    }


def test_a_lone_infrared_band_is_better_than_nothing() -> None:
    batch, _ = read_light_curves(table(mjd=[[1.0, 2.0], [1.0, 2.0]], band=[["I@OGLE", "I@OGLE"], ["I", "g"]]))
    assert np.diff(batch.starts).tolist() == [2, 1]


def test_odd_rows_keep_their_place() -> None:
    batch, dropped = read_light_curves(
        table(
            mjd=[[], [1.0, 2.0], None, [5.0, 5.0]],
            band=[[], ["g"], None, ["g", "g"]],
            mag=[[], [18.0, 18.0], None, [18.0, 17.0]],
            magerr=[[], [0.1, 0.1], None, [0.1, 0.05]],
        )
    )
    assert np.diff(batch.starts).tolist() == [0, 0, 0, 1]
    assert batch.mag.tolist() == [17.0], "of two epochs at one time the more precise stays"
    assert dropped["lists of different length"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"drop": "magerr"}, "no column magerr"),
        ({"mag": [1.0, 2.0]}, "should hold a list per object"),
        ({"mag": [["x"], ["y"]]}, "does not hold numbers"),
    ],
)
def test_faults_are_told_in_one_sentence(change: dict, words: str) -> None:
    rows = table(mjd=[[1.0], [2.0]])
    if "drop" in change:
        rows = rows.drop_columns([change["drop"]])
    else:
        rows = rows.set_column(rows.column_names.index("mag"), "mag", pa.array(change["mag"]))
    with pytest.raises(InputError, match=words):
        read_light_curves(rows)


def test_brightness_is_hidden_and_colour_is_not() -> None:
    """A supernova's difference magnitudes and a star's apparent ones are shown alike."""
    times, bands = [[1.0, 2.0, 3.0, 4.0]] * 2, [["g", "g", "r", "r"]] * 2
    mags = [[12.0, 12.4, 11.5, 11.7], [20.0, 20.4, 19.5, 19.7]]
    batch, _ = read_light_curves(table(mjd=times, band=bands, mag=mags, ra=[10.0, 20.0], dec=[1.0, 2.0]))
    seen = shown(batch)
    first, second = seen.mag[:4], seen.mag[4:]
    assert first == pytest.approx(second)
    assert np.median(first) == pytest.approx(18.0)
    assert seen.flux[:4] == pytest.approx(seen.flux[4:])
    assert np.isnan(seen.objects["ra"]).all()


def test_a_digest_is_of_the_object_alone() -> None:
    batch, _ = read_light_curves(table(mjd=[[1.0, 2.0], [3.0], [1.0, 2.0]]))
    one, two, three = digests(batch)
    assert one == three != two
    assert digests(select(batch, np.array([1]))) == [two]
    assert digests(concatenate([batch, batch])) == [one, two, three] * 2
