"""A library of its own, and catalogues made from arrays."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alerce_dagster.catalogs.catalogue import Catalogue
from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe

Add = Callable[..., Catalogue]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "catalogs")


@pytest.fixture
def add(library: Library, tmp_path: Path) -> Add:
    """Add a table (columns as a dict or Arrow table) as a catalogue and open it."""

    def added(columns, name: str = "sky", recipe: Recipe = Recipe(), wanted: Wanted = Wanted(), **options) -> Catalogue:  # noqa: B008
        file = tmp_path / f"{name}.parquet"
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), file)
        library.add(name, open_source([file]), wanted, recipe, **options)
        return library.open(name)

    return added
