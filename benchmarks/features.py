"""Features: CPU time per object by group, against the light-curve package on the same curves, and memory.

`python -m benchmarks.features N` measures memory over N objects with 30 epochs each. Speed is measured on the light
curves of ALERCE_REAL_DATA's features/reference_200 (217 epochs on average) where that is there, else on simulated ones.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import light_curve as lc
import numpy as np
import pyarrow as pa

from alerce_dagster.lightcurves.features import Batch, by_group, compute, from_magnitudes, from_reference_folder, views

REPEATS = 5
ALERCE_MS = 633  # per object and core of ALeRCE's production code on reference_200, with building and preprocessing


def simulated(n: int, epochs: int, seed: int = 0) -> Batch:
    """n variable stars with `epochs` measurements in g and in r each, over three years."""
    rng = np.random.default_rng(seed)
    t = np.sort(58300 + rng.uniform(0, 1000, (n, 2 * epochs)), axis=1)
    period = 10 ** rng.uniform(-1, 2, (n, 1))
    mag = 17 + 0.3 * np.sin(2 * np.pi * t / period) + rng.normal(0, 0.03, t.shape)
    rows = {
        "oid": [str(k) for k in range(n)],
        "band": [["g", "r"] * epochs] * n,
        "mjd": list(t),
        "mag": list(mag),
        "magerr": list(np.full(t.shape, 0.03)),
    }
    return from_magnitudes(pa.table(rows))


def speed() -> dict[str, float]:
    """Milliseconds of CPU per object: of every group, of light-curve's extractors and periodogram, and ratios."""
    folder = Path(os.environ.get("ALERCE_REAL_DATA", "../shared/data")) / "features" / "reference_200"
    load = (lambda: from_reference_folder(folder)) if folder.is_dir() else (lambda: simulated(100, 60))
    batch = load()
    list(by_group(batch))  # compile
    best: dict[str, float] = {}

    def keep(name: str, since: float) -> float:
        now = time.process_time()
        best[name] = min(best.get(name, np.inf), (now - since) / len(batch) * 1e3)
        return time.process_time()

    for _ in range(REPEATS):
        start = last = time.process_time()
        batch = load()
        last = keep("reading and preprocessing", last)
        for group, _ in by_group(batch):
            last = keep(group.title, last)
        keep("all 209, from the files", start)
        start = time.process_time()
        theirs = _light_curve(batch)
        best["light-curve: 21 extractors"] = min(best.get("light-curve: 21 extractors", np.inf), theirs[0])
        best["light-curve: periodogram"] = min(best.get("light-curve: periodogram", np.inf), theirs[1])
    found = {f"features: {name} ms/object": round(value, 3) for name, value in best.items()}
    found["features: statistics, ours over light-curve"] = round(
        best["Statistics"] / best["light-curve: 21 extractors"], 2
    )
    found["features: period, light-curve over ours"] = round(best["light-curve: periodogram"] / best["Period"], 2)
    if folder.is_dir():
        found["features: ALeRCE's 633 ms over ours"] = round(ALERCE_MS / best["all 209, from the files"], 1)
    return found


def _light_curve(batch: Batch) -> tuple[float, float]:
    """Milliseconds per object of light-curve's extractors (each band) and of its fast multi-band periodogram."""
    extractors = lc.Extractor(
        *(lc.Amplitude(), lc.AndersonDarlingNormal(), lc.BeyondNStd(1.0), lc.EtaE(), lc.Eta(), lc.ExcessVariance()),
        *(lc.InterPercentileRange(0.25), lc.Kurtosis(), lc.LinearTrend(), lc.MaximumSlope(), lc.Mean()),
        *(lc.MeanVariance(), lc.Median(), lc.MedianAbsoluteDeviation(), lc.MedianBufferRangePercentage(0.1)),
        *(lc.PercentAmplitude(), lc.Skew(), lc.StandardDeviation(), lc.StetsonK(), lc.Chi2Pvar(), lc.Cusum()),
    )
    curves = views(batch)
    start = time.process_time()
    starts, t, y, e = curves.mag
    for k in range(2 * len(batch)):
        a, b = starts[k], starts[k + 1]
        if b - a > 5:
            extractors(t[a:b], y[a:b], e[a:b], check=False)
    middle = time.process_time()
    starts, t, y, e = curves.mag_forced
    for k in range(2 * len(batch)):
        a, b = starts[k], starts[k + 1]
        if b - a > 15:
            n = 2 ** int(np.ceil(np.log2((t[b - 1] - t[a]) * 5 / 0.045))) + 1  # its fast way wants a power of two
            frequencies = 2 * np.pi * np.linspace(0, 1 / 0.045, n)
            lc.Periodogram(peaks=1, freqs=frequencies, fast=True, normalization="psd")(t[a:b], y[a:b])
    end = time.process_time()
    return (middle - start) / len(batch) * 1e3, (end - middle) / len(batch) * 1e3


def memory(n: int) -> dict[str, float]:
    """Peak memory after a tenth of n objects and after all of them, in MB."""
    size = 1000
    peaks = []
    for k in range(max(n // size, 10)):
        compute(simulated(size, 15, seed=k))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {
        "features: objects in the long run": len(peaks) * size,
        "features: peak MB after a tenth of them": round(peaks[len(peaks) // 10 - 1]),
        "features: peak MB after all of them": round(peaks[-1]),
    }


if __name__ == "__main__":
    print(json.dumps(speed() | memory(int(sys.argv[1]))))
