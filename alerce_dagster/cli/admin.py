"""`alerce-dagster status`, `db`, `doctor` and `ui`: looking after a deployment."""

import os
import shutil
import socket
import sys
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alerce_dagster.cli.show import wide_console
from alerce_dagster.errors import AlerceError, InputError

database = typer.Typer(help="The database's schema.", no_args_is_help=True)

_PACKAGES = ("dagster", "dagster-webserver", "sqlalchemy", "pyarrow", "numba", "onnxruntime", "fastavro")


def status() -> None:
    """What is stored, night by night, and whether the books balance."""
    from alerce_dagster.definitions import SURVEYS
    from alerce_dagster.resources import open_stores
    from alerce_dagster.settings import Settings
    from alerce_dagster.storage import ledger

    settings = Settings.from_environment()
    stores = open_stores(settings)
    console = wide_console()
    console.print(
        f"database {stores.database.shown_url}\narchive  {stores.archive.url}", highlight=False, soft_wrap=True
    )
    table = Table("survey", "night", "packets", "MB", "set aside", "batches", "still to do", "balances")
    for column in table.columns[2:6]:
        column.justify = "right"
    with stores.database.reading() as connection:
        for survey in SURVEYS:
            for night in ledger.nights(connection, survey):
                batches = ledger.batches(connection, survey, night)
                sums = ledger.totals(connection, survey, night, {})
                ids = {batch.batch_id for batch in batches}
                done = {stage: ledger.finished(connection, survey, stage, ids) for stage in ledger.STAGES}
                n = sum(batch.n_packets for batch in batches)
                to_do = [stage for stage in ledger.STAGES if done[stage] != len(batches)]
                table.add_row(
                    survey,
                    str(night),
                    f"{n:,}",
                    f"{sum(batch.n_bytes for batch in batches) / 1e6:,.0f}",
                    f"{sums['alerts'].n_aside:,}" if "alerts" in sums else "0",
                    f"{len(batches):,}",
                    ", ".join(to_do) or "nothing",
                    "yes"
                    if not to_do and all(entry.balances for entry in sums.values())
                    else "[red]no: run it again[/]",
                )
    console.print(table)


@database.command()
def upgrade() -> None:
    """Create the tables, or bring them to the newest schema."""
    from alerce_dagster.settings import Settings
    from alerce_dagster.storage import schema
    from alerce_dagster.storage.database import Database

    db = Database(Settings.from_environment().database_url)
    before, after = schema.upgrade(db)
    text = "is up to date" if before == after else f"went from {before or 'empty'} to {after}"
    Console().print(f"{db.shown_url}: schema {text}", highlight=False, soft_wrap=True)


def doctor(port: Annotated[int, typer.Option(help="Port the Dagster UI shall use.")] = 3000) -> None:
    """Check versions, database, archive, models and ports, and say what to do."""
    from alerce_dagster.settings import Settings

    settings = Settings.from_environment()
    checks = {
        "python": _python,
        "packages": _packages,
        "home": lambda: str(settings.home),
        "database": lambda: _database(settings),
        "archive": lambda: _archive(settings),
        "catalogues": lambda: _catalogues(settings),
        "stamp model": lambda: _model(settings, "stamp_classifier"),
        "light curves": lambda: _model(settings, "light_curve_classifier"),
        "outliers": lambda: _model(settings, "outlier_model"),
        "disk": lambda: _disk(settings.home),
        f"port {port}": lambda: _port(port),
    }
    console = Console(soft_wrap=True)
    failed = 0
    for name, check in checks.items():
        try:
            console.print(f"[green]ok[/]    {name:<12} {check()}", highlight=False)
        except AlerceError as error:
            failed += 1
            console.print(f"[red]fault[/] {name:<12} {error}", highlight=False)
    if failed:
        raise typer.Exit(4)


def ui(
    port: Annotated[
        int, typer.Option(help="Port on this machine; the next free one is taken when it is in use.")
    ] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the Dagster UI (web server, daemon and code locations) until interrupted."""
    from alerce_dagster.cli.instance import warm_instance
    from alerce_dagster.settings import Settings, prepare_dagster_home

    settings = Settings.from_environment()
    prepare_dagster_home(settings)
    with warm_instance(settings):
        pass  # runs of killed processes are ended: they would keep the daemon waiting
    port = free_port(host, port)
    Console().print(f"Dagster UI: [bold]http://{host}:{port}[/]   (Ctrl-C ends it)", highlight=False)
    workspace = str(resources.files("alerce_dagster") / "workspace.yaml")
    command = [sys.executable, "-m", "dagster", "dev", "-h", host, "-p", str(port), "-w", workspace]
    os.execve(sys.executable, command, os.environ | {"PYTHONWARNINGS": "ignore"})  # noqa: S606


def _python() -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise InputError(f"Python {sys.version.split()[0]} is not supported; use 3.11, 3.12 or 3.13")
    return sys.version.split()[0]


def _packages() -> str:
    missing = []
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise InputError(f"not installed: {', '.join(missing)}; run: make env")
    return ", ".join(found)


def _database(settings) -> str:
    from alerce_dagster.storage import schema
    from alerce_dagster.storage.database import Database

    db = Database(settings.database_url)
    version = schema.current(db)
    return f"{db.shown_url}, schema {version or 'not made yet (the first run makes it)'}"


def _archive(settings) -> str:
    from alerce_dagster.storage.archive import Archive

    Archive(settings.archive_url).check_writable()
    return settings.archive_url


def _catalogues(settings) -> str:
    from alerce_dagster.catalogs.library import Library

    library = Library(settings.catalogs)
    opened = [library.open(name) for name in library.names()]
    rows = sum(catalogue.card.n_rows for catalogue in opened)
    return f"{len(opened)} with {rows:,} rows" if opened else "none yet (alerce-dagster catalog recipes)"


def _model(settings, name: str) -> str:
    from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
    from alerce_dagster.classifiers.outliers import OutlierModel
    from alerce_dagster.classifiers.stamps import StampClassifier
    from alerce_dagster.resources import champion_folder

    kinds: dict[str, Any] = {
        "stamp_classifier": StampClassifier,
        "light_curve_classifier": LightCurveClassifier,
        "outlier_model": OutlierModel,
    }
    folder = champion_folder(settings, name)
    try:
        model = kinds[name].load(folder)
    except (ValueError, OSError) as error:
        raise InputError(f"{error}; remove {folder or 'and reinstall the package'}") from error
    return f"{name} {model.description['version']} ({model.model_hash[:12]}, {'promoted' if folder else 'shipped'})"


def _disk(home: Path) -> str:
    place = next(p for p in (home, *home.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < 1 << 30:
        raise InputError(f"{free / 1e6:,.0f} MB free under {home}; a night of 100,000 alerts takes about 10 GB")
    return f"{free / 1e9:,.0f} GB free under {place}"


def _port(port: int) -> str:
    if free_port("127.0.0.1", port) != port:
        raise InputError(f"in use; give another one: alerce-dagster ui --port {free_port('127.0.0.1', port)}")
    return "free"


def free_port(host: str, port: int) -> int:
    """The first port from `port` on that nobody uses; raises InputError when none of fifty is free."""
    for candidate in range(port, port + 50):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    raise InputError(f"no free port between {port} and {port + 50}; give another one with --port")
