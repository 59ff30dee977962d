"""`alerce-dagster simulate`: packets of a made-up sky, in the survey's own format, with the truth beside them."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from alerce_dagster.errors import InputError, store_errors


def simulate(
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; with --kafka only the truth goes there.")
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="BROKERS", help="Send the packets to Kafka instead: host:port, by commas.")
    ] = None,
    alerts: Annotated[int, typer.Option(help="Packets to make.", min=1)] = 1_000,
    objects: Annotated[
        int | None, typer.Option(help="Objects that are seen again and again; by default as many as are needed.", min=1)
    ] = None,
    nights: Annotated[int, typer.Option(help="Nights they fall in.", min=1)] = 1,
    history: Annotated[
        int,
        typer.Option(help="Nights of light curves; beyond the 30 of a packet, by earlier packets on top.", min=1),
    ] = 30,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bytes.", min=0)] = 1,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First night.")] = datetime(2024, 3, 1),
    archive: Annotated[bool, typer.Option(help="One nightly archive per night, not one file per packet.")] = False,
    topic: Annotated[
        str, typer.Option(help="Kafka topic; strftime fields stand for the night.")
    ] = "ztf_%Y%m%d_programid1",
    rate: Annotated[
        float | None, typer.Option(help="Packets a second to Kafka; by default as fast as it goes.", min=0.001)
    ] = None,
    burst: Annotated[int, typer.Option(help="Packets that leave at once, at that mean rate.", min=1)] = 1,
) -> None:
    """Make ZTF packets of a simulated sky.

    [bold]Examples[/]

      alerce-dagster simulate --alerts 2000 --objects 1500 --nights 3 --seed 7 --out sky/

      alerce-dagster simulate --alerts 400000 --kafka localhost:9092 --rate 333 --burst 10000 --out truth/
    """
    from alerce_dagster.simulation import ztf

    if out is None and kafka is None:
        raise InputError("nowhere to put the packets: give --out FOLDER or --kafka BROKERS")
    if kafka is None and (rate is not None or burst > 1):
        raise InputError("--rate and --burst pace a stream to Kafka: give --kafka BROKERS too")
    if burst > 1 and rate is None:
        raise InputError("--burst needs the mean rate: give --rate too")
    sky: dict[str, Any] = {
        "n_alerts": alerts,
        "n_objects": objects,
        "nights": nights,
        "history": history,
        "seed": seed,
        "start": start.date(),
    }
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if kafka is None:
        assert out is not None
        with store_errors(str(out)):
            truth = ztf.write_simulation(out, archive=archive, **sky)
        what = f"{sum(truth['n_alerts'].to_pylist()):,} packets of {truth.num_rows:,} objects in {out}"
        console.print(f"{what}, the truth about them in {out / 'truth.parquet'}")
        return
    from alerce_dagster.simulation.stream import publish

    simulation = ztf.simulate(**sky)
    if out is not None:
        with store_errors(str(out)):
            ztf.write_truth(out, simulation.truth)
    sent = publish(simulation.packets, kafka, topic, rate=rate, burst=burst)
    late = f", at most {sent.behind:.1f} s late" if rate is not None else ""
    what = f"{sent.messages:,} packets of {simulation.truth.num_rows:,} objects sent to {', '.join(sent.topics)}"
    console.print(f"{what} at {kafka} in {sent.seconds:,.1f} s{late}")
