"""`alerce-dagster run`: packets to classified objects, one Dagster run per night, in this process."""

import hashlib
import json
import resource
import sys
import time
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alerce_dagster.errors import AlerceError, InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from alerce_dagster.cli.plan import NightPlan
    from alerce_dagster.settings import Settings
    from alerce_dagster.storage import Stores

# A longer list of sources is kept in a file: run configurations are stored with every run.
_SOURCES_IN_CONFIG = 40


def run(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH|URL",
            help="Packets (.avro), containers of many, folders, nightly archives (.tar.gz), or http(s) URLs of them. "
            "None, with --night: re-make that night from the archive.",
        ),
    ] = None,
    survey: Annotated[str, typer.Option(help="Whose packets they are.")] = "ztf",
    night: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Only this night (UTC date of the exposures)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    progress: Annotated[bool, typer.Option(help="Show progress bars.")] = True,
) -> None:
    """Read packets, archive them, build light curves and objects, classify: one Dagster run per night found.

    [bold]Examples[/]

      alerce-dagster run packets/

      alerce-dagster run ztf_public_20180819.tar.gz

      alerce-dagster run https://host/ztf_public_20180819.tar.gz

      alerce-dagster run --night 2018-08-19

      alerce-dagster run packets/ --json --no-progress > summary.json
    """
    from alerce_dagster.cli.bars import progress_bars
    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings, prepare_dagster_home

    if not places and night is None:
        raise InputError("nothing to do: give packets to read, or --night to re-make a night from the archive")
    started = time.perf_counter()
    settings = Settings.from_environment()
    prepare_dagster_home(settings)
    stores = open_stores(settings)
    with progress_bars(progress) as bars:
        summary = run_nights(settings, stores, survey, places or [], night.date() if night else None, bars)
    summary["seconds"] = round(time.perf_counter() - started, 2)
    summary["alerts_per_s"] = round(summary["read"] / summary["seconds"], 1)
    summary["peak_memory_mb"] = peak_memory_mb()
    if as_json:
        typer.echo(json.dumps({key: value for key, value in summary.items() if key != "reasons"}))
    else:
        from alerce_dagster.cli.show import show_summary

        show_summary(summary)
    if summary["read"] and summary["quarantined"] == summary["read"]:
        from alerce_dagster.cli.show import complain_nothing_read

        complain_nothing_read(summary["reasons"])
        raise typer.Exit(3)


def run_nights(
    settings: "Settings",
    stores: "Stores",
    survey_name: str,
    places: list[str],
    only: date | None,
    bars: "Progress",
) -> dict[str, Any]:
    """Plan, run night after night, and add up."""
    import dagster as dg

    from alerce_dagster.cli.bars import NightBars
    from alerce_dagster.cli.instance import warm_instance
    from alerce_dagster.cli.plan import plan
    from alerce_dagster.definitions import build_defs
    from alerce_dagster.surveys import get_survey

    try:
        survey = get_survey(survey_name)
    except ValueError as error:
        raise InputError(str(error)) from error
    shown = NightBars(bars)
    plans = plan(survey, places, only, settings.downloads, shown.looked)
    job = build_defs({"progress": dg.ResourceDefinition.hardcoded_resource(shown.update)}).resolve_job_def(
        f"{survey.name}_night"
    )
    run_ids: list[str] = []
    nights: set[date] = set()
    with warm_instance(settings) as instance:
        queue = list(plans.items())
        while queue:
            night, night_plan = queue.pop(0)
            shown.begin(night, len(nights), len(nights) + len(queue) + 1, night_plan.sources + night_plan.again)
            result = _run_night(settings, job, instance, survey.name, night, night_plan)
            run_ids.append(result.run_id)
            nights.add(night)
            if only is None:
                queue += _unforeseen(result, night_plan, plans)
    return _summary(stores, survey.name, sorted(nights), run_ids, places)


def _run_night(settings: "Settings", job, instance, survey: str, night: date, night_plan: "NightPlan"):
    """One Dagster run; a failed one ends everything with its one sentence."""
    from alerce_dagster.cli.instance import process_tags

    config = {
        "sources": _as_config(settings, night_plan.sources),
        "again": _as_config(settings, night_plan.again),
    }
    result = job.execute_in_process(
        instance=instance,
        partition_key=night.isoformat(),
        run_config={
            "ops": {f"{survey}__alerts": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        tags=process_tags(),
        raise_on_error=False,
    )
    if not result.success:
        raise RunFailed(f"the run of night {night} failed: {_why(result)}")
    return result


class RunFailed(AlerceError):
    """A night's run ended with an error."""


def _why(result) -> str:
    """The first failed step's own words."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            error = data.error.cause or data.error if data.error else None
            return f"{event.step_key}: {error.message.strip().splitlines()[0] if error else 'unknown error'}"
    return "see the run in the Dagster UI (alerce-dagster ui)"


def _as_config(settings: "Settings", sources: list[str]) -> list[str]:
    """Absolute sources; a long list goes to a file under ALERCE_HOME, which the configuration names."""
    absolute = [s if "://" in s else str(Path(s).expanduser().resolve()) for s in sources]
    if len(absolute) <= _SOURCES_IN_CONFIG:
        return absolute
    text = "\n".join(absolute)
    folder = settings.home / "plans"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"
    file.write_text(text, encoding="utf-8")
    return [f"@{file}"]


def _unforeseen(result, night_plan: "NightPlan", plans: dict[date, "NightPlan"]) -> list[tuple[date, "NightPlan"]]:
    """Nights that the run met in archives and nobody expected; they are read again for each."""
    from alerce_dagster.cli.plan import NightPlan
    from alerce_dagster.stages.places import is_archive

    archives = [source for source in night_plan.sources if is_archive(source)]
    if not archives:
        return []
    met: Counter[date] = Counter()
    for event in result.get_asset_materialization_events():
        value = event.materialization.metadata.get("other_nights")
        met.update({date.fromisoformat(day): n for day, n in (value.value if value else {}).items()})
    extra = []
    for night in sorted(met):
        planned = plans.setdefault(night, NightPlan())
        again = [source for source in archives if source not in planned.sources + planned.again]
        if again:
            planned.again += again
            extra.append((night, NightPlan(again=again)))
    return extra


def _summary(
    stores: "Stores", survey: str, nights: list[date], run_ids: list[str], places: list[str]
) -> dict[str, Any]:
    """What the runs did, from the ledger; of simulated packets also how the classes found compare with the truth."""
    from alerce_dagster.cli.truth import confusion, truth_beside
    from alerce_dagster.stages.classifications import CLASSIFIER
    from alerce_dagster.storage import ledger, queries

    with stores.database.reading() as connection:
        sums = ledger.totals_of_runs(connection, run_ids)
        classes = queries.class_counts(connection, survey, nights, CLASSIFIER)
        touched = queries.objects_of_runs(connection, run_ids)
        truth = truth_beside(places)
        found = queries.classes_of_nights(connection, survey, nights, CLASSIFIER) if truth else {}
    read, new = sums["alerts"], sums["objects"].details["objects_new"]
    compared = {"truth": confusion(truth, found)} if truth else {}
    return {
        "read": read.n_in,
        "stored": read.n_out,
        "known": read.n_known,
        "quarantined": read.n_aside,
        "objects_new": new,
        # An object that was new and had further alerts is new.
        "objects_updated": touched - new,
        "classes": classes,
        "nights": [night.isoformat() for night in nights],
        "reasons": dict(read.reasons),
        **compared,
    }


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far (the kernel counts KiB on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
