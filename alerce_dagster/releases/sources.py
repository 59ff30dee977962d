"""Which light curves are of one source: a data release numbers them anew in every field, channel and filter."""

import numpy as np

from alerce_dagster.catalogs.pairs import SortedPositions

RADIUS = 1.5
"""arcsec within which light curves of different channels are one source's."""


def source_ids(
    objectid: np.ndarray, ra: np.ndarray, dec: np.ndarray, channel: np.ndarray, n_epochs: np.ndarray
) -> np.ndarray:
    """The source of each light curve, (n,) int64: the objectid of its light curve with the most epochs.

    channel : (n,) integers; two light curves of one channel are two sources, whatever lies between them
    n_epochs : (n,) by which the light curves take their turn in gathering the nearest ones of other channels
    """
    out = objectid.copy()
    if len(np.unique(channel)) < 2:
        return out
    query, found, separation = SortedPositions(ra, dec).within(ra, dec, RADIUS)
    other = channel[query] != channel[found]
    query, found, separation = query[other], found[other], separation[other]
    turn = np.empty(len(objectid), np.int64)
    turn[np.lexsort((objectid, -n_epochs))] = np.arange(len(objectid))
    taken = np.zeros(len(objectid), bool)
    has: dict[int, set[int]] = {}
    for k in np.lexsort((separation, turn[query])).tolist():
        seed, member = int(query[k]), int(found[k])
        if seed not in has:
            if taken[seed]:
                continue
            has[seed] = {int(channel[seed])}
            taken[seed] = True
        if taken[member] or int(channel[member]) in has[seed]:
            continue
        taken[member] = True
        has[seed].add(int(channel[member]))
        out[member] = objectid[seed]
    return out
