"""`alerce-dagster watch`: lists of positions, names and regions that somebody wants to hear of."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.cli.show import wide_console
from alerce_dagster.errors import InputError, store_errors

app = typer.Typer(help="Watch lists and sky regions, matched with every batch.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _stores():
    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings

    return open_stores(Settings.from_environment())


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    file: Annotated[Path, typer.Argument(help="CSV list, coverage map (MOC) or multi-order sky map.")],
    radius: Annotated[float, typer.Option(help="Arcsec, for positions without a radius of their own.")] = 1.5,
    level: Annotated[
        float | None, typer.Option(help="Credible level of a sky map; 0.9 when none is given.", show_default=False)
    ] = None,
    brightest: Annotated[float | None, typer.Option(help="Least difference magnitude.")] = None,
    faintest: Annotated[float | None, typer.Option(help="Greatest difference magnitude.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Class of the object; may be given several times.")
    ] = None,
    min_probability: Annotated[float, typer.Option(help="Least probability of that class.")] = 0.0,
    email: Annotated[str | None, typer.Option(help="Address to write to; needs ALERCE_SMTP_URL.")] = None,
    webhook: Annotated[str | None, typer.Option(help="URL to post to.")] = None,
) -> None:
    """Add a list; alerts that come from now on are matched with it.

    [bold]Examples[/]

      alerce-dagster watch add blazars blazars.csv --radius 2 --email me@example.org

      alerce-dagster watch add S240615dg bayestar.multiorder.fits --level 0.9 --class SN --faintest 20
    """
    from alerce_dagster.reporting import watchlists
    from alerce_dagster.reporting.watchlists import Filters, WatchList
    from alerce_dagster.storage import watch

    if not 0 < radius <= watchlists.LARGEST_RADIUS:
        raise InputError(f"--radius is in arcsec, above 0 and at most {watchlists.LARGEST_RADIUS:g}")
    filters = Filters(brightest, faintest, tuple(classes or ()), min_probability)
    region, targets = None, watchlists.TARGETS.empty_table()
    if file.suffix.lower() in (".csv", ".txt", ".tsv"):
        if level is not None:
            raise InputError("--level is for sky maps; leave it out")
        kind, targets = watchlists.read_targets(file, radius)
    else:
        kind = watchlists.REGION
        region, level = watchlists.read_region(file, level)
    own = WatchList(name, kind, str(file), region, level, filters, email, webhook)
    watchlists.check(own)
    stores = _stores()
    with stores.database.writing() as connection:
        watch.add(stores.database, connection, own, targets)
    holds = f"{targets.num_rows:,} {kind}" if region is None else f"{watchlists.sky_fraction(region):.3%} of the sky"
    level_text = f" at credible level {level:g}" if level is not None else ""
    Console(soft_wrap=True).print(f"{name}: {holds}{level_text}", highlight=False)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the lists, their matches and what became of their messages."""
    from alerce_dagster.storage import watch

    with _stores().database.reading() as connection:
        rows = watch.overview(connection)
    if as_json:
        shown = [{k: v for k, v in row.items() if k not in ("region", "webhook")} for row in rows]
        typer.echo(json.dumps(shown, default=str))
        return
    table = Table("list", "kind", "targets", "filters", "to", "matches", "messages", "source")
    for row in rows:
        table.add_row(
            row["name"], row["kind"], f"{row['n_targets']:,}" if row["n_targets"] else "-", _filters(row),
            ", ".join(c for c in ("email", "webhook") if row[c]) or "-", f"{row['n_matches']:,}",
            ", ".join(f"{n:,} {state}" for state, n in sorted(row["messages"].items())) or "-", row["source"],
        )  # fmt: skip
    wide_console().print(table)


@app.command()
def remove(name: Annotated[str, typer.Argument(help="List to remove.")]) -> None:
    """Remove a list, with its matches."""
    from alerce_dagster.storage import watch

    with _stores().database.writing() as connection:
        n = watch.remove(connection, name)
    Console().print(f"{name}: removed, with {n:,} matches", highlight=False)


@app.command()
def matches(
    name: Annotated[str, typer.Argument(help="List whose matches to show.")],
    limit: Annotated[int, typer.Option(help="How many, the newest.", min=1)] = 50,
    out: Annotated[Path | None, typer.Option(help="Write all of them to this CSV or Parquet file.")] = None,
    as_json: Json = False,
) -> None:
    """Show the matches of a list, newest first."""
    from alerce_dagster.storage import watch

    with _stores().database.reading() as connection:
        rows = watch.matches(connection, name, None if out else limit)
    if out:
        _write(out, rows)
        Console(stderr=True, soft_wrap=True).print(f"{len(rows):,} matches written to {out}", highlight=False)
        return
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("target", "survey", "object", "candid", "mjd", "band", "mag", "away", "class", title_justify="left")
    for row in rows:
        table.add_row(
            row["target"], row["survey"], row["oid"], str(row["candid"]), f"{row['mjd']:.5f}", row["band"] or "",
            f"{row['mag']:.2f}" if row["mag"] is not None else "",
            f'{row["separation"]:.2f}"' if row["separation"] is not None else "",
            f"{row['class_name']} {row['probability']:.2f}" if row["class_name"] else "",
        )  # fmt: skip
    wide_console().print(table)


@app.command()
def deliver(failed: Annotated[bool, typer.Option("--failed", help="Also those that were given up.")] = False) -> None:
    """Send the messages that wait, as every night's run does at its end."""
    from alerce_dagster.stages.watch import deliver as send_all

    counts = send_all(_stores().database, failed=failed)
    Console().print(f"{counts['sent']:,} messages sent, {counts['not_sent']:,} still to be sent", highlight=False)
    if counts["not_sent"]:
        raise typer.Exit(1)


def _filters(row: dict) -> str:
    parts = []
    if row["brightest"] is not None or row["faintest"] is not None:
        low, high = ("" if row[k] is None else f"{row[k]:g}" for k in ("brightest", "faintest"))
        parts.append(f"mag {low}..{high}")
    if row["classes"]:
        least = f" >= {row['min_probability']:g}" if row["min_probability"] else ""
        parts.append(" or ".join(row["classes"]) + least)
    return ", ".join(parts) or "-"


def _write(out: Path, rows: list[dict]) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    from alerce_dagster.storage import tables

    names = [column.name for column in tables.watch_match.columns]
    table = pa.Table.from_pylist(rows) if rows else pa.table({name: [] for name in names})
    with store_errors(str(out)):
        if out.suffix == ".parquet":
            pq.write_table(table, out)
        else:
            pa.csv.write_csv(table, out)
