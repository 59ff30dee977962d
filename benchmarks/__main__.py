"""`make bench`: each case in a process of its own, so that peak memory is its own; a table, and bench.json."""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table


def measure(module: str, *arguments: str) -> dict:
    """Run a case in its own process and return what it printed."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def web_table(title: str, answers: dict) -> Table:
    """What fifty readers waited, by question."""
    table = Table(title=title, title_justify="left")
    for column in ("question", "p90 ms", "p50 ms", "answers/s", "alone, p90 ms", "server CPU ms"):
        table.add_column(column, justify="left" if column == "question" else "right")
    for name, row in answers.items():
        figures = [row[key] for key in ("p90_ms", "p50_ms", "answers_per_s", "alone_p90_ms", "server_cpu_ms")]
        table.add_row(name, *[f"{figure:,}" for figure in figures])
    return table


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="alerts of the nights")
    parser.add_argument("--broker", type=int, nargs="*", default=[29_142], help="alerts of the broker comparison")
    parser.add_argument("--objects", type=int, default=20_000, help="light curves in the long run of the features")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    parser.add_argument(
        "--catalogues", type=int, nargs="+", default=[1_000_000, 5_000_000, 50_000_000], help="rows of the catalogues"
    )
    parser.add_argument("--web", type=int, nargs="*", default=[1_000_000], help="objects of the web's databases")
    options = parser.parse_args()
    found: dict = {"machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"}
    found["reference"] = measure("reference", "500")
    found["sky"] = measure("sky")
    found["features"] = measure("features", str(options.objects))
    found["light_curves"] = measure("light_curves")
    found["nights"] = [measure("night", str(n)) for n in options.sizes]
    found["brokers"] = [measure("broker", str(n)) for n in options.broker]
    found["xmatch"] = measure("xmatch", *map(str, options.catalogues))
    found["web"] = [measure("web", str(n), kind) for n in options.web for kind in ("sqlite", "postgresql")]
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    console = Console()
    console.print(f"[bold]{found['machine']}[/]")
    for name, value in (found["reference"] | found["sky"] | found["features"] | found["light_curves"]).items():
        console.print(f"{name:<58} {value:>10,}", highlight=False)
    for night in found["nights"]:
        console.print(stages_table(f"{night['n']:,} {night['packets']}", night["stages"]))
        console.print(f"alerts + stamps + detections: {night['decode_cutouts_archive_database_per_s']:,.0f} alerts/s")
        console.print(f"all stages: {night['all_stages_per_s']:,.0f} alerts/s\n")
    if len(found["nights"]) > 1:
        console.print(growth_table(found["nights"]))
    for broker in found["brokers"]:
        title = "{alerts:,} {packets} of {objects:,} objects with {history_nights} nights of history, "
        title += "{catalogue_rows:,} catalogue rows, {filters} filters"
        console.print(stages_table(title.format(**broker), broker["stages"]))
        late = ", ".join(f"{name} {value:,.1f} s" for name, value in broker["latency_s"].items())
        console.print(
            f"first message to last output: {broker['seconds']:,.1f} s, {broker['alerts_per_s']:,.0f} alerts/s, "
            f"{broker['cpu_ms_per_alert']:.2f} CPU ms an alert; latency {late}; {broker['peak_mb']:,.0f} MB"
        )
    console.print(xmatch_table(found["xmatch"]))
    for web in found["web"]:
        title = f"the web: {web['objects']:,} objects, {web['detections']:,} detections, {web['database']}, 50 readers"
        console.print(web_table(title, web["answers"]))


def xmatch_table(found: dict) -> Table:
    """Catalogues of several sizes, side by side with astropy where that was measured."""
    title = f"cross-match of {found['alerts']:,} positions within {found['radius_arcsec']:g} arcsec, CPU time, warm"
    table = Table(title=title, title_justify="left")
    for column in ("rows", "open ms", "match ms", "µs/alert", "astropy ms", "times faster"):
        table.add_column(column, justify="right")
    for case in found["sizes"]:
        compared = [f"{case[name]:,.1f}" if name in case else "" for name in ("astropy_ms", "times_faster")]
        figures = [f"{case['open_ms']:.1f}", f"{case['match_ms']:.1f}", f"{case['us_per_alert']:.2f}"]
        table.add_row(f"{case['rows']:,}", *figures, *compared)
    return table


def stages_table(title: str, stages: dict) -> Table:
    """What each stage takes."""
    table = Table(title=title, title_justify="left")
    for column in ("stage", "seconds", "alerts/s", "CPU ms/alert", "peak MB"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, stage in stages.items():
        figures = [f"{stage['seconds']:,.1f}", f"{stage['alerts_per_s']:,.0f}"]
        table.add_row(name, *figures, f"{stage['cpu_ms_per_alert']:.2f}", f"{stage['peak_mb']:,.0f}")
    return table


def growth_table(nights: list[dict]) -> Table:
    """How cost per alert and memory grow with the night."""
    table = Table(title="growth: flat is 1.00", title_justify="left")
    for column in ("alerts", "CPU ms/alert", "of the smallest", "peak MB", "of the smallest"):
        table.add_column(column, justify="right")
    costs = [sum(stage["cpu_ms_per_alert"] for stage in night["stages"].values()) for night in nights]
    peaks = [max(stage["peak_mb"] for stage in night["stages"].values()) for night in nights]
    for night, cost, peak in zip(nights, costs, peaks, strict=True):
        ratios = f"{cost / costs[0]:.2f}", f"{peak / peaks[0]:.2f}"
        table.add_row(f"{night['n']:,}", f"{cost:.2f}", ratios[0], f"{peak:,.0f}", ratios[1])
    return table


if __name__ == "__main__":
    main()
