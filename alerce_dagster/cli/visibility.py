"""`alerce-dagster visibility`: what can be seen tonight, from where."""

import json
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.cli.show import wide_console
from alerce_dagster.errors import InputError, store_errors

if TYPE_CHECKING:
    import pyarrow as pa

_MJD_OF_UNIX_ZERO = 40_587.0


def visibility(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Objects of the database, or a CSV file with ra and dec.")
    ] = None,
    site: Annotated[list[str] | None, typer.Option(help="Observatory; may be given several times.")] = None,
    evening: Annotated[str | None, typer.Option("--date", help="Date of the evening there, 2026-11-24.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write all columns to this CSV or Parquet file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    list_sites: Annotated[bool, typer.Option("--list-sites", help="Print the observatories that are known.")] = False,
) -> None:
    """Rise, set, airmass, hours in the dark and the Moon, for a night at one observatory or several.

    Times are UTC. Hours are those of astronomical darkness at an airmass of at most 2. Without --date it is the night
    that is under way there, or the next one.

    [bold]Examples[/]

      alerce-dagster visibility ZTF18abcdefg --site palomar --site paranal

      alerce-dagster visibility positions.csv --site la_silla --date 2026-11-24 --out tonight.csv
    """
    import pyarrow as pa

    from alerce_dagster.reporting import sites
    from alerce_dagster.reporting.visibility import night_of, tonight
    from alerce_dagster.reporting.visibility import visibility as seen

    if list_sites:
        _print_sites()
        return
    if not targets:
        raise InputError("name an object or a CSV file of positions; see: alerce-dagster visibility --help")
    names, ra, dec = _positions(targets)
    now = time.time() / 86400 + _MJD_OF_UNIX_ZERO
    places = [sites.site(key) for key in site or [sites.DEFAULT]]
    nights = [night_of(place, _date(evening) or tonight(place, now)) for place in places]
    table = pa.concat_tables([seen(names, ra, dec, night) for night in nights])
    if out:
        _write(out, table)
        Console(stderr=True, soft_wrap=True).print(f"{table.num_rows:,} rows written to {out}", highlight=False)
    elif as_json:
        typer.echo(json.dumps(table.to_pylist()))
    else:
        _print(nights, table)


def _positions(targets: list[str]) -> tuple[list[str], list[float], list[float]]:
    """Names and ICRS positions of what was named on the command line."""
    names: list[str] = []
    ra: list[float] = []
    dec: list[float] = []
    for target in targets:
        if Path(target).is_file():
            from alerce_dagster.reporting.watchlists import POSITIONS, read_targets

            kind, table = read_targets(Path(target))
            if kind == POSITIONS:
                names += table["target"].to_pylist()
                ra += table["ra"].to_pylist()
                dec += table["dec"].to_pylist()
                continue
            oids = table["target"].to_pylist()
        else:
            oids = [target]
        for oid in oids:
            row = _object(oid)
            names.append(oid)
            ra.append(row["ra"])
            dec.append(row["dec"])
    return names, ra, dec


def _object(oid: str) -> dict:
    from alerce_dagster.resources import open_database
    from alerce_dagster.settings import Settings
    from alerce_dagster.storage import queries

    with open_database(Settings.from_environment()).reading() as connection:
        found = queries.one_object(connection, "ztf", oid)
    if found is None:
        raise InputError(f"{oid} is neither a stored object nor a file")
    return found


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"--date is {text!r}; write it as 2026-11-24") from None


def _print_sites() -> None:
    from alerce_dagster.reporting.sites import sites

    table = Table("site", "name", "latitude", "longitude", "m", "source")
    for own in sites().values():
        place = (f"{own.latitude:.4f}", f"{own.longitude:.4f}", f"{own.elevation:.0f}")
        table.add_row(own.key, own.name, *place, own.source)
    wide_console().print(table)


def _print(nights: list, seen: "pa.Table") -> None:
    console = wide_console()
    for night in nights:
        console.print(
            f"[bold]{night.site.name}[/], evening of {night.evening}: sunset {_clock(night.sunset)}, dark "
            f"{_clock(night.dusk)} to {_clock(night.dawn)}, sunrise {_clock(night.sunrise)} UTC; Moon "
            f"{night.moon_illumination:.0%} lit, rises {_clock(night.moonrise)}, sets {_clock(night.moonset)}",
            highlight=False,
        )
        table = Table("target", "hours", "best", "airmass", "rises", "transit", "sets", "highest", "to the Moon")
        rows = [row for row in seen.to_pylist() if row["site"] == night.site.key]
        for row in sorted(rows, key=lambda row: -row["hours"]):
            table.add_row(
                row["target"], f"{row['hours']:.1f}", _clock(row["best_mjd"]),
                f"{row['best_airmass']:.2f}" if row["best_airmass"] else "-", _clock(row["rise_mjd"]),
                _clock(row["transit_mjd"]), _clock(row["set_mjd"]), f"{row['max_altitude']:.0f}°",
                f"{row['moon_separation']:.0f}°" if row["moon_separation"] is not None else "-",
            )  # fmt: skip
        console.print(table)


def _clock(mjd: float | None) -> str:
    """Hours and minutes of an MJD (UTC)."""
    if mjd is None:
        return "-"
    minutes = round(mjd % 1 * 1440) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _write(out: Path, table: "pa.Table") -> None:
    import pyarrow.csv
    import pyarrow.parquet as pq

    with store_errors(str(out)):
        if out.suffix == ".parquet":
            pq.write_table(table, out)
        else:
            pyarrow.csv.write_csv(table, out)
