"""The usual way to read a packet, as the yardstick: fastavro to dicts, gzip and astropy.io.fits for the cutouts."""

import gzip
import io
import json
import sys
import time

import fastavro
from astropy.io import fits

from alerce_dagster.surveys import get_survey
from benchmarks.packets import copies, templates


def usual(container: bytes) -> list:
    """One packet's cutouts as arrays."""
    record = next(fastavro.reader(io.BytesIO(container)))
    images = []
    for kind in ("Science", "Template", "Difference"):
        with fits.open(io.BytesIO(gzip.decompress(record[f"cutout{kind}"]["stampData"]))) as hdus:
            images.append(hdus[0].data)
    return images


def run(n: int) -> dict:
    """Packets/s of the usual way and of this project's reader on the same packets, in turns, one thread each."""
    _, sources = templates(100)
    survey = get_survey("ztf")
    items = list(copies(sources, n))
    survey.cutouts([item.packet for item in items[:10] if item.packet])
    best = {"usual": 0.0, "ours": 0.0}
    for _ in range(3):
        start = time.process_time()
        for item in items:
            usual(item.data)
        best["usual"] = max(best["usual"], n / (time.process_time() - start))
        start = time.process_time()
        for part in range(0, n, 128):
            packets = [item.packet for item in items[part : part + 128] if item.packet]
            survey.alerts(packets)
            survey.cutouts(packets)
        best["ours"] = max(best["ours"], n / (time.process_time() - start))
    return {
        "decode_and_cutouts_usual_per_s": round(best["usual"], 1),
        "decode_and_cutouts_ours_per_s": round(best["ours"], 1),
        "decode_and_cutouts_ratio": round(best["ours"] / best["usual"], 2),
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
