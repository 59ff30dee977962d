"""Stage stamps: the cutouts of every alert, unpacked, cropped and kept for classification and training.

A stamp row holds the centre of the science, template and difference image; what a cutout lacked is said, not hidden.
"""

import numpy as np
import pyarrow as pa

from alerce_dagster.stages import VERSIONS, Night, batches
from alerce_dagster.storage import ledger
from alerce_dagster.storage.archive import stamp_file
from alerce_dagster.storage.ledger import Batch, Entry
from alerce_dagster.surveys.cutouts import KINDS, Cutouts

STAGE = "stamps"
SIDE = 31
"""Pixels a side of a kept stamp: the central half arcminute at ZTF's 1.01 arcsec a pixel."""

STAMPS = pa.schema(
    [
        ("image", pa.list_(pa.float32(), len(KINDS) * SIDE * SIDE)),
        *[(f"{kind}_height", pa.int16()) for kind in KINDS],
        *[(f"{kind}_width", pa.int16()) for kind in KINDS],
    ]
)
"""One row per alert, in the order of the packet file. image: science, template, difference, each SIDE x SIDE, in the
image's own units, NaN where there is no pixel. Heights and widths are of the cutout as sent, 0 where absent."""


def make_stamps(night: Night) -> Entry:
    """Unpack the cutouts of the night's batches that have none yet."""
    total = night.entry(STAGE)
    todo = batches.pending(night, STAGE, VERSIONS[STAGE])
    n_alerts = sum(batch.n_packets for batch in todo)

    def load(batch: Batch) -> tuple[pa.Table, Entry]:
        entry = night.entry(STAGE, batch_id=batch.batch_id)
        tables = []
        for packets in batches.packets(night, batch):
            cutouts = night.survey.cutouts(packets)
            tables.append(stamp_table(cutouts))
            _account(entry, cutouts)
        return pa.concat_tables(tables), entry

    for batch, (table, entry) in batches.ahead(load, todo):
        night.stores.archive.write(stamp_file(batch.survey, batch.night, batch.batch_id), table, compression="none")
        with night.stores.database.writing() as connection:
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def stamp_table(cutouts: Cutouts) -> pa.Table:
    """Cutouts as rows of `STAMPS`."""
    height, width = cutouts.images.shape[2:]
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    crops = np.ascontiguousarray(cutouts.images[:, :, top : top + SIDE, left : left + SIDE])
    images = pa.FixedSizeListArray.from_arrays(pa.array(crops.reshape(-1)), len(KINDS) * SIDE * SIDE)
    sizes = [pa.array(size[:, k]) for size in (cutouts.height, cutouts.width) for k in range(len(KINDS))]
    return pa.table([images, *sizes], schema=STAMPS)


def read_stamps(night: Night, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """A batch's stamps: images (n, 3, SIDE, SIDE) float32 and present (n, 3) bool."""
    table = night.stores.archive.read(stamp_file(batch.survey, batch.night, batch.batch_id))
    images = table["image"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    present = np.stack([table[f"{kind}_height"].to_numpy() > 0 for kind in KINDS], axis=1)
    return images.reshape(-1, len(KINDS), SIDE, SIDE), present


def _account(entry: Entry, cutouts: Cutouts) -> None:
    """Alerts with all three cutouts are out; with one missing they are aside, with the reason."""
    complete = cutouts.present.all(axis=1)
    entry.n_in += len(cutouts.present)
    entry.n_out += int(complete.sum())
    entry.n_aside = entry.n_in - entry.n_out
    for row in np.flatnonzero(~complete):
        missing = [kind for kind, there in zip(KINDS, cutouts.present[row], strict=True) if not there]
        entry.reasons["no " + ", ".join(missing)] += 1
    full = (cutouts.height == cutouts.images.shape[2]) & (cutouts.width == cutouts.images.shape[3])
    entry.details.update(clipped_at_the_edge=int((cutouts.present & ~full).any(axis=1).sum()))
    entry.details.update(f"unreadable: {reason}" for _, reason in cutouts.reasons)
