"""`alerce-dagster serve`: the web, in a process of its own."""

import os
from typing import Annotated

import typer
from rich.console import Console

from alerce_dagster.cli.admin import free_port


def serve(
    port: Annotated[
        int, typer.Option(help="Port on this machine; the next free one is taken when it is in use.")
    ] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="Processes that answer; one keeps about one core busy.", min=1)] = 1,
    allow_local_writes: Annotated[
        bool, typer.Option(help="Let people on this machine triage candidates without a token.")
    ] = False,
) -> None:
    """Serve the pages and the API until interrupted; the database is opened for reading only.

    Triage on the SN Hunter page writes: it needs the token in ALERCE_WEB_TOKEN, or --allow-local-writes.

    [bold]Examples[/]

      alerce-dagster serve

      ALERCE_WEB_TOKEN=... alerce-dagster serve --port 8080

      curl 'http://127.0.0.1:8000/ztf/v1/objects?class=SN&probability=0.8'
    """
    import uvicorn

    from alerce_dagster.settings import Settings, web_rate
    from alerce_dagster.storage import schema
    from alerce_dagster.storage.database import Database
    from alerce_dagster.web.rate import rate_of

    if rate := web_rate():
        rate_of(rate)
    schema.require(Database(Settings.from_environment().database_url))
    if allow_local_writes:
        os.environ["ALERCE_WEB_LOCAL"] = "1"
    port = free_port(host, port)
    Console().print(f"ALeRCE on Dagster: [bold]http://{host}:{port}[/]   (Ctrl-C ends it)", highlight=False)
    uvicorn.run(
        "alerce_dagster.web.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,  # who listens to the stream of candidates would keep it alive
    )
