"""`alerce-dagster digest`: the best candidates of a night, told to people."""

from datetime import date
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.cli.show import wide_console
from alerce_dagster.errors import InputError

app = typer.Typer(help="The best candidates of a night, by e-mail, web hook and Slack.", no_args_is_help=True)


def _database():
    from alerce_dagster.resources import open_database
    from alerce_dagster.settings import Settings

    return open_database(Settings.from_environment())


@app.command()
def send(
    night: Annotated[str | None, typer.Option(help="Make the digest of this night first, 2026-11-24.")] = None,
) -> None:
    """Send what waits, now; with --night, the digest of that night where it was not made before.

    Where it goes is set by ALERCE_DIGEST_EMAIL, ALERCE_DIGEST_WEBHOOK and ALERCE_DIGEST_SLACK.
    """
    from alerce_dagster.reporting.digests import addresses
    from alerce_dagster.stages.digests import deliver, make_digest

    if not addresses():
        raise InputError("no address is set: give ALERCE_DIGEST_EMAIL, ALERCE_DIGEST_WEBHOOK or ALERCE_DIGEST_SLACK")
    database = _database()
    try:
        made = make_digest(database, "ztf", date.fromisoformat(night), "alerce-dagster digest") if night else 0
    except ValueError:
        raise InputError(f"--night is {night!r}; write it as 2026-11-24") from None
    counts = deliver(database, at_once=True)
    Console().print(
        f"{made:,} digests made, {counts['sent']:,} sent, {counts['not_sent']:,} still to be sent", highlight=False
    )
    if counts["not_sent"]:
        raise typer.Exit(1)


@app.command("list")
def list_() -> None:
    """Show the digests of the newest nights and what became of them."""
    from alerce_dagster.storage import digests

    table = Table("night", "survey", "to", "candidates", "state", "attempts", "changed, UTC", "why not")
    with _database().reading() as connection:
        for row in digests.overview(connection):
            table.add_row(
                str(row["night"]), row["survey"], row["channel"], f"{len(row['candidates']):,}", row["state"],
                str(row["attempts"]), f"{row['changed_at']:%Y-%m-%d %H:%M}", row["error"] or "",
            )  # fmt: skip
    wide_console().print(table)
