"""Light curves from files: what is kept, what is set aside and why, which epochs are one exposure, one source."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alerce_dagster.errors import InputError
from alerce_dagster.releases.exposures import find_exposures
from alerce_dagster.releases.files import fields_in
from alerce_dagster.releases.light_curves import channel_name, from_table, read_file
from alerce_dagster.releases.sources import source_ids
from alerce_dagster.simulation.channels import Sky, simulate_channel


def table(lists: list[list[float]], **changed: list) -> pa.Table:
    """Light curves with these magnitudes, one per list."""
    n = len(lists)
    columns: dict = {
        "objectid": list(range(1, n + 1)),
        "filterid": [1] * n,
        "fieldid": [250] * n,
        "rcid": [0] * n,
        "objra": [41.0 + 0.01 * i for i in range(n)],
        "objdec": [-26.0] * n,
        "hmjd": [[58000.0 + k for k in range(len(values))] for values in lists],
        "mag": lists,
        "magerr": [[0.1] * len(values) for values in lists],
        "clrcoeff": [[0.01 * k for k in range(len(values))] for values in lists],
        "catflags": [[0] * len(values) for values in lists],
    }
    columns |= changed
    kinds = {name: pa.list_(pa.float64()) for name in ("hmjd", "mag", "magerr", "clrcoeff")}
    kinds |= {"catflags": pa.list_(pa.int32())}
    return pa.table({name: pa.array(values, kinds.get(name)) for name, values in columns.items()})


def test_what_cannot_be_used_is_counted_and_the_rest_kept() -> None:
    nan = float("nan")
    made = table([[18.0, 18.1], [], [nan, nan], [18.0, nan], [18.0], [17.0, 17.1]], objdec=[-26.0] * 4 + [nan, -26.0])
    made = pa.concat_tables([made, made.slice(0, 1)])
    loaded = from_table(made, "made")
    assert loaded.n_rows == 7
    assert loaded.set_aside == {
        "no epochs": 1,
        "no epoch with time, magnitude and error": 1,
        "no position": 1,
        "the same objectid again": 1,
    }
    assert loaded.epochs_left_out == {"no magnitude": 3}
    assert len(loaded.curves) + sum(loaded.set_aside.values()) == loaded.n_rows
    assert loaded.curves.objectid.tolist() == [1, 4, 6]
    assert np.diff(loaded.curves.starts).tolist() == [2, 1, 2]


def test_lists_of_different_length_and_nulls() -> None:
    made = table([[18.0, 18.1], [18.0, 18.2]], magerr=[[0.1], [0.1, None]])
    loaded = from_table(made, "made")
    assert loaded.set_aside == {"lists of different length": 1}
    assert loaded.epochs_left_out == {"no error above zero": 1}
    assert loaded.curves.mag.tolist() == [18.0]


def test_epochs_out_of_order_are_put_in_order() -> None:
    curves = from_table(table([[18.0, 18.1, 18.2]], hmjd=[[3.0, 1.0, 2.0]]), "made").curves
    assert curves.hmjd.tolist() == [1.0, 2.0, 3.0]
    assert curves.mag == pytest.approx([18.1, 18.2, 18.0])


def test_bad_files_have_their_sentence(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(table([[18.0] * 50] * 50), whole)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-200])
    text = tmp_path / "text.parquet"
    text.write_text("objectid,mag\n1,18\n")
    pq.write_table(table([[18.0]]).drop_columns(["catflags", "magerr"]), tmp_path / "less.parquet")
    pq.write_table(
        table([[18.0]]).drop_columns(["mag"]).append_column("mag", pa.array([18.0])), tmp_path / "flat.parquet"
    )
    for name, said in (
        ("cut", "cannot read"),
        ("text", "as Parquet"),
        ("less", "has no column magerr, catflags"),
        ("flat", "should hold a list per light curve"),
        ("none", "no such file"),
    ):
        with pytest.raises(InputError, match=said):
            read_file(tmp_path / f"{name}.parquet")


@pytest.mark.parametrize("coarse", [False, True])
def test_exposures_are_those_that_were_taken(coarse: bool) -> None:
    """Heliocentric times differ over the field; rounded ones fall on either side of a step."""
    made = simulate_channel(Sky(n_objects=300, n_exposures=60, seed=3))
    rows = made.table
    if coarse:
        rows = rows.set_column(rows.column_names.index("hmjd"), "hmjd", rows["hmjd"].cast(pa.list_(pa.float32())))
    exposures = find_exposures(from_table(rows, "made").curves)
    assert len(exposures) == 60
    assert np.abs(exposures.hmjd - made.hmjd).max() < 0.012
    assert exposures.clrcoeff == pytest.approx(made.clrcoeff)
    assert exposures.n_epochs.sum() == len(exposures.of_epoch)


def test_sources_are_joined_across_channels_only() -> None:
    """Two neighbours in one channel stay two, and each gets its own counterpart in the other."""
    ra = np.array([10.0, 10.0 + 1.2 / 3600, 10.0 + 0.1 / 3600, 10.0 + 1.1 / 3600, 20.0])
    channel = np.array([1, 1, 2, 2, 2])
    found = source_ids(np.array([11, 12, 21, 22, 23]), ra, np.zeros(5), channel, np.array([90, 80, 50, 40, 30]))
    assert found.tolist() == [11, 12, 11, 12, 23]


def test_fields_are_told_from_names_once_their_files_rest(tmp_path: Path) -> None:
    import os

    for name in ("ztf_000250_zg_c01_q1_dr5", "ztf_000250_zr_c01_q1_dr5", "ztf_000251_zg_c01_q1_dr5", "other"):
        (tmp_path / f"{name}.parquet").write_bytes(b"x")
        os.utime(tmp_path / f"{name}.parquet", (1e9, 1e9))
    os.utime(tmp_path / "ztf_000251_zg_c01_q1_dr5.parquet", (2e9, 2e9))
    first = fields_in(tmp_path, now=2e9 + 1)
    assert [(f.partition, len(f.files)) for f in first] == [("dr5/000250", 2)]
    (tmp_path / "ztf_000250_zr_c01_q1_dr5.parquet").write_bytes(b"xy")
    os.utime(tmp_path / "ztf_000250_zr_c01_q1_dr5.parquet", (1e9, 1e9))
    assert fields_in(tmp_path, now=2e9 + 1)[0].digest != first[0].digest


def test_channel_names() -> None:
    assert channel_name((250, 0, 1)) == "000250_zg_c01_q1"
    assert channel_name((1895, 61, 2)) == "001895_zr_c16_q2"
