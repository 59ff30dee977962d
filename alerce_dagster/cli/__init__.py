"""The command `alerce-dagster`. Thin: each command calls the rooms below and prints; heavy imports wait in functions.

Exit codes: 0 done; 1 a run failed; 2 wrong usage; 3 nothing in the input could be read; 4 a store (database, archive,
models) cannot be used; 130 interrupted.
"""

import os
import sys

import typer
from rich.console import Console

from alerce_dagster.cli import (
    admin,
    backfill,
    catalog,
    classify,
    digest,
    dr,
    explain,
    features,
    filters,
    light_curves,
    outliers,
    quarantine,
    run,
    serve,
    simulate,
    tns,
    visibility,
    watch,
)
from alerce_dagster.errors import AlerceError, InputError

app = typer.Typer(
    name="alerce-dagster",
    help="An alert broker: packets in, classified objects out, every packet accounted for.",
    epilog="Exit codes: 0 done, 1 a run failed, 2 wrong usage, 3 nothing in the input could be read, 4 a store "
    "(database, archive, models) cannot be used, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("simulate")(simulate.simulate)
app.command("predict-stamps")(classify.predict_stamps)
app.command("classify")(light_curves.classify)
app.command("explain")(explain.explain)
app.command("features")(features.features)
app.command("dr")(dr.dr)
app.command("xmatch")(catalog.xmatch)
app.command("visibility")(visibility.visibility)
app.command("status")(admin.status)
app.command("doctor")(admin.doctor)
app.command("ui")(admin.ui)
app.command("serve")(serve.serve)
app.add_typer(admin.database, name="db")
catalog.app.command("backfill")(backfill.backfill)
app.add_typer(catalog.app, name="catalog")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(watch.app, name="watch")
app.add_typer(digest.app, name="digest")
app.add_typer(outliers.app, name="outliers")
app.add_typer(filters.app, name="filter")
app.add_typer(tns.app, name="tns")

RUN_FAILED, NOTHING_READ, STORE_UNUSABLE, INTERRUPTED = 1, 3, 4, 130


def main() -> None:
    """Run the command line; a fault that a person can mend is one sentence on standard error."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    try:
        app()
    except InputError as error:
        _complain(error, 2)
    except run.RunFailed as error:
        _complain(error, RUN_FAILED)
    except AlerceError as error:
        _complain(error, STORE_UNUSABLE)
    except KeyboardInterrupt:
        _complain("interrupted; what was committed is kept, run the same command again to go on", INTERRUPTED)


def _complain(error: object, code: int) -> None:
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {error}", highlight=False)
    sys.exit(code)
