"""`alerce-dagster simulate`: packets of a made-up sky, in the survey's own format, with the truth beside them."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alerce_dagster.errors import store_errors


def simulate(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    alerts: Annotated[int, typer.Option(help="Packets to make.", min=1)] = 1_000,
    objects: Annotated[
        int | None, typer.Option(help="Objects that are seen again and again; by default as many as are needed.", min=1)
    ] = None,
    nights: Annotated[int, typer.Option(help="Nights they fall in.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bytes.", min=0)] = 1,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First night.")] = datetime(2024, 3, 1),
    archive: Annotated[bool, typer.Option(help="One nightly archive per night, not one file per packet.")] = False,
) -> None:
    """Make ZTF packets of a simulated sky.

    [bold]Example[/]

      alerce-dagster simulate --alerts 2000 --objects 1500 --nights 3 --seed 7 --out sky/
    """
    from alerce_dagster.simulation.ztf import write_simulation

    with store_errors(str(out)):
        truth = write_simulation(
            out, n_alerts=alerts, n_objects=objects, nights=nights, seed=seed, start=start.date(), archive=archive
        )
    Console(stderr=True, soft_wrap=True).print(
        f"{alerts:,} packets of {truth.num_rows:,} objects in {out}, the truth about them in {out / 'truth.parquet'}",
        highlight=False,
    )
