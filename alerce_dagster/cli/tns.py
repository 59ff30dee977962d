"""`alerce-dagster tns`: what would be reported to the Transient Name Server, who approves it, and what became of it."""

import json
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.cli.show import wide_console
from alerce_dagster.errors import InputError

if TYPE_CHECKING:
    from alerce_dagster.reporting.at_report import AtReport

app = typer.Typer(
    help="Reports to the Transient Name Server; nothing is sent without a person's approval.", no_args_is_help=True
)
SurveyName = Annotated[str, typer.Option(help="Whose objects.")]
Person = Annotated[str, typer.Option(help="Who says so, by name.", envvar="USER")]
Night = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Night of the alerts (UTC date).")]


class Dialect(StrEnum):
    """How TNS's fields are called."""

    classic = "classic"
    newer = "2024"


def _stores():
    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings

    return open_stores(Settings.from_environment())


@app.command("dry-run")
def dry_run(
    night: Night = None,
    dialect: Annotated[Dialect, typer.Option(help="Field names.")] = Dialect.classic,
    as_json: Annotated[bool, typer.Option("--json", help="Print the bulk report itself, as it would be sent.")] = False,
    survey: SurveyName = "ztf",
) -> None:
    """Show what would be sent: approved reports, and with --night that night's candidates as if all were approved.

    [bold]Examples[/]

      alerce-dagster tns dry-run --night 2024-03-01

      alerce-dagster tns dry-run --night 2024-03-01 --json > bulk.json
    """
    from alerce_dagster.reporting.at_report import to_json
    from alerce_dagster.reporting.tns import reporter_of_environment, target_of_environment
    from alerce_dagster.stages.tns_reports import report_of, waiting

    target, reporter = target_of_environment(), reporter_of_environment(required=False)
    rows: list[tuple[dict, AtReport | None, str | None]] = []
    with _stores().database.reading() as connection:
        for row in waiting(connection, survey, night.date() if night else None, target):
            try:
                rows.append((row, report_of(connection, survey, row["oid"], reporter), None))
            except InputError as error:
                rows.append((row, None, str(error)))
    built = [report for _, report, _ in rows if report is not None]
    if as_json:
        typer.echo(json.dumps(to_json(built, dialect.value), indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("object", "state", "discovery (UTC)", "mag", "ra", "dec", "last limit", "host", "remarks"):
        table.add_column(name)
    for row, report, fault in rows:
        state = f"{row['state']} by {row['approved_by']}" if row["approved_by"] else row["state"]
        if report is None:
            table.add_row(row["oid"], state, *[""] * 6, f"cannot be sent: {fault}")
            continue
        first, limit = report.photometry[0], report.non_detection
        before = (
            f"{float(limit.limiting_flux):.2f} at {limit.obsdate[:16]}" if limit.limiting_flux and limit.obsdate else ""
        )
        place = (f"{float(report.ra.value):.6f}", f"{float(report.dec.value):+.6f}")
        host = " z=".join(part for part in (report.host_name, report.host_redshift) if part)
        said = report.remarks.partition(" classified")[0]
        table.add_row(
            row["oid"], state, report.discovery_datetime, f"{float(first.flux):.2f}", *place, before, host, said
        )
    console = wide_console()
    console.print(table)
    console.print(f"{len(built)} reports to {target} as group {reporter.group}; nothing was sent", highlight=False)


@app.command()
def approve(
    oids: Annotated[list[str], typer.Argument(help="Objects to report.")],
    person: Person = "",
    survey: SurveyName = "ztf",
) -> None:
    """Approve reports: they are sent with the next round. Decisions `candidate` in SN Hunter do the same.

    [bold]Example[/]

      alerce-dagster tns approve ZTF24abcdefg --person "A. Person"
    """
    from alerce_dagster.reporting.tns import target_of_environment
    from alerce_dagster.stages import tns_reports

    target = target_of_environment()
    done = tns_reports.approve(_stores(), survey, oids, target, _named(person))
    Console(stderr=True).print(f"approved to be reported to {target}: {', '.join(done) or 'nothing new'}")


@app.command()
def status(
    oid: Annotated[str | None, typer.Argument(help="One object: its report step by step.")] = None,
    survey: SurveyName = "ztf",
) -> None:
    """Reports by state, and those that are not at their end; of one object everything that happened."""
    from alerce_dagster.reporting import states
    from alerce_dagster.reporting.tns import target_of_environment
    from alerce_dagster.storage import reports

    target, console = target_of_environment(), wide_console()
    with _stores().database.reading() as connection:
        if oid is not None:
            found = reports.events(connection, survey, oid)
            if not found:
                raise InputError(f"there is no report of {oid}")
            table = Table(box=None, pad_edge=False)
            for name in ("when (UTC)", "target", "state", "who", "note"):
                table.add_column(name)
            for event in found:
                when = f"{event['happened_at']:%Y-%m-%d %H:%M:%S}"
                table.add_row(when, event["target"], event["to_state"], event["who"], event["note"] or "")
            console.print(table)
            return
        counts = reports.counts(connection, target)
        open_ = reports.in_states(connection, target, [s for s in states.STATES if s not in states.ENDED], survey)
    console.print(f"{target}: " + (", ".join(f"{n} {state}" for state, n in counts.items()) or "no reports"))
    table = Table(box=None, pad_edge=False)
    for name in ("object", "state", "since (UTC)", "approved by", "attempts", "reason"):
        table.add_column(name)
    for row in open_:
        since = f"{row['changed_at']:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            row["oid"], row["state"], since, row["approved_by"] or "", str(row["attempts"]), row["reason"] or ""
        )
    if open_:
        console.print(table)


@app.command()
def send(
    really: Annotated[bool, typer.Option("--really", help="Send; without it only tell what would be sent.")] = False,
    person: Person = "",
    survey: SurveyName = "ztf",
) -> None:
    """One round at TNS: settle what is in doubt, ask for replies, send what is approved.

    The sandbox is meant unless ALERCE_TNS_TARGET=production.
    """
    from alerce_dagster.reporting import tns
    from alerce_dagster.stages.tns_reports import take_decisions
    from alerce_dagster.stages.tns_sending import send_reports
    from alerce_dagster.storage import reports

    stores, target = _stores(), tns.target_of_environment()
    take_decisions(stores, survey, target)
    if not really:
        with stores.database.reading() as connection:
            n = reports.counts(connection, target).get("approved", 0)
        Console(stderr=True).print(f"{n} approved reports would go to {target}; say --really to send them")
        return
    client = tns.Client(tns.Account.from_environment())
    did = send_reports(stores, client, tns.reporter_of_environment(), _named(person))
    Console(stderr=True).print(", ".join(f"{n} {what}" for what, n in did.items()) or "nothing was to be done")


@app.command()
def retract(
    oid: Annotated[str, typer.Argument(help="Object whose report was wrong.")],
    why: Annotated[str, typer.Option(help="What it is instead.")],
    person: Person = "",
    survey: SurveyName = "ztf",
) -> None:
    """Take a report back. One that TNS has is put on the list of retractions, for its curators.

    [bold]Example[/]

      alerce-dagster tns retract ZTF24abcdefg --why "a variable star" --person "A. Person"
    """
    from alerce_dagster.reporting.tns import target_of_environment
    from alerce_dagster.stages import tns_reports

    state = tns_reports.retract(_stores(), survey, oid, target_of_environment(), _named(person), why)
    told = "; tell TNS's curators, the list is: alerce-dagster tns retractions" if state == "retracted" else ""
    Console(stderr=True, soft_wrap=True).print(f"the report of {oid} is {state}{told}")


@app.command()
def retractions(survey: SurveyName = "ztf") -> None:
    """Reports that were taken back after TNS had them: object, TNS name, and why."""
    from alerce_dagster.reporting import states
    from alerce_dagster.reporting.tns import target_of_environment
    from alerce_dagster.storage import reports

    with _stores().database.reading() as connection:
        for row in reports.in_states(connection, target_of_environment(), (states.RETRACTED,), survey):
            typer.echo(f"{row['oid']}\t{row['tns_name'] or ''}\t{row['reason'] or ''}")


def _named(person: str) -> str:
    if not person.strip():
        raise InputError("say who you are: --person NAME")
    return person.strip()
