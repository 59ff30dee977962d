"""`alerce-dagster features`: variability features of anyone's light curves, without a database."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alerce_dagster.errors import InputError, store_errors


def features(
    folder: Annotated[
        Path, typer.Argument(help="Folder with detections, forced, non_detections, objects (.parquet or .csv).")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write: oid and 209 columns NAME_band.")],
    threads: Annotated[int, typer.Option(help="Threads that work at once.", min=1)] = os.cpu_count() or 1,
) -> None:
    """Variability features of a folder of light curves, written to a Parquet file.

    One row per object; a feature that an object has not enough measurements for is null. docs/features.md says what
    each of them is. [dim]forced[/] and [dim]non_detections[/] may be missing.

    [bold]Example[/]

      alerce-dagster features light_curves/ --out features.parquet
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from alerce_dagster.lightcurves.columns import nullable
    from alerce_dagster.lightcurves.features import FEATURES, compute, from_reference_folder

    if out.is_dir():
        raise InputError(f"{out} is a folder; give --out a file name, for example {out / 'features.parquet'}")
    batch = from_reference_folder(folder)
    values = compute(batch, threads)
    columns = {"oid": pa.array(batch.oids.tolist(), pa.string())}
    columns |= {name: nullable(values[:, k]) for k, name in enumerate(FEATURES)}
    with store_errors(str(out)):
        pq.write_table(pa.table(columns), out)
    Console(stderr=True, soft_wrap=True).print(f"{len(batch):,} objects written to {out}", highlight=False)
