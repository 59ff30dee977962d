"""`alerce-dagster dr`: data-release light curves recalibrated and tested for variability, without a database."""

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alerce_dagster.errors import InputError


def dr(
    places: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Parquet files of a data release in IRSA's layout, folders or URLs."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write lightcurves, recalibrated and variability to.")],
    classify: Annotated[bool, typer.Option(help="Also classify the variable sources, to classes.parquet.")] = False,
    threads: Annotated[int, typer.Option(help="Threads that work at once.", min=1)] = os.cpu_count() or 1,
    progress: Annotated[bool, typer.Option(help="Show progress bars.")] = True,
) -> None:
    """Load data-release light curves, recalibrate them against the constant stars, and find what varies.

    Prints one JSON object. Below --out there are three HEALPix-partitioned catalogues (HATS, readable by LSDB);
    docs/releases.md says what is in them.

    [bold]Example[/]

      alerce-dagster dr ztf_000250_zg_c01_q1_dr5.parquet --out dr5/
    """
    from alerce_dagster.cli.bars import progress_bars
    from alerce_dagster.releases.files import find_files
    from alerce_dagster.releases.pipeline import process
    from alerce_dagster.settings import Settings

    started = time.perf_counter()
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give --out a folder")
    with progress_bars(progress) as bars:
        task = bars.add_task("looking", total=None, unit="")

        def shown(what: str, done: int, total: int) -> None:
            scale, unit = (1_000_000, "MB") if what == "downloading" else (1, "files")
            bars.update(task, description=what, completed=done // scale, total=total // scale or None, unit=unit)

        files, failed = find_files(places, Settings.from_environment().downloads, shown)
        summary = process(files, out, threads=threads, progress=shown)
        summary.unreadable |= failed
    if classify:
        _classify(out, threads)
    seconds = time.perf_counter() - started
    answer = summary.as_dict() | {"seconds": round(seconds, 2)}
    typer.echo(json.dumps(answer))
    console = Console(stderr=True, soft_wrap=True)
    for reason in (*summary.unreadable.values(), *(c.reason for c in summary.channels if c.reason)):
        console.print(f"[bold]not done:[/] {reason}", highlight=False)
    if not answer["kept"]:
        raise typer.Exit(3)


def _classify(out: Path, threads: int) -> None:
    """Write classes.parquet; an empty one where nothing varies."""
    import pyarrow.parquet as pq

    from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
    from alerce_dagster.errors import store_errors
    from alerce_dagster.releases import classes

    if not (out / "variability").is_dir():
        return
    answers = pq.read_table(out / "variability" / "dataset", columns=["id", "variable"])
    variable = [row["id"] for row in answers.to_pylist() if row["variable"]]
    rows = pq.read_table(out / "recalibrated" / "dataset")
    table = classes.classify(rows, variable, LightCurveClassifier.load(), threads)
    with store_errors(str(out)):
        pq.write_table(table, out / "classes.parquet")
