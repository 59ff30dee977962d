"""`alerce-dagster classify`: classes of anyone's light curves, without a database."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alerce_dagster.errors import InputError, store_errors

_ROWS = 2_000


def classify(
    light_curves: Annotated[
        Path,
        typer.Argument(metavar="LIGHTCURVES.parquet", help="One row per object: oid, band, mjd, mag, magerr (lists)."),
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    model: Annotated[Path | None, typer.Option(help="Folder of another model than the shipped one.")] = None,
) -> None:
    """Calibrated class probabilities of light curves, written to a Parquet file.

    One row per row that came, in the same order: oid, one column per class, `class` (or undetermined),
    `prediction_set` (holds the true class in 90 % of cases), `reason`, and the three top classes. Magnitudes may be of
    the difference image or apparent; `is_limit` (a list) marks upper limits.

    [bold]Example[/]

      alerce-dagster classify light_curves.parquet --out classes.parquet
    """
    import os

    import pyarrow as pa
    import pyarrow.parquet as pq

    from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier, answers_table
    from alerce_dagster.classifiers.light_curves import read_light_curves

    try:
        classifier = LightCurveClassifier.load(model)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    try:
        file = pq.ParquetFile(light_curves)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{light_curves} cannot be read as Parquet: {error}") from error
    console = Console(stderr=True, soft_wrap=True)
    new = out.with_name(f"{out.name}.{os.getpid()}.part")
    n = undetermined = 0
    dropped: dict[str, int] = {}
    with store_errors(str(out)):
        writer = None
        try:
            for part in file.iter_batches(_ROWS):
                batch, left = read_light_curves(pa.table(part))
                for reason, count in left.items():
                    dropped[reason] = dropped.get(reason, 0) + count
                answers = classifier.answer(batch)
                table = answers_table(batch.oids, answers, classifier)
                writer = writer or pq.ParquetWriter(new, table.schema)
                writer.write_table(table)
                n += len(batch)
                undetermined += int((answers.class_index < 0).sum())
            if writer is None:
                raise InputError(f"{light_curves} holds no rows; nothing was written")
            writer.close()
            new.replace(out)
        finally:
            new.unlink(missing_ok=True)
    for reason, count in sorted(dropped.items(), key=lambda item: -item[1]):
        console.print(f"epochs left out: {count:,} × {reason}", highlight=False)
    console.print(f"{n:,} light curves written to {out}, {undetermined:,} of them undetermined")
