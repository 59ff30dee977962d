"""The notebooks run from end to end against a real server over a simulated sample of two nights."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from alerce_dagster.storage import Stores

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(file.stem for file in FOLDER.glob("*.ipynb"))
# What the public client itself causes: it writes a keyword that FITS would have shorter.
NOT_OURS = "STAMP_TYPE"


@pytest.fixture(scope="module")
def outputs(served_web: str, written: Stores) -> dict[str, list[NotebookNode]]:
    """The outputs of each notebook. One kernel runs all, one after another, as importing takes longer than running;
    each begins with nothing, as a person would.
    """
    if not written.database.is_sqlite:
        pytest.skip("the same API answers on PostgreSQL; that it does, test_alerce_client shows")
    books = {name: nbformat.read(FOLDER / f"{name}.ipynb", as_version=4) for name in NAMES}
    for name, book in books.items():
        assert all(not cell.get("outputs") for cell in book.cells), f"{name} is kept without outputs"
        book.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    whole = nbformat.v4.new_notebook(cells=[cell for book in books.values() for cell in book.cells])
    place = {"metadata": {"path": str(FOLDER)}}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ALERCE_SERVER", served_web)
        environment.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        NotebookClient(whole, timeout=60, kernel_name="python3", resources=place).execute()
    return {name: [made for cell in book.cells for made in cell.get("outputs", [])] for name, book in books.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_without_a_complaint(outputs: dict[str, list[NotebookNode]], name: str) -> None:
    told = "".join(o.text for o in outputs[name] if o.output_type == "stream" and o.name == "stderr")
    assert [line for line in told.splitlines() if line and NOT_OURS not in line] == []
    if name != "5_crossmatch":
        assert any("image/png" in output.get("data", {}) for output in outputs[name])


def test_the_list_of_ones_own_is_found_again(outputs: dict[str, list[NotebookNode]]) -> None:
    said = "".join(o.text for o in outputs["5_crossmatch"] if o.output_type == "stream")
    assert "100% found again; of the empty places 0 match something" in said
