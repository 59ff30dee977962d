"""Catalogues as they are written: HATS that others read, whole or not at all, the same whatever the order."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from alerce_dagster.catalogs.columns import HEALPIX, Wanted, healpix_cells
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.hats import partitions
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe, recipes
from alerce_dagster.errors import InputError, StoreError
from tests.catalogs.conftest import Add


def some_sky(n: int = 6_000, seed: int = 3) -> dict[str, np.ndarray]:
    """An even sky and a dense spot."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    ra[: n // 3], dec[: n // 3] = rng.normal(80, 0.5, n // 3), rng.normal(-69, 0.2, n // 3)
    return {"source_id": rng.permutation(n) + 2**62, "ra": ra, "dec": dec, "gmag": rng.normal(18, 1, n)}


def test_lsdb_reads_it(add: Add) -> None:
    """Opened, valid to the letter, and its cone search gives what ours gives."""
    import lsdb
    from hats.io.validation import is_valid_catalog

    columns = some_sky()
    catalogue = add(columns, max_rows=500)
    assert is_valid_catalog(catalogue.folder, strict=True)
    opened = lsdb.open_catalog(catalogue.folder)
    assert len(opened) == len(columns["ra"])
    assert opened.npartitions > 12
    everything = opened.compute()
    assert set(everything["id"]) == set(columns["source_id"])
    assert everything["id"].dtype.name.startswith("int64")
    np.testing.assert_array_equal(
        everything.index, healpix_cells(everything["ra"].to_numpy(), everything["dec"].to_numpy())
    )
    theirs = opened.cone_search(80.0, -69.0, 600.0).compute()
    ours = catalogue.match(np.array([80.0]), np.array([-69.0]), 600.0)
    assert len(theirs) > 100
    assert set(theirs["id"]) == set(ours["catalog_id"].to_pylist())
    assert opened.hc_structure.moc is not None
    assert opened.hc_structure.moc.contains_lonlat(*degrees(80.0, -69.0)).all()


def degrees(ra: float, dec: float):
    from astropy.coordinates import Latitude, Longitude

    return Longitude([ra], "deg"), Latitude([dec], "deg")


def test_partitions_hold_all_rows_once(add: Add) -> None:
    columns = some_sky()
    catalogue = add(columns, max_rows=500)
    files = sorted(catalogue.folder.glob("dataset/**/Npix=*.parquet"))
    ids = []
    for file in files:
        order, cell = int(file.parts[-3].partition("=")[2]), int(file.stem.partition("=")[2])
        table = pq.read_table(file, partitioning=None)
        assert table.num_rows <= 500
        cells = table[HEALPIX].to_numpy()
        assert (cells >> (2 * (29 - order)) == cell).all()
        assert (np.diff(cells) >= 0).all()
        ids += table["id"].to_pylist()
    assert sorted(ids) == sorted(columns["source_id"].tolist())


def test_partitions_are_the_coarsest_that_are_small_enough() -> None:
    histogram = np.zeros(12 * 4**3, np.int64)
    histogram[0:4] = 30
    histogram[100] = 500
    assert partitions(histogram, 120) == [(0, 0), (3, 100)] or partitions(histogram, 120)[0] == (1, 0)
    assert partitions(histogram, 1_000) == [(0, 0), (0, 1)]
    assert partitions(histogram, 40)[:4] == [(3, 0), (3, 1), (3, 2), (3, 3)]


def test_units_and_former_names_stay(add: Add, library: Library, tmp_path: Path) -> None:
    """FITS states units; they are in the Parquet schema and on the card."""
    from astropy.table import Table

    file = tmp_path / "x.fits"
    table = Table({"NAME": ["a  ", "b"], "RAJ2000": [1.0, 2.0], "DEJ2000": [3.0, 4.0], "Flux": [5.0, 6.0]})
    for name, unit in (("RAJ2000", "deg"), ("DEJ2000", "deg"), ("Flux", "mJy")):
        table[name].unit = unit
    table.write(file)
    card, _ = library.add("x", open_source([file]), Wanted(), Recipe())
    assert card.columns == {"Flux": "mJy"}
    schema = pq.read_schema(next((library.folder / "x" / card.snapshot).glob("dataset/**/*.parquet")))
    assert schema.field("Flux").metadata[b"unit"] == b"mJy"
    assert schema.field("ra").metadata == {b"unit": b"deg", b"source": b"RAJ2000"}
    assert library.open("x").match(np.array([1.0]), np.array([3.0]))["catalog_id"].to_pylist() == ["a"]


def test_snapshot_says_what_is_in_it(library: Library, tmp_path: Path) -> None:
    """Another order of rows or another format is the same catalogue; one changed value is another."""
    columns = pa.table(some_sky(500))
    shuffled = columns.take(pa.array(np.random.default_rng(1).permutation(500)))
    changed = columns.set_column(3, "gmag", pc.add(columns["gmag"], 1e-9))
    snapshots = []
    for k, table in enumerate((columns, shuffled, changed)):
        pq.write_table(table, tmp_path / f"{k}.parquet")
        card, is_new = library.add("sky", open_source([tmp_path / f"{k}.parquet"]), Wanted(), Recipe())
        snapshots.append((card.snapshot, is_new))
    assert snapshots[0][0] == snapshots[1][0] != snapshots[2][0]
    assert [new for _, new in snapshots] == [True, False, True]
    assert [(card.snapshot, current) for card, current in library.cards("sky")] == sorted(
        [(snapshots[0][0], False), (snapshots[2][0], True)]
    )
    assert library.open("sky", snapshots[0][0]).card.snapshot == snapshots[0][0]
    assert library.remove("sky", only_old=True) == [snapshots[0][0]]
    assert library.names() == ["sky"]
    library.remove("sky")
    assert library.names() == []
    with pytest.raises(InputError, match="there are: none yet"):
        library.open("sky")


def test_a_failed_addition_leaves_the_old_one(add: Add, library: Library, tmp_path: Path) -> None:
    before = add(some_sky(300)).card.snapshot
    file = tmp_path / "bad.parquet"
    file.write_bytes((tmp_path / "sky.parquet").read_bytes()[:-100])
    with pytest.raises(InputError, match="is it complete"):
        library.add("sky", open_source([file]), Wanted(), Recipe())
    assert library.open("sky").card.snapshot == before
    assert [path.name for path in (library.folder / "sky").iterdir() if path.name.startswith(".building")] == []
    with pytest.raises(InputError, match="is it complete"):
        library.add("other", open_source([file]), Wanted(), Recipe())
    assert not (library.folder / "other").exists()


_KILLED = """
import sys, os, signal
from pathlib import Path
from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe
def die(what, done, total):
    if what == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
Library(Path(sys.argv[1])).add("sky", open_source([Path(sys.argv[2])]), Wanted(), Recipe(), die, max_rows=100)
"""


@pytest.mark.parametrize("moment", ["sorting", "indexing"])
def test_killed_while_building(add: Add, library: Library, tmp_path: Path, moment: str) -> None:
    """The old snapshot stays in use, and the next addition clears what the killed one left."""
    before = add(some_sky(200)).card.snapshot
    pq.write_table(pa.table(some_sky(400, seed=9)), tmp_path / "new.parquet")
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(library.folder), str(tmp_path / "new.parquet"), moment], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert library.open("sky").card.snapshot == before
    assert library.open("sky").match(np.array([80.0]), np.array([-69.0]), 3600).num_rows > 0
    library.add("sky", open_source([tmp_path / "new.parquet"]), Wanted(), Recipe())
    assert library.open("sky").card.n_rows == 400
    assert not list((library.folder / "sky").glob(".building*"))


@pytest.mark.parametrize(
    "damaged",
    ["catalogue.json", "coverage.npy", "index/main/positions.npy", "index/main/rows.arrow", "index/main/starts.npy"],
)
def test_a_damaged_catalogue_is_said_to_be_one(add: Add, library: Library, damaged: str) -> None:
    file = add(some_sky(300)).folder / damaged
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(StoreError, match="add it again"):
        library.open("sky").match(np.array([80.0]), np.array([-69.0]))


def test_coverage(add: Add) -> None:
    """All sky, a range of declination, and where the rows are; and what a MOC reader makes of it."""
    from mocpy import MOC

    cells = healpix_cells(np.array([80.0, 80.0, 200.0]), np.array([-69.0, 69.0, 5.0]))
    spot = {"id": np.arange(2_000), "ra": np.linspace(75, 85, 2_000), "dec": np.tile(np.linspace(-71, -67, 50), 40)}
    here = add(spot)
    assert here.covers(cells).tolist() == [True, False, False]
    assert add(spot, "all", Recipe(coverage="sky")).covers(cells).all()
    assert add(spot, "north", Recipe(coverage=(-30.0, 90.0))).covers(cells).tolist() == [False, True, True]
    moc = MOC.from_fits(here.folder / "coverage.fits")
    assert moc.contains_lonlat(*degrees(80.0, -69.0)).all()
    assert moc.sky_fraction == pytest.approx(here.card.sky_fraction, abs=1e-5)


def test_sparse_catalogue_covers_its_whole_field(add: Add) -> None:
    """A cell without a row is empty, not outside."""
    rng = np.random.default_rng(5)
    catalogue = add(
        {
            "id": np.arange(3_000),
            "ra": rng.uniform(0, 360, 3_000),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, 3_000))),
        }
    )
    assert catalogue.card.sky_fraction > 0.99


def test_every_recipe_says_what_it_must() -> None:
    assert len(recipes()) >= 16
    for name, recipe in recipes().items():
        if name == "galaxies":  # no catalogue, but a form for any table of galaxies
            continue
        assert recipe.title, name
        assert recipe.citation, name
        assert recipe.page.startswith("https://"), name
        assert recipe.ra, name
        assert recipe.dec, name
        assert recipe.id, name
        assert 0 < recipe.radius < 10, name
        assert set(recipe.units) <= set(recipe.columns), name
        assert (recipe.epoch is not None) == bool(recipe.pm_ra), name
