"""`alerce-dagster catalog`: reference catalogues added, listed and removed; `alerce-dagster xmatch`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.cli.show import wide_console
from alerce_dagster.errors import InputError

app = typer.Typer(help="Reference catalogues for the cross-match.", no_args_is_help=True)

_SHOWN = 12  # names of columns in the list


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it, for example allwise.")],
    places: Annotated[list[str], typer.Argument(metavar="FILE|URL", help="Files of one format, folders or URLs.")],
    format: Annotated[
        str | None, typer.Option(help="csv, text (separated by blanks), fits, votable or parquet; else by the name.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe to read it by; else the one of the same name, if there is one.")
    ] = None,
    ra: Annotated[str | None, typer.Option(help="Column of the right ascension.")] = None,
    dec: Annotated[str | None, typer.Option(help="Column of the declination.")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Column that identifies a source.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of the positions: deg, rad, hour or sexagesimal.")] = None,
    names: Annotated[
        str | None, typer.Option(help="Names of the columns of a file without header: 'ra dec z'.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns to keep beside each match, with commas.")] = None,
    radius: Annotated[float | None, typer.Option(help="Default radius in arcsec.")] = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Make a local catalogue of a CSV, FITS, VOTable or Parquet file of any size.

    Adding a name again makes a new snapshot; the one before stays in use until the new one is whole.

    [bold]Examples[/]

      alerce-dagster catalog add gaia_dr3 GaiaSource_*.csv.gz

      alerce-dagster catalog add mine table.fits --ra RAJ2000 --dec DEJ2000 --id NAME --radius 2
    """
    from dataclasses import replace

    from alerce_dagster.catalogs.columns import Wanted
    from alerce_dagster.catalogs.formats import open_source
    from alerce_dagster.catalogs.library import Library
    from alerce_dagster.catalogs.recipes import Recipe, recipe_for, recipes
    from alerce_dagster.settings import Settings

    settings = Settings.from_environment()
    known = recipe_for(recipe) if recipe else recipes().get(name, Recipe())
    if radius is not None:
        if not 0 < radius <= 3600:
            raise InputError("--radius is in arcsec, above 0 and at most 3600")
        known = replace(known, radius=radius)
    wanted = Wanted(ra, dec, id_column, unit, tuple(columns.split(",")) if columns else None)
    with _bar(progress) as update:
        files = [_local(place, settings, update) for place in places]
        source = open_source(files, format, names.split() if names else None)
        if source.format == "text" and source.names is None and known.names:
            source = replace(source, names=known.names)
        card, is_new = Library(settings.catalogs).add(name, source, wanted, known, update)
    console = Console(soft_wrap=True)
    console.print(
        f"{name}: {card.n_rows:,} rows, snapshot {card.snapshot}{'' if is_new else ' (the same as before)'}, "
        f"{card.n_bytes / 1e6:,.1f} MB, {card.sky_fraction:.1%} of the sky, radius {card.radius:g} arcsec",
        highlight=False,
    )
    if card.n_aside:
        console.print(f"set aside: {card.n_aside:,} rows without a position on the sky", highlight=False)
    if card.citation:
        console.print(f"when you use it, cite: {card.citation}", highlight=False)


@app.command("list")
def list_() -> None:
    """The catalogues that are there, with their snapshots."""
    from alerce_dagster.catalogs.library import Library
    from alerce_dagster.settings import Settings

    library = Library(Settings.from_environment().catalogs)
    table = Table("catalogue", "snapshot", "in use", "rows", "MB", "sky", "radius", "added", "columns")
    for name in library.names():
        for card, current in library.cards(name):
            table.add_row(
                name, card.snapshot, "yes" if current else "no", f"{card.n_rows:,}", f"{card.n_bytes / 1e6:,.1f}",
                f"{card.sky_fraction:.1%}", f"{card.radius:g}″", card.created_at[:16], _listed(list(card.columns)),
            )  # fmt: skip
    if not table.row_count:
        Console().print("no catalogues yet; alerce-dagster catalog recipes says where to get some")
        return
    wide_console().print(table)


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return " ".join(names[:_SHOWN]) + rest


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Catalogue to remove.")],
    old: Annotated[bool, typer.Option("--old", help="Only the snapshots that are no longer in use.")] = False,
) -> None:
    """Remove a catalogue from the disk; what was matched with it stays in the database."""
    from alerce_dagster.catalogs.library import Library
    from alerce_dagster.settings import Settings

    gone = Library(Settings.from_environment().catalogs).remove(name, only_old=old)
    Console().print(f"{name}: {len(gone)} snapshot{'' if len(gone) == 1 else 's'} removed", highlight=False)


@app.command()
def recipes() -> None:
    """Catalogues whose columns are known: where to get them and whom to cite."""
    from alerce_dagster.catalogs.recipes import recipes as known

    console = wide_console()
    for name, recipe in known().items():
        console.print(f"[bold]{name}[/]  {recipe.title}, radius {recipe.radius:g}″", highlight=False)
        console.print(f"  {recipe.page}\n  {recipe.citation}", highlight=False, soft_wrap=True)


@contextmanager
def _bar(shown: bool) -> Iterator:
    """A progress bar on standard error, and the function that moves it."""
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bars:
        tasks: dict[str, TaskID] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield update


def _local(place: str, settings, update) -> Path:
    """The file itself; that of a URL is downloaded first, and kept in case the rest fails."""
    from alerce_dagster.surveys.download import CHUNK, Download, DownloadError
    from alerce_dagster.surveys.sources import is_url

    if not is_url(place):
        return Path(place).expanduser()
    try:
        with Download(place, settings.downloads) as stream:
            done = 0
            while data := stream.read(CHUNK):
                done += len(data)
                update("downloading", done, stream.size or 0)
            assert stream.path is not None
            return stream.path
    except DownloadError as error:
        raise InputError(f"{error}; run it again to go on where it stopped") from error


def xmatch(
    positions: Annotated[Path, typer.Argument(metavar="POSITIONS", help="CSV or Parquet file with id, ra, dec.")],
    catalog: Annotated[list[str], typer.Option(help="Catalogue to match with; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write: id, catalog_id, separation_arcsec.")],
    radius: Annotated[float | None, typer.Option(help="Radius in arcsec; else each catalogue's own.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of the positions: deg, rad, hour or sexagesimal.")] = None,
    ra: Annotated[str, typer.Option(help="Column of the right ascension.")] = "ra",
    dec: Annotated[str, typer.Option(help="Column of the declination.")] = "dec",
    id_column: Annotated[str, typer.Option("--id", help="Column that identifies a position.")] = "id",
) -> None:
    """All catalogue sources within the radius of each position of a table.

    A column mjd, where the table has one, says when each position was measured: sources of known proper motion are
    moved to that time.

    [bold]Example[/]

      alerce-dagster xmatch positions.csv --catalog gaia_dr3 --radius 1.5 --out matches.parquet
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from alerce_dagster.catalogs.library import Library
    from alerce_dagster.catalogs.table import match_table, read_positions
    from alerce_dagster.errors import store_errors
    from alerce_dagster.settings import Settings

    if radius is not None and not 0 < radius <= 3600:
        raise InputError("--radius is in arcsec, above 0 and at most 3600")
    library = Library(Settings.from_environment().catalogs)
    opened = [library.open(name) for name in catalog]
    table, aside = read_positions(positions, id_column, ra, dec, unit)
    found = [match_table(table, catalogue, radius) for catalogue in opened]
    if len(found) > 1:
        named = zip(found, catalog, strict=True)
        found = [t.append_column("catalog", pa.repeat(pa.scalar(name), t.num_rows)) for t, name in named]
        if len({t["catalog_id"].type for t in found}) > 1:
            found = [t.set_column(1, "catalog_id", t["catalog_id"].cast(pa.string())) for t in found]
    result = pa.concat_tables(found)
    with store_errors(str(out)):
        pq.write_table(result, out)
    console = Console(stderr=True, soft_wrap=True)
    for sentence in aside:
        console.print(sentence, highlight=False)
    matched = len(set(result["id"].to_pylist()))
    console.print(
        f"{result.num_rows:,} matches of {matched:,} among {table.num_rows:,} positions written to {out}",
        highlight=False,
    )
