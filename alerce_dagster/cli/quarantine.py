"""`alerce-dagster quarantine`: look at what was set aside, and feed it back once it, or the program, is mended."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.cli.show import wide_console
from alerce_dagster.errors import InputError

app = typer.Typer(help="Packets that could not be read: list, show, replay.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _stores():
    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings

    return open_stores(Settings.from_environment())


@app.command("list")
def list_(
    survey: Annotated[str | None, typer.Option(help="Only of this survey.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those stored since.")] = False,
    as_json: Json = False,
) -> None:
    """List the packets set aside, newest first."""
    from alerce_dagster.storage import quarantine

    with _stores().database.reading() as connection:
        rows = quarantine.listing(connection, survey, replayed=everything)
    if as_json:
        typer.echo(json.dumps([dict(row) for row in rows], default=str))
        return
    table = Table("id", "night", "bytes", "reason", "source", title=f"{len(rows):,} set aside", title_justify="left")
    for row in rows:
        done = " (stored since)" if row["replayed_at"] else ""
        table.add_row(
            row["quarantine_id"][:12],
            str(row["night"]),
            f"{row['n_bytes']:,}",
            row["reason"] + done,
            row["source"],
        )
    wide_console().print(table)


@app.command()
def show(
    quarantine_id: Annotated[str, typer.Argument(metavar="ID", help="Id, or its beginning.")],
    save: Annotated[Path | None, typer.Option(help="Write the bytes to this file.")] = None,
) -> None:
    """Show one packet that was set aside: reason, source, and the first of its bytes."""
    from alerce_dagster.storage import quarantine

    stores = _stores()
    with stores.database.reading() as connection:
        row = quarantine.find(connection, quarantine_id)
    data = quarantine.read_bytes(stores.archive, row)
    console = Console()
    for name, value in row.items():
        console.print(f"[bold]{name:<15}[/] {value}", highlight=False)
    for start in range(0, min(len(data), 128), 16):
        line = data[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        console.print(f"  {start:04x}  {line.hex(' '):<47}  {text}", highlight=False, markup=False)
    if save:
        save.write_bytes(data)
        console.print(f"{len(data):,} bytes written to {save}")


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids; all of them when none is given.")] = None,
    mended: Annotated[Path | None, typer.Option("--file", help="The mended packet, in place of the one ID.")] = None,
    survey: Annotated[str, typer.Option(help="Whose packets they are.")] = "ztf",
) -> None:
    """Try packets again, as they are or mended; those that can be read now are stored like any other.

    Their nights are run again, so that all products follow.
    """
    from alerce_dagster.cli.replay import replay_packets

    if mended is not None and len(ids or []) != 1:
        raise InputError("--file replaces one packet: give exactly one ID with it")
    stored, left = replay_packets(_stores(), survey, ids or [], mended)
    Console().print(f"{stored:,} stored, {left:,} still cannot be read")
    if left and not stored:
        raise typer.Exit(3)
