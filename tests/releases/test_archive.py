"""Products of a field step by step; looked up by place and identifier; corrections applied to later epochs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alerce_dagster.errors import InputError
from alerce_dagster.releases import archive, fields
from alerce_dagster.releases.applying import apply
from alerce_dagster.releases.light_curves import from_table
from alerce_dagster.releases.pipeline import process
from alerce_dagster.releases.queries import Releases
from alerce_dagster.simulation.channels import SimulatedChannel, Sky, simulate_channel

G = Sky(n_objects=500, n_exposures=60, seed=8)
R = Sky(n_objects=500, n_exposures=60, seed=8, filterid=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    for band, sky in (("g", G), ("r", R)):
        pq.write_table(simulate_channel(sky).table, folder / f"ztf_000600_z{band}_c01_q1_dr5.parquet")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def releases(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    field = folder / "dr5" / "000600"
    summary = fields.make_lightcurves(files, field)
    assert summary.as_dict()["kept"] == summary.n_rows == 1000
    told = fields.make_recalibrated(field).as_dict()
    assert told["not_recalibrated"] == {}
    assert len(fields.make_variability(field)[0].channels) == 2
    return folder


def test_step_by_step_is_the_same_as_at_once(releases: Path, files: list[Path], tmp_path: Path) -> None:
    process(files, tmp_path)
    for product in archive.PRODUCTS:
        one, other = (
            pq.read_table(folder / product / "dataset").sort_by("id")
            for folder in (tmp_path, releases / "dr5" / "000600")
        )
        assert one.num_rows == other.num_rows == 1000
        for name in ("id", "source_id", "ra", "nepochs"):
            assert one[name].equals(other[name])
    assert one["variable"].to_pylist() == pytest.approx(other["variable"].to_pylist())
    p = [np.log(table["p_value"].to_numpy()) for table in (one, other)]
    known = np.isfinite(p[0])
    assert np.median(np.abs(p[0] - p[1])[known]) < 0.01


def test_cone_and_identifier(releases: Path) -> None:
    found = Releases(releases)
    assert found.releases() == ["dr5"]
    whole = pq.read_table(releases / "dr5" / "000600" / "lightcurves" / "dataset")
    row = whole.slice(17, 1).to_pylist()[0]
    near = found.cone(row["ra"], row["dec"], 1.0, "lightcurves")
    assert near is not None
    assert set(near["filterid"].to_pylist()) == {1, 2}
    assert len(set(near["source_id"].to_pylist())) == 1
    assert max(near["separation"].to_pylist()) < 0.1
    wide = found.cone(150.0, 2.0, 300.0, "variability", "dr5")
    assert wide is not None
    distance = np.hypot((whole["ra"].to_numpy() - 150) * np.cos(np.radians(2)), whole["dec"].to_numpy() - 2) * 3600
    assert set(wide["id"].to_pylist()) == set(whole["id"].to_numpy()[distance <= 300].tolist())
    one = found.by_id([row["id"]], "recalibrated")
    assert one is not None
    assert one["nepochs"].to_pylist() == [row["nepochs"]]
    assert found.cone(10.0, 2.0, 5.0, "lightcurves") is None
    assert found.by_id([1], "lightcurves") is None
    assert Releases(releases / "none").cone(1.0, 1.0, 1.0, "lightcurves") is None


def test_a_step_without_the_one_before(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no lightcurves"):
        fields.make_recalibrated(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        fields.make_lightcurves([tmp_path / "none.parquet"], tmp_path)


def test_what_fails_leaves_what_was_there(releases: Path, tmp_path: Path) -> None:
    field = releases / "dr5" / "000600"
    before = sorted(path.name for path in field.iterdir())
    (tmp_path / "bad.parquet").write_text("x")
    with pytest.raises(InputError):
        fields.make_lightcurves([tmp_path / "bad.parquet"], field)
    assert sorted(path.name for path in field.iterdir()) == before
    assert archive.n_rows(field / "lightcurves") == 1000


def test_a_field_of_flagged_epochs_has_no_answers_and_no_old_ones(files: list[Path], tmp_path: Path) -> None:
    """Products are of what was loaded last; nothing of an earlier loading stays."""
    fields.make_lightcurves(files[:1], tmp_path)
    fields.make_recalibrated(tmp_path)
    fields.make_variability(tmp_path)
    given = pq.read_table(files[0])
    flagged = pa.array([[32768] * len(flags) for flags in given["catflags"].to_pylist()], pa.list_(pa.int32()))
    pq.write_table(given.set_column(given.column_names.index("catflags"), "catflags", flagged), tmp_path / "in.parquet")
    fields.make_lightcurves([tmp_path / "in.parquet"], tmp_path)
    told = fields.make_recalibrated(tmp_path).as_dict()
    assert list(told["not_recalibrated"]) == ["000600_zg_c01_q1"]
    summary, p_values = fields.make_variability(tmp_path)
    assert (summary.n_rows, len(p_values), archive.n_rows(tmp_path / "variability")) == (0, 0, 0)
    assert archive.n_rows(tmp_path / "lightcurves") == 500


def test_a_product_lost_between_two_renames_comes_back(files: list[Path], tmp_path: Path) -> None:
    """A process that was killed after it had put the former product aside."""
    fields.make_lightcurves(files[:1], tmp_path)
    aside = tmp_path / ".lightcurves.123"
    aside.mkdir()
    (tmp_path / "lightcurves").rename(aside / "former")
    with pytest.raises(InputError):
        fields.make_lightcurves([], tmp_path)
    assert archive.n_rows(tmp_path / "lightcurves") == 500
    assert not aside.exists()


def first_part(made: SimulatedChannel, until: float) -> pa.Table:
    """The channel as it was before a time."""
    columns = made.table.to_pydict()
    lists = ("hmjd", "mag", "magerr", "clrcoeff", "catflags")
    keep = [[t < until for t in times] for times in columns["hmjd"]]
    for name in lists:
        columns[name] = [
            [v for v, k in zip(values, kept, strict=True) if k]
            for values, kept in zip(columns[name], keep, strict=True)
        ]
    return pa.table(columns, schema=made.table.schema)


def test_saved_corrections_on_later_epochs(tmp_path: Path) -> None:
    """Zero points of exposures that the solution never saw, from the stars that it knows: to two millimagnitudes."""
    made = simulate_channel(Sky(n_objects=1_500, n_exposures=90, seed=12))
    until = made.hmjd[70]
    pq.write_table(first_part(made, until), tmp_path / "first.parquet")
    process([tmp_path / "first.parquet"], tmp_path / "out")
    saved = pq.read_table(next((tmp_path / "out" / "recalibrated" / archive.CORRECTIONS).iterdir()))
    stars = pq.read_table(tmp_path / "out" / "recalibrated" / "dataset")
    curves = from_table(made.table, "made").curves
    applied = apply(curves, saved, stars)
    assert applied.known.sum() == saved.num_rows
    later = ~applied.known
    assert later.sum() >= 15
    rows = curves.objectid - made.table["objectid"][0].as_py()
    members = np.isin(curves.objectid, stars.filter(stars["ensemble"])["id"].to_numpy())
    difference = applied.terms[:, 0] - (made.zero_point - made.colour[rows][members].mean() * made.clrcoeff)
    usable = np.bincount(applied.exposures.of_epoch[applied.usable], minlength=len(later)) > 0
    good = later & usable & ~made.bad
    assert (difference - np.median(difference[good]))[good].std() < 0.002
    constant = np.isin(rows, np.flatnonzero((made.kind == 0) & (made.error < 0.012)))
    epoch = constant[curves.owners()] & applied.usable & good[applied.exposures.of_epoch]
    mean = dict(zip(stars["id"].to_pylist(), stars["mean_mag"].to_pylist(), strict=True))
    left = applied.mag[epoch] - np.array([mean[i] for i in curves.objectid[curves.owners()[epoch]].tolist()], float)
    raw = curves.mag[epoch] - np.array([mean[i] for i in curves.objectid[curves.owners()[epoch]].tolist()], float)
    assert np.nanstd(left) < 0.8 * np.nanstd(raw)
