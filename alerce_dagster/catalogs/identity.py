"""One thing on the sky, many surveys: which survey objects are the same broker object.

The answer is a function of the objects alone. Pairs of objects of different surveys that lie within the radius of
their surveys are joined, closest first, as long as every two members of the joined object lie within their radius and
no survey is in it twice: a survey that tells two objects apart is believed. Ties go to the smaller identifiers.

A broker object is called after its first-seen member, `survey:oid`. So it keeps its name while surveys add members,
and any name that ever was can be found again: it is that of a member.
"""

import numpy as np
import pyarrow as pa

from alerce_dagster.catalogs.pairs import SortedPositions

DEFAULT_RADIUS = 1.5  # arcsec
# ATLAS has pixels of 1.86 arcsec: its positions are twice as uncertain.
RADII = {frozenset(("atlas", "ztf")): 2.0, frozenset(("atlas", "lsst")): 2.0}
LARGEST_RADIUS = max(DEFAULT_RADIUS, *RADII.values())


def pair_radius(one: str, other: str) -> float:
    """Radius in arcsec within which objects of two surveys are one."""
    return RADII.get(frozenset((one, other)), DEFAULT_RADIUS)


def broker_ids(members: pa.Table) -> list[str]:
    """The broker object of each member (schema MEMBERS), in order; does not depend on that order."""
    surveys, oids = members["survey"].to_pylist(), members["oid"].to_pylist()
    keys = list(zip(surveys, oids, strict=True))
    groups = {i: [i] for i in range(len(keys))}  # by their first member
    group_of = list(range(len(keys)))
    pairs = _pairs(members, surveys)
    close = {(i, j) for _, _, _, i, j in pairs}
    for *_, i, j in pairs:
        mine, other = group_of[i], group_of[j]
        if mine == other:
            continue
        if all((min(a, b), max(a, b)) in close for a in groups[mine] for b in groups[other]):
            groups[mine] += groups.pop(other)
            for member in groups[mine]:
                group_of[member] = mine
    first = np.nan_to_num(members["first_mjd"].to_numpy(), nan=np.inf)
    names = {}
    for group, indices in groups.items():
        survey, oid = min((first[i], *keys[i]) for i in indices)[1:]
        names[group] = f"{survey}:{oid}"
    return [names[group] for group in group_of]


def _pairs(members: pa.Table, surveys: list[str]) -> list[tuple[float, tuple, tuple, int, int]]:
    """Pairs i < j of different surveys within their radius, closest first, ties by their keys."""
    ra, dec = members["ra"].to_numpy(), members["dec"].to_numpy()
    oids = members["oid"].to_pylist()
    query, found, separation = SortedPositions(ra, dec).within(ra, dec, LARGEST_RADIUS)
    code = np.unique(surveys, return_inverse=True)[1]
    other = (query < found) & (code[query] != code[found])
    kept = []
    for i, j, sep in zip(query[other].tolist(), found[other].tolist(), separation[other].tolist(), strict=True):
        if sep <= pair_radius(surveys[i], surveys[j]):
            low, high = sorted(((surveys[i], oids[i]), (surveys[j], oids[j])))
            kept.append((sep, low, high, i, j))
    return sorted(kept)


def changes(before: dict[tuple[str, str], str], after: dict[tuple[str, str], str]) -> list[dict]:
    """What happened to broker objects between two answers, each from member (survey, oid) to broker object.

    One dict per event, in the order of their names, with `kind`, the broker object as it is now (`broker_id`), the
    names its members had (`previous`) and those members (`members`), both sorted:

    * merge: members of several broker objects are one now;
    * split: members of one broker object are in several now; one event for each part;
    * join: an object that had none was added to others that had;
    * leave: a member is in no broker object any more (it moves); under its former one;
    * rename: the same members, but for those that joined or left, called after another one of them.

    A new object on its own is no event.
    """
    now, was = _grouped(after), _grouped(before)
    events = []
    for name in sorted(now):
        members = now[name]
        previous = sorted({before[m] for m in members if m in before})
        known = [m for m in members if m in before]
        said = {"broker_id": name, "previous": previous, "members": [":".join(m) for m in members]}
        if len(previous) > 1:
            events.append({"kind": "merge"} | said)
        if any(len({after.get(m) for m in was[old] if m in after}) > 1 for old in previous):
            events.append({"kind": "split"} | said)
        if known and len(known) < len(members):
            events.append({"kind": "join"} | said)
        if len(previous) == 1 and previous[0] != name and [m for m in was[previous[0]] if m in after] == known:
            events.append({"kind": "rename"} | said)
    for member in sorted(set(before) - set(after)):
        events.append(
            {"kind": "leave", "broker_id": before[member], "previous": [before[member]], "members": [":".join(member)]}
        )
    return events


def _grouped(members: dict[tuple[str, str], str]) -> dict[str, list[tuple[str, str]]]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for member in sorted(members):
        groups.setdefault(members[member], []).append(member)
    return groups
