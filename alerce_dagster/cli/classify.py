"""`alerce-dagster predict-stamps`: classify the cutouts of any packets, without a database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alerce_dagster.errors import InputError, store_errors

_CHUNK = 500


def predict_stamps(
    places: Annotated[list[str], typer.Argument(metavar="PATH|URL", help="Packets, folders, archives or URLs.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write: objectId, candid, one column per class.")],
    survey: Annotated[str, typer.Option(help="Whose packets they are.")] = "ztf",
    model: Annotated[Path | None, typer.Option(help="Folder of another model than the shipped one.")] = None,
) -> None:
    """Class probabilities of the cutouts of any packets, written to a Parquet file.

    One row per alert that could be read; a known Solar System object is an asteroid by its ephemeris, and an alert
    without any cutout has nulls.

    [bold]Example[/]

      alerce-dagster predict-stamps packets/ --out stamps.parquet
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from alerce_dagster.classifiers.stamps import StampClassifier, classify
    from alerce_dagster.surveys import get_survey

    try:
        reader, classifier = get_survey(survey), StampClassifier.load(model)
    except (ValueError, FileNotFoundError) as error:
        raise InputError(str(error)) from error
    unreadable: list[tuple[str, str]] = []
    tables = []
    for packets, sources in _chunks(places, unreadable):
        alerts, rows, problems = reader.alerts(packets)
        unreadable += [(sources[index], reason) for index, reason in problems]
        cutouts = reader.cutouts([packets[row] for row in rows])
        answers = classify(classifier, cutouts.images, cutouts.present, alerts)
        columns = {"objectId": answers["oid"], "candid": answers["candid"]}
        values = answers["probabilities"].to_pylist()
        for k, name in enumerate(classifier.classes):
            columns[name] = pa.array([None if v is None else v[k] for v in values], pa.float32())
        tables.append(pa.table(columns))
    console = Console(stderr=True, soft_wrap=True)
    for source, reason in unreadable:
        console.print(f"not read: {source}: {reason}", highlight=False)
    if not tables:
        raise InputError("no packet could be read; nothing was written")
    with store_errors(str(out)):
        pq.write_table(pa.concat_tables(tables), out)
    console.print(f"{sum(table.num_rows for table in tables):,} alerts written to {out}")


def _chunks(places: list[str], unreadable: list[tuple[str, str]]) -> Iterator[tuple[list, list[str]]]:
    from alerce_dagster.surveys.sources import iter_packets

    packets: list = []
    sources: list[str] = []
    for place in places:
        for item in iter_packets(place):
            if item.packet is None:
                unreadable.append((item.source, item.reason or ""))
                continue
            packets.append(item.packet)
            sources.append(item.source)
            if len(packets) == _CHUNK:
                yield packets, sources
                packets, sources = [], []
    if packets:
        yield packets, sources
