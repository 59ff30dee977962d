"""The three cutouts of ZTF packets."""

from collections.abc import Sequence

import numpy as np

from alerce_dagster.surveys.cutouts import Cutouts, read_images
from alerce_dagster.surveys.packets import Packet, decode_record
from alerce_dagster.surveys.ztf.values import decoded, measured

_STAMPS = ("cutoutScience.stampData", "cutoutTemplate.stampData", "cutoutDifference.stampData")


def read_cutouts(packets: Sequence[Packet], threads: int = 1) -> Cutouts:
    """The cutouts of every packet, row for row; a packet that cannot be read has none, and a reason."""
    stamps: list[tuple[bytes | None, ...]] = [(None, None, None)] * len(packets)
    x, y = np.full(len(packets), np.nan), np.full(len(packets), np.nan)
    problems: list[tuple[int, str]] = []
    paths = ("candidate.xpos", "candidate.ypos", *_STAMPS)
    for _, where, batch in decoded(packets, lambda schema: paths, {}, problems):
        problems.extend((int(where[row]), reason) for row, reason in batch.problems())
        x[where] = measured(batch.root["candidate.xpos"].floats())
        y[where] = measured(batch.root["candidate.ypos"].floats())
        spans = [batch.root[name].spans() for name in _STAMPS]
        first = [(offsets - batch.starts[:-1]).tolist() for offsets, _ in spans]
        sizes = [lengths.tolist() for _, lengths in spans]
        for row, index in enumerate(where.tolist()):
            body = packets[index].body
            stamps[index] = tuple(
                body[first[j][row] : first[j][row] + sizes[j][row]] if sizes[j][row] > 0 else None for j in range(3)
            )
    out = read_images(stamps, x, y, threads)
    out.reasons[:] = sorted(problems + out.reasons)
    return out


def cutout_files(packet: Packet) -> tuple[bytes | None, bytes | None, bytes | None]:
    """The science, template and difference cutout of a packet, each a gzipped FITS file as it came; None where
    absent.
    """
    record = decode_record(packet)
    science, template, difference = (
        (record.get(name.partition(".")[0]) or {}).get("stampData") or None for name in _STAMPS
    )
    return science, template, difference
