"""`alerce-dagster explain`: where an object's probabilities come from."""

from typing import Annotated, Any

import typer
from rich.console import Console


def explain(
    oid: Annotated[str, typer.Argument(help="The survey's identifier of the object.")],
    survey: Annotated[str, typer.Option(help="Whose object it is.")] = "ztf",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Everything behind an object's newest probabilities: model, inputs, run; and the same numbers computed again.

    Exit code 1 when a number cannot be reproduced.

    [bold]Example[/]

      alerce-dagster explain ZTF18abcdefg
    """
    import json
    import sys

    from alerce_dagster.resources import ModelsResource, open_stores
    from alerce_dagster.settings import Settings
    from alerce_dagster.stages.explanation import ENOUGH
    from alerce_dagster.stages.explanation import explain as explained

    stores = open_stores(Settings.from_environment())
    found = explained(stores, survey, oid, ModelsResource().light_curve_classifier())
    if as_json:
        told = [
            {"answer": {k: _plain(v) for k, v in e.row.items()}, "again": e.again, "verdict": e.verdict} for e in found
        ]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        console = Console(soft_wrap=True, highlight=False)
        for explanation in found:
            _show(console, explanation.row, explanation.verdict)
    if any(e.difference is not None and e.difference >= ENOUGH for e in found):
        raise typer.Exit(1)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def _show(console: Console, row: Any, verdict: str) -> None:
    name = row["class_name"] or "undetermined"
    certainty = f" ({row['probability']:.3f})" if row["probability"] is not None else ""
    console.print(f"[bold]{row['classifier']}[/]: {name}{certainty}; {row['reason']}")
    console.print(f"  alert {row['candid']} at MJD {row['mjd']:.5f}, run {row['run_id']}")
    console.print(f"  model {row['model']}")
    if row["inputs_version"]:
        epochs = f", {row['n_epochs']} epochs, hash {row['inputs_hash']}" if row["inputs_hash"] else ""
        console.print(f"  inputs: {row['inputs_version']}{epochs}")
    if row["prediction_set"]:
        console.print(f"  prediction set (90 %): {', '.join(row['prediction_set'])}")
    if row["probabilities"]:
        ranked = sorted(row["probabilities"].items(), key=lambda item: -item[1])[:5]
        console.print("  " + ", ".join(f"{name} {p:.4f}" for name, p in ranked))
    for part in row["evidence"] or []:
        ratios = sorted(part["log_ratio"].items(), key=lambda item: -abs(item[1]))[:3]
        moved = ", ".join(f"{name} {value:+.2f}" for name, value in ratios)
        console.print(f"  {part['part']}: moved it by {part['kl']:.2f} nats; log ratios {moved}; {part['source']}")
    console.print(f"  [bold]{verdict}[/]\n")
