"""A field of a data release beside stored alerts and a catalogue, with known numbers of what each sees."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.releases.pipeline import process
from alerce_dagster.simulation.channels import Sky, simulate_channel
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.stages.release_comparison import compare
from alerce_dagster.storage import Stores
from tests.stages.conftest import night_of
from tests.zpackets import alert, write_packets

OFFSET = 0.05


@pytest.fixture
def field(tmp_path: Path) -> Path:
    pq.write_table(simulate_channel(Sky(n_objects=250, n_exposures=60)).table, tmp_path / "channel.parquet")
    process([tmp_path / "channel.parquet"], tmp_path / "field")
    return tmp_path / "field"


def test_what_each_sees(stores: Stores, field: Path, tmp_path: Path) -> None:
    """Of eight labelled sources in the release two are far off and three have alerts; magnitudes are off by OFFSET."""
    rows = pq.read_table(field / "recalibrated" / "dataset")
    varies = pq.read_table(field / "variability" / "dataset", columns=["id", "variable"])
    variable = {row["id"] for row in varies.to_pylist() if row["variable"]}
    stars = [row for row in rows.to_pylist() if row["ensemble"] and row["id"] not in variable][:3]
    chosen = [row for row in rows.to_pylist() if row["id"] in variable][:3] + stars
    assert len(chosen) == 6
    far = [(150.0, -60.0), (10.0, 2.0)]
    places = [(row["ra"], row["dec"]) for row in chosen] + far
    ra, dec = zip(*places, strict=True)
    named = {"id": [f"star {n}" for n in range(len(places))], "ra": ra, "dec": dec, "type": ["RRAB"] * len(places)}
    pq.write_table(pa.table(named), tmp_path / "labels.parquet")
    library = Library(tmp_path / "catalogs")
    library.add("labels", open_source([tmp_path / "labels.parquet"]), Wanted(), Recipe(radius=1.5))

    packets = []
    for n, star in enumerate(stars):
        own = {"ra": star["ra"], "dec": star["dec"], "magnr": star["mean_mag"] + OFFSET, "distnr": 0.2, "fid": 1}
        packets.append(alert(n, f"ZTF20star{n}", **own))
    night = night_of(stores)
    ingest(night, read_places([str(write_packets(tmp_path / "in", packets))]))
    make_detections(night)
    make_objects(night)

    [seen], [agreement] = compare(stores.database, library, field)
    assert (seen.label, seen.n_labelled, seen.n_covered, seen.n_release) == ("RRL", 6, 6, 6)
    assert (seen.n_variable, seen.n_alerts) == (3, 3)
    assert (agreement.filterid, agreement.n_stars) == (1, 3)
    assert agreement.offset == pytest.approx(OFFSET, abs=1e-3)


def test_without_alerts_and_catalogues(stores: Stores, field: Path, tmp_path: Path) -> None:
    assert compare(stores.database, Library(tmp_path / "catalogs"), field) == ([], [])
