"""`alerce-dagster catalog backfill`: match stored objects with a catalogue that is new, and tell what changed."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console


def backfill(
    name: Annotated[str, typer.Argument(help="Catalogue to match everything that is stored with.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Match all stored objects with a catalogue's snapshot in use, and tell what changed.

    It goes through the sky cell by cell; interrupted, it goes on where it was. Nights may run meanwhile.
    """
    from rich.progress import Progress

    from alerce_dagster.catalogs.in_use import open_in_use
    from alerce_dagster.catalogs.library import Library
    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings
    from alerce_dagster.stages.backfill import backfill as match_all

    settings = Settings.from_environment()
    catalogues = open_in_use(Library(settings.catalogs))
    stores = open_stores(settings)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (progress and console.is_terminal)) as bars:
        task = bars.add_task(name, total=None)
        made = match_all(
            stores,
            catalogues,
            name,
            f"backfill of {name}",
            lambda done, total: bars.update(task, completed=done, total=total),
        )
    if as_json:
        typer.echo(json.dumps(asdict(made)))
        return
    lines = [
        f"{name}, snapshot {made.snapshot}: {made.objects:,} objects looked up in {made.cells:,} cells of the sky",
        f"  matches gained   {made.gained:,}",
        f"  matches lost     {made.lost:,}",
        f"  objects changed  {made.changed:,}",
        f"  hosts changed    {made.hosts_changed:,}",
        *[f"  stale {product}: {n:,} objects, made again with their next night" for product, n in made.stale.items()],
    ]
    Console(soft_wrap=True).print("\n".join(lines), highlight=False)
