"""`alerce-dagster outliers`: the oddest light curves, and what people say of them."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.errors import InputError

app = typer.Typer(name="outliers", help="The oddest light curves, and what people say of them.", no_args_is_help=True)


class Mark(StrEnum):
    """What a person says of an object."""

    interesting = "interesting"
    junk = "junk"
    known = "known"


@app.command("list")
def show(
    top_class: Annotated[str | None, typer.Option("--class", help="Transient, Stochastic or Periodic.")] = None,
    night: Annotated[str | None, typer.Option(help="Only objects with an alert in this night (2020-01-15).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Objects per top class.")] = 20,
    survey: Annotated[str, typer.Option(help="Whose objects.")] = "ztf",
) -> None:
    """The oddest objects of each top class, after what people have marked: junk and known ones are gone, and their
    neighbours sink; neighbours of interesting ones rise.
    """
    from datetime import date

    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings
    from alerce_dagster.stages.outliers import TOPS, ranked

    if top_class is not None and top_class not in TOPS:
        raise InputError(f"{top_class} is no top class; there are {', '.join(TOPS)}")
    try:
        day = date.fromisoformat(night) if night else None
    except ValueError as error:
        raise InputError(f"{night} is not a date like 2020-01-15") from error
    stores = open_stores(Settings.from_environment())
    table = Table(box=None, pad_edge=False)
    for name in ("top class", "oid", "rank score", "odder than", "forest", "least unlike", "marks"):
        table.add_column(name)
    for top in [top_class] if top_class else TOPS:
        for row in ranked(stores, survey, top, day)[:limit]:
            scores = (f"{row['ranked']:.4f}", f"{row['score']:.2%}", f"{row['baseline']:.2%}")
            table.add_row(top, row["oid"], *scores, row["nearest"], ", ".join(row["marks"]))
    Console(width=None if Console().is_terminal else 160).print(table)


@app.command("mark")
def mark(
    oid: Annotated[str, typer.Argument(help="The survey's identifier of the object.")],
    verdict: Annotated[Mark, typer.Argument(help="What it is to you.")],
    person: Annotated[str, typer.Option(help="Who says so.", envvar="USER")] = "anonymous",
    note: Annotated[str | None, typer.Option(help="Why, in a few words.")] = None,
    survey: Annotated[str, typer.Option(help="Whose object it is.")] = "ztf",
) -> None:
    """Say what an object is; the ranking learns from it. A person's second word on an object replaces the first.

    [bold]Example[/]

      alerce-dagster outliers mark ZTF18abcdefg interesting --note "three outbursts"
    """
    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings
    from alerce_dagster.stages.outliers import record_mark

    record_mark(open_stores(Settings.from_environment()), survey, oid, person, verdict.value, note)
    Console(stderr=True).print(f"{oid} is {verdict.value}, says {person}")
