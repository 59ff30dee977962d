"""Files of all formats and in all states: read right, or refused in one sentence."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from alerce_dagster.catalogs import positions
from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.catalogs.table import match_table, read_positions
from alerce_dagster.errors import InputError

N = 50
RA, DEC = np.linspace(0.5, 350, N), np.linspace(-80, 80, N)


def add(library: Library, file: Path, wanted: Wanted = Wanted(), recipe: Recipe = Recipe(), **options):  # noqa: B008
    card, _ = library.add("x", open_source([file], **options), wanted, recipe)
    return card, library.open("x")


def ids(catalogue, ra=RA, dec=DEC) -> list:
    return catalogue.match(np.asarray(ra), np.asarray(dec), 1.0)["catalog_id"].to_pylist()


def table() -> Table:
    return Table({"name": [f"s{k}" for k in range(N)], "ra": RA, "dec": DEC, "n": np.arange(N)})


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("fits", "fits"),
        ("vot", "votable"),
        ("csv", "ascii.csv"),
        ("ecsv", "ascii.ecsv"),
        ("parquet", None),
        ("csv.gz", None),
    ],
)
def test_formats(library: Library, tmp_path: Path, suffix: str, kind: str | None) -> None:
    file = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({name: table()[name].tolist() for name in table().colnames}), file)
    elif suffix == "csv.gz":
        table().write(tmp_path / "x.csv", format="ascii.csv")
        file.write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes()))
    elif suffix == "ecsv":
        with_units = table()
        with_units["n"].unit = "Jy"
        with_units.write(file, format=kind, delimiter=",")
    else:
        table().write(file, format=kind)
    card, catalogue = add(library, file)
    assert card.n_rows == N
    assert ids(catalogue) == [f"s{k}" for k in range(N)]
    assert catalogue.match(RA, DEC)["n"].to_pylist() == list(range(N))
    assert card.columns == {"n": "Jy" if suffix == "ecsv" else ""}


@pytest.mark.parametrize(
    "header",
    [
        "ra,dec",
        "RA,DEC",
        "RAJ2000,DEJ2000",
        "RA_ICRS,DE_ICRS",
        "R.A.,Dec",
        "RAdeg,DEdeg",
        "raMean,decMean",
        "# ra, dec",
    ],
)
def test_usual_names_of_columns(library: Library, tmp_path: Path, header: str) -> None:
    """A file without identifiers: the number of the row is one."""
    file = tmp_path / "x.csv"
    file.write_text(header + "\n" + "\n".join(f"{a},{d}" for a, d in zip(RA, DEC, strict=True)) + "\n")
    _, catalogue = add(library, file)
    assert ids(catalogue) == list(range(N))


@pytest.mark.parametrize("written", ["7", "9223372036854775807", "12345678901234567890", "0012", "J0011+22", "1.5e3"])
def test_identifiers_keep_their_digits(library: Library, tmp_path: Path, written: str) -> None:
    """64-bit integers stay numbers; what would lose digits or zeros stays text."""
    file = tmp_path / "x.csv"
    file.write_text(f"id,ra,dec\n{written},10,20\n")
    if written == "1.5e3":  # a number that is no identifier
        _, catalogue = add(library, file)
        assert ids(catalogue, [10.0], [20.0]) == [0]
        with pytest.raises(InputError, match="identifiers are integers or text"):
            add(library, file, Wanted(id="id"))
        return
    _, catalogue = add(library, file)
    [found] = ids(catalogue, [10.0], [20.0])
    assert str(found) == written
    assert isinstance(found, int) == (written in ("7", "9223372036854775807"))


def test_lists_stay_in_the_catalogue(library: Library, tmp_path: Path) -> None:
    """Light curves as lists are part of the Parquet, not of every match."""
    columns = {"id": [1, 2], "ra": [10.0, 20.0], "dec": [0.0, 0.0], "mjd": [[1.0, 2.0], []], "n": [2, 0]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    card, catalogue = add(library, tmp_path / "x.parquet")
    assert list(card.columns) == ["n"]
    stored = pq.read_table(next(catalogue.folder.glob("dataset/**/Npix=*.parquet")), partitioning=None)
    assert "mjd" in stored.column_names


def test_positions_in_other_units(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    for unit, scale in (("rad", np.pi / 180), ("hour", None)):
        a, d = (RA * scale, DEC * scale) if scale else (RA / 15, DEC)
        file.write_text("ra,dec\n" + "\n".join(f"{x!r},{y!r}" for x, y in zip(a.tolist(), d.tolist(), strict=True)))
        with pytest.raises(InputError, match=f"say --unit {unit}"):
            add(library, file)
        _, catalogue = add(library, file, Wanted(unit=unit))
        assert ids(catalogue) == list(range(N))


def test_sexagesimal(library: Library, tmp_path: Path) -> None:
    from astropy.coordinates import SkyCoord

    text = SkyCoord(RA, DEC, unit="deg").to_string("hmsdms", sep=":", precision=5)
    file = tmp_path / "x.csv"
    file.write_text("ra,dec\n" + "\n".join(line.replace(" ", ",") for line in text))
    with pytest.raises(InputError, match="--unit sexagesimal"):
        add(library, file)
    _, catalogue = add(library, file, Wanted(unit="sexagesimal"))
    assert ids(catalogue) == list(range(N))


def test_minus_zero_degrees() -> None:
    """The sign of -00 is that of the whole declination."""
    _, dec = positions.to_degrees(pa.array(["00 00 00"]), pa.array(["-00 30 00.0"]), "sexagesimal")
    assert dec.tolist() == [-0.5]


def test_a_unit_the_file_states_is_believed(library: Library, tmp_path: Path) -> None:
    hours = table()
    hours["ra"] = RA / 15
    hours["ra"].unit = "hourangle"
    hours.write(tmp_path / "x.vot", format="votable")
    _, catalogue = add(library, tmp_path / "x.vot")
    assert len(ids(catalogue)) == N
    hours["ra"].unit = "m"
    hours.write(tmp_path / "y.fits")
    with pytest.raises(InputError, match="none of positions"):
        add(library, tmp_path / "y.fits")


def test_rows_without_a_position_are_set_aside(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("id,ra,dec\na,10,20\nb,,20\nc,nan,20\nd,10,95\ne,400,0\nf,-10,-20\n")
    card, catalogue = add(library, file)
    assert (card.n_rows, card.n_aside) == (2, 4)
    assert ids(catalogue, [10.0, 350.0], [20.0, -20.0]) == ["a", "f"]


def _cut(file: Path, share: float) -> None:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


@pytest.mark.parametrize("suffix", ["fits", "vot", "parquet", "csv.gz", "csv"])
def test_truncated_files_are_refused(library: Library, tmp_path: Path, suffix: str) -> None:
    n = 5_000
    rng = np.random.default_rng(1)
    big = Table({"name": [f"s{k}" for k in range(n)], "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-9, 9, n)})
    file = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({name: big[name].tolist() for name in big.colnames}), file)
    elif suffix == "csv.gz":
        big.write(tmp_path / "whole.csv", format="ascii.csv")
        file.write_bytes(gzip.compress((tmp_path / "whole.csv").read_bytes()))
    else:
        big.write(file, format={"csv": "ascii.csv", "vot": "votable", "fits": "fits"}[suffix])
    _cut(file, 0.6)
    if suffix == "csv":  # the last line lacks a column
        file.write_bytes(file.read_bytes().rpartition(b",")[0])
    with pytest.raises(InputError, match=r"complete|truncated") as refused:
        add(library, file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "id,x,y\n1,2,3\n", "no column that looks like a right ascension"),
        ("x.csv", "id,ra\n1,2\n", "no column that looks like a declination"),
        ("x.csv", "id,ra,dec\n", "no row with a position"),
        ("x.csv", "", "is empty"),
        ("x.csv", "id,ra,dec\n1,east,2\n", "'east' is no number"),
        ("x.csv", "ra,ra,dec\n1,2,3\n", "two columns named"),
        ("x.csv", "id,ra,dec\n1,,\n", "no row with a position"),
        ("x.unknown", "id,ra,dec\n1,2,3\n", "cannot tell the format"),
        ("x.fits", "no FITS at all", "cannot read"),
        ("x.vot", "<VOTABLE>", "cannot read"),
        ("x.parquet", "PAR1", "cannot read"),
    ],
)
def test_senseless_files_are_refused(library: Library, tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said) as refused:
        add(library, tmp_path / name)
    assert "\n" not in str(refused.value)
    assert library.names() == []


def test_wrong_names_are_refused(library: Library, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,ra,dec\n1,2,3\n")
    with pytest.raises(InputError, match="no such file"):
        open_source([tmp_path / "nowhere.csv"])
    with pytest.raises(InputError, match="no column 'alpha'; it has: id, ra, dec"):
        add(library, tmp_path / "x.csv", Wanted(ra="alpha"))
    with pytest.raises(InputError, match="a catalogue's name"):
        library.add("../up", open_source([tmp_path / "x.csv"]), Wanted(), Recipe())


def test_a_table_of_positions(library: Library, tmp_path: Path) -> None:
    """All matches, ids with their type, in the order of the positions."""
    (tmp_path / "c.csv").write_text("id,ra,dec\na,10,20\nb,10.0001,20\nc,50,5\n")
    _, catalogue = add(library, tmp_path / "c.csv")
    (tmp_path / "p.csv").write_text("id,ra,dec\n9007199254740993,50,5\n7,10,20\n8,90,0\n")
    table, aside = read_positions(tmp_path / "p.csv")
    assert not aside
    found = match_table(table, catalogue, 1.5)
    assert found.column_names == ["id", "catalog_id", "separation_arcsec"]
    assert found["id"].to_pylist() == [9007199254740993, 7, 7]
    assert found["catalog_id"].to_pylist() == ["c", "a", "b"]
    assert found["separation_arcsec"].to_pylist() == pytest.approx([0, 0, 0.36 * np.cos(np.radians(20))], abs=1e-6)


def test_positions_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    for content, said in (
        ("id,ra\n1,2\n", "no column 'dec'"),
        ("name,ra,dec\n1,2,3\n", "no column 'id'"),
        ("id,ra,dec\n1,nan,3\n", "no row has a position"),
        ("id,ra,dec\n1,10:20:30,+20:00:00\n", "sexagesimal"),
        ("id,ra,dec\n1,10h20m30s,3\n", "sexagesimal"),
        ("id,ra,dec\n" + "".join(f"{k},{k / 2.1},{3 * k - 70}\n" for k in range(50)), "looks like hours"),
    ):
        file.write_text(content)
        with pytest.raises(InputError, match=said):
            read_positions(file)
    file.write_text("id,ra,dec\n1,10,3\n2,nan,3\n3,10,91\n")
    table, [sentence] = read_positions(file)
    assert table["id"].to_pylist() == [1]
    assert "2 of 3 rows without a position" in sentence
    hours = Table({"id": [1, 2], "ra": [1.0, 2.0], "dec": [3.0, 4.0]})
    hours["ra"].unit = "hourangle"
    hours.write(tmp_path / "p.vot", format="votable")
    with pytest.raises(InputError, match="in hour, and degrees are expected; say --unit hour"):
        read_positions(tmp_path / "p.vot")
