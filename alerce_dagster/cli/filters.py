"""`alerce-dagster filter`: users' filters on the stream; tested on a past night before they go live."""

import json
import re
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.cli.show import wide_console
from alerce_dagster.errors import InputError

app = typer.Typer(help="Filters of the live stream, with Kafka topics of their own.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the filter; its topic is filter_NAME.")]
Version = Annotated[int | None, typer.Option("--version", help="Which version; by default the newest.", min=1)]
Survey = Annotated[str, typer.Option(help="Whose alerts.")]


def _stores():
    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings

    return open_stores(Settings.from_environment())


@app.command()
def add(name: Name, expression: Annotated[str, typer.Argument(help="What must be true of an alert.")]) -> None:
    """Keep an expression as the next version of a filter. It is not live yet: test it, then enable it.

    [bold]Example[/]

      alerce-dagster filter add young 'n_det <= 5 and class_name == "SN" and probability > 0.5 and mag < 19'
    """
    from alerce_dagster.stages.streams import check_filter
    from alerce_dagster.storage import filters

    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise InputError("a filter's name has small letters, digits and _, and begins with a letter")
    check_filter(expression)
    with _stores().database.writing() as connection:
        kept = filters.add(connection, name, expression)
    Console().print(f"filter {name}, version {kept.version}; now: alerce-dagster filter test {name} --night YYYY-MM-DD")


@app.command("test")
def try_(
    name: Name,
    night: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="A past night.")],
    version: Version = None,
    survey: Survey = "ztf",
) -> None:
    """Run a filter over a past night and keep its pass rate."""
    from alerce_dagster.stages.classifications import CLASSIFIER
    from alerce_dagster.stages.streams import try_filter
    from alerce_dagster.storage import filters

    stores = _stores()
    with stores.database.reading() as connection:
        chosen = filters.find(connection, name, version)
    n_alerts, passed = try_filter(stores, survey, night.date(), CLASSIFIER, chosen)
    if not n_alerts:
        raise InputError(f"there are no classified alerts of {night:%Y-%m-%d}; see: alerce-dagster status")
    with stores.database.writing() as connection:
        filters.note_test(connection, chosen, night.date(), n_alerts, len(passed))
    console = Console()
    rate = len(passed) / n_alerts
    console.print(f"{len(passed):,} of {n_alerts:,} alerts pass ({rate:.2%})")
    for oid in sorted(set(passed))[:10]:
        console.print(f"  {oid}", highlight=False)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """All filters with their versions, tests, and which is live."""
    from alerce_dagster.storage import filters

    with _stores().database.reading() as connection:
        rows = filters.listing(connection)
    if as_json:
        typer.echo(json.dumps([dict(row) for row in rows], default=str))
        return
    table = Table("name", "version", "live", "tested on", "passed", "expression")
    for row in rows:
        tested = row["tested"] or {}
        passed = f"{tested['passed']:,} of {tested['alerts']:,}" if tested else ""
        live = "yes" if row["enabled"] else ""
        table.add_row(row["name"], str(row["version"]), live, tested.get("night", ""), passed, row["expression"])
    wide_console().print(table)


@app.command()
def enable(name: Name, version: Version = None) -> None:
    """Make a tested version live; it takes the place of any other version of its name."""
    from alerce_dagster.storage import filters

    with _stores().database.writing() as connection:
        chosen = filters.enable(connection, name, version)
    Console().print(f"filter {name}, version {chosen.version}, is live: its matches go to the topic {chosen.topic}")


@app.command()
def disable(name: Name) -> None:
    """Stop publishing a filter's matches."""
    from alerce_dagster.storage import filters

    with _stores().database.writing() as connection:
        filters.disable(connection, name)
    Console().print(f"filter {name} is no longer live")
