"""Hosts of a night's objects, from catalogues made and opened as a person makes them."""

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from astropy.cosmology import Planck18

from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import recipe_for
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.hosts import make_hosts
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.storage import Stores, tables
from tests.stages.conftest import night_of
from tests.zpackets import alert, write_packets


@pytest.fixture
def filled(stores: Stores, tmp_path: Path) -> Stores:
    """Objects of alerts 0 to 3, at (10 + 0.37 n, -20 + 0.11 n), magnitude 17 + n / 10."""
    night = night_of(stores)
    ingest(night, read_places([str(write_packets(tmp_path / "in", [alert(n) for n in range(4)]))]))
    make_detections(night)
    make_objects(night)
    return stores


def catalogue(folder: Path, name: str, recipe: str, rows: list[str]) -> None:
    file = folder / f"{name}.csv"
    file.write_text("\n".join(rows) + "\n")
    Library(folder / "catalogs").add(name, open_source([file], None, None), Wanted(), recipe_for(recipe))


def galaxies(folder: Path) -> GalaxyCatalogues:
    library = Library(folder / "catalogs")
    return GalaxyCatalogues.among({name: library.open(name) for name in library.names()})


def hosts(stores: Stores) -> list[dict]:
    with stores.database.reading() as connection:
        table = tables.host
        joined = table.join(
            tables.alert, (tables.alert.c.survey == table.c.survey) & (tables.alert.c.oid == table.c.oid)
        )
        chosen = sa.select(table).select_from(joined).order_by(tables.alert.c.candid)
        return [dict(row) for row in connection.execute(chosen).mappings()]


def test_hosts_from_two_catalogues(filled: Stores, tmp_path: Path) -> None:
    """Shapes from one, spectra from the other; stars, quasars and bad redshifts of the second do not count."""
    north = [-20 + 0.11 * n + 3 / 3600 for n in range(4)]
    catalogue(
        tmp_path, "mine", "galaxies",
        ["id,ra,dec,mag,a,b,pa,z,z_kind", f"G0,10.0,{north[0]},16.0,4,2,0,0.04,photometric",
         f"G1,10.37,{north[1]},16.5,3,3,0,,", "far,10.37,-19.88,19,1,1,0,,"],
    )  # fmt: skip
    catalogue(
        tmp_path, "desi", "desi",
        ["TARGETID,TARGET_RA,TARGET_DEC,Z,ZERR,ZWARN,SPECTYPE",
         f"39627000000000001,10.0,{north[0]},0.045,0.0001,0,GALAXY",
         f"39627000000000002,10.37,{north[1]},0.06,0.0001,4,GALAXY",
         f"39627000000000003,10.74,{north[2]},2.1,0.001,0,QSO"],
    )  # fmt: skip
    entry = make_hosts(night_of(filled), galaxies(tmp_path))
    assert (entry.n_in, entry.n_out) == (4, 4)
    assert entry.details == {
        "objects": 4, "with a host (over 0.5)": 2, "with a redshift": 1, "implausible luminosity": 0
    }  # fmt: skip
    first, second, third, fourth = hosts(filled)
    assert (first["catalog"], first["catalog_id"], first["redshift"]) == ("mine", "G0", 0.045)
    assert (first["redshift_catalog"], first["redshift_kind"]) == ("desi", "spectroscopic")
    assert first["separation"] == pytest.approx(3.0, abs=0.05)
    expected = 17.0 - Planck18.distmod(0.045).value + 2.5 * np.log10(1.045)
    assert first["absolute_mag"] == pytest.approx(expected, abs=0.001)
    assert first["luminosity"] == "plausible"
    assert set(first["snapshots"]) == {"mine", "desi"}
    assert first["candidates"][0]["catalog_id"] == "G0"
    assert (second["catalog_id"], second["redshift"], second["luminosity"]) == ("G1", None, "unknown")
    for row in (third, fourth):
        assert (row["catalog"], row["probability"], row["n_candidates"]) == (None, None, 0)
        assert row["p_unseen"] == pytest.approx(1.0)


def test_new_galaxies_are_new_work(filled: Stores, tmp_path: Path) -> None:
    assert make_hosts(night_of(filled), GalaxyCatalogues({})).n_in == 4
    assert hosts(filled) == []
    catalogue(tmp_path, "mine", "galaxies", ["id,ra,dec,mag", "G0,10.0,-20.0001,16.0"])
    assert make_hosts(night_of(filled), galaxies(tmp_path)).n_in == 4
    assert make_hosts(night_of(filled), galaxies(tmp_path)).n_in == 0
    assert hosts(filled)[0]["catalog_id"] == "G0"
    catalogue(tmp_path, "mine", "galaxies", ["id,ra,dec,mag", "G1,10.0,-20.0001,16.0"])
    assert make_hosts(night_of(filled), galaxies(tmp_path)).n_in == 4
    assert hosts(filled)[0]["catalog_id"] == "G1"


def test_catalogues_of_other_things_are_no_hosts(tmp_path: Path) -> None:
    catalogue(tmp_path, "stars", "allwise", ["id,ra,dec", "S,10.0,-20.0"])
    assert galaxies(tmp_path).catalogues == {}
    assert galaxies(tmp_path).version == "none"
