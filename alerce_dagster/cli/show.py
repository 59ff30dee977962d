"""How results look on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show_summary(summary: Mapping[str, Any]) -> None:
    """The summary of `run`."""
    console = Console()
    table = Table(title=_title(summary["nights"]), show_header=False, title_justify="left", box=None, padding=(0, 2))
    table.add_column(justify="left", style="bold")
    table.add_column(justify="right")
    table.add_row("packets read", f"{summary['read']:,}")
    table.add_row("stored", f"{summary['stored']:,}")
    table.add_row("already known", f"{summary['known']:,}")
    table.add_row("quarantined", f"{summary['quarantined']:,}")
    table.add_row("objects new", f"{summary['objects_new']:,}")
    table.add_row("objects updated", f"{summary['objects_updated']:,}")
    for name, n in sorted(summary["classes"].items(), key=lambda item: -item[1]):
        table.add_row(f"  {name}", f"{n:,}")
    table.add_row("seconds", f"{summary['seconds']:,.1f}")
    table.add_row("alerts/s", f"{summary['alerts_per_s']:,.0f}")
    table.add_row("peak memory", f"{summary['peak_memory_mb']:,.0f} MB")
    console.print(table)
    if summary.get("truth"):
        console.print("\n[bold]Objects by stamp class[/]: the simulation's truth down, what was found across")
        console.print(_against_truth(summary["truth"]))
    if summary["reasons"]:
        console.print("\n[bold]Set aside[/] (alerce-dagster quarantine list shows each):")
        for reason, n in sorted(summary["reasons"].items(), key=lambda item: -item[1]):
            console.print(f"  {n:,} × {reason}", highlight=False)
    if not summary["stored"] and summary["known"]:
        console.print("\nNothing new: the products are as they were.")


def _against_truth(confusion: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table(box=None)
    table.add_column("truth", style="bold")
    for name in next(iter(confusion.values())):
        table.add_column(name, justify="right")
    table.add_column("right", justify="right")
    for true, row in confusion.items():
        share = row.get(true, 0) / sum(row.values())
        table.add_row(true, *(f"{n:,}" if n else "·" for n in row.values()), f"{share:.0%}")
    return table


def complain_nothing_read(reasons: Mapping[str, int]) -> None:
    """One line for an input of which nothing could be read."""
    most = max(reasons, key=lambda reason: reasons[reason], default="unknown")
    Console(stderr=True, soft_wrap=True).print(
        f"[bold red]error:[/] nothing in the input could be read: {most}; the bytes are kept, "
        "see: alerce-dagster quarantine list",
        highlight=False,
    )


def wide_console() -> Console:
    """For tables: as wide as the terminal, and wide enough for a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def _title(nights: list[str]) -> str:
    if not nights:
        return "No night"
    return f"Night {nights[0]}" if len(nights) == 1 else f"{len(nights)} nights, {nights[0]} to {nights[-1]}"
