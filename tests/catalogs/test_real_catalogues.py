"""The real catalogue files, and a recorded answer of the CDS service that the local match must reproduce."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from alerce_dagster.catalogs.cds import CdsTable
from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe, recipe_for, recipes
from alerce_dagster.catalogs.table import match_table, read_positions
from tests.catalogs.cds_server import serving_cds

pytestmark = pytest.mark.realdata


@pytest.fixture
def folder(real_data: Path) -> Path:
    return real_data / "catalogues"


def recorded_answer(folder: Path) -> list[dict[str, str]]:
    with gzip.open(folder / "cds_xmatch_allwise_response.csv.gz", "rt") as stream:
        return list(csv.DictReader(stream))


def test_recorded_cds_answer_is_reproduced(library: Library, folder: Path) -> None:
    """AllWISE as far as the answer gives its rows, matched with the recorded request: the same pairs, and separations
    equal within the rounding of VizieR's positions (7 decimals of a degree, 0.2 mas)."""
    library.add(
        "allwise", open_source([folder / "cds_xmatch_allwise_response.csv.gz"]), Wanted(), recipe_for("allwise")
    )
    table, aside = read_positions(folder / "cds_xmatch_input.csv.gz")
    assert not aside
    found = match_table(table, library.open("allwise"), 1.0)
    theirs = {(int(row["id_in"]), row["AllWISE"]): float(row["angDist"]) for row in recorded_answer(folder)}
    ours = dict(
        zip(
            zip(found["id"].to_pylist(), found["catalog_id"].to_pylist(), strict=True),
            found["separation_arcsec"].to_pylist(),
            strict=True,
        )
    )
    assert len(theirs) > 5_400
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[pair] - theirs[pair]) for pair in theirs) < 3e-4


def test_service_and_local_catalogue_agree(library: Library, folder: Path, tmp_path: Path) -> None:
    """The client fed with the recorded answer gives what the local catalogue gives, columns included."""
    library.add(
        "allwise", open_source([folder / "cds_xmatch_allwise_response.csv.gz"]), Wanted(), recipe_for("allwise")
    )
    table, _ = read_positions(folder / "cds_xmatch_input.csv.gz")
    ra, dec = table["ra"].to_numpy()[:500], table["dec"].to_numpy()[:500]
    local = library.open("allwise").match(ra, dec)
    with serving_cds(recorded_answer(folder)) as server:
        asked, snapshots = CdsTable(recipe_for("allwise"), tmp_path / "cds", server.url, portion=200).match(ra, dec)
    assert None not in snapshots
    for name in ("position", "catalog_id", "rank"):
        assert asked[name].to_pylist() == local[name].to_pylist(), name
    for name in recipe_for("allwise").columns:
        theirs = [float(v) if v is not None else None for v in asked[name].to_pylist()]
        assert theirs == local[name].to_pylist(), name


CASES = {
    # file: name, options, rows, columns kept
    "gcvs.parquet": ("gcvs", Wanted(), {}, 59_099, {"type"}),
    "spicy_yso.parquet": ("spicy", Wanted(), {}, 117_446, {"class"}),
    "3hsp.csv": ("3hsp", Wanted(), {}, 2_013, {"log_peak_flux", "figure_of_merit", "gamma_counterpart"}),
    "2qz_quasars_radians.dat.gz": ("2qz", Wanted(unit="rad"), {"names": ("ra", "dec", "z")}, 22_431, {"z"}),
    "CRTS_periodic_variables.dat.gz": (
        "crts", Wanted(), {"names": ("name", "ra", "dec", "period", "type")}, 47_055, {"period", "type"}
    ),
    "sdss_tdss_rqs_quasars_radec.csv.gz": ("rqs", Wanted(), {}, 121_970, set()),
    "symbiotic_and_cataclysmic.parquet": (
        "cvs", Wanted(unit="sexagesimal"), {}, 2_857, {"Radius", "magnitude", "source"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("file", CASES)
def test_real_files(library: Library, folder: Path, file: str) -> None:
    name, wanted, options, rows, kept = CASES[file]
    card, _ = library.add(name, open_source([folder / file], **options), wanted, recipes().get(name, Recipe()))
    assert (card.n_rows, card.n_aside) == (rows, 0)
    assert set(card.columns) == kept
    catalogue = library.open(name)
    [index] = [index for index, _ in catalogue.parts]
    ra, dec = np.array(index.positions[:: max(1, rows // 1_000)]).T
    found = catalogue.match(ra.copy(), dec.copy(), 0.001)
    assert set(found["position"].to_pylist()) == set(range(len(ra)))


def test_fermi_counterparts(library: Library, folder: Path) -> None:
    """Two FITS files make one catalogue; the position is the counterpart's: Mrk 421's is known to milliarcseconds."""
    files = [folder / f"table-4LAC-DR3-{part}.fits" for part in "hl"]
    card, _ = library.add("4lac", open_source(files), Wanted(), recipe_for("4lac"))
    assert card.n_rows == 3_407 + 407
    [found] = library.open("4lac").match(np.array([166.113808]), np.array([38.208833])).to_pylist()
    assert found["counterpart"].replace(" ", "") in ("Mkn421", "Mrk421", "MKN421")
    assert found["redshift"] == pytest.approx(0.03, abs=0.001)


def test_2qz_in_radians_is_noticed(library: Library, folder: Path) -> None:
    from alerce_dagster.errors import InputError

    source = open_source([folder / "2qz_quasars_radians.dat.gz"], names=("ra", "dec", "z"))
    with pytest.raises(InputError, match="looks like radians"):
        library.add("2qz", source, Wanted(), Recipe())
