"""Broker objects: a function of the survey objects alone, whatever the order; every change is told."""

import numpy as np
import pyarrow as pa
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.catalogs.identity import broker_ids, changes, pair_radius
from alerce_dagster.catalogs.pairs import SortedPositions
from alerce_dagster.catalogs.schemas import MEMBERS


def members(*rows: tuple) -> pa.Table:
    """Rows of survey, oid, offset east and north in arcsec from (30, -40), first detection."""
    cos_dec = np.cos(np.radians(-40))
    return pa.Table.from_pylist(
        [
            {"survey": s, "oid": o, "ra": 30 + e / 3600 / cos_dec, "dec": -40 + n / 3600, "first_mjd": f, "last_mjd": f}
            for s, o, e, n, f in rows
        ],
        schema=MEMBERS,
    )


def test_surveys_are_joined_within_their_radius() -> None:
    made = members(
        ("ztf", "a", 0, 0, 5.0), ("lsst", "b", 1.4, 0, 3.0), ("ztf", "c", 20, 0, 1.0), ("lsst", "d", 21.6, 0, 1.0),
        ("atlas", "e", 40, 0, 2.0), ("ztf", "f", 41.9, 0, 1.0),
    )  # fmt: skip
    assert broker_ids(made) == ["lsst:b", "lsst:b", "ztf:c", "lsst:d", "ztf:f", "ztf:f"]


def test_two_objects_of_one_survey_are_never_one() -> None:
    """The nearer one is joined, the other stays on its own."""
    made = members(("ztf", "far", 1.2, 0, 1.0), ("ztf", "near", -0.5, 0, 2.0), ("lsst", "x", 0, 0, 3.0))
    assert broker_ids(made) == ["ztf:far", "ztf:near", "ztf:near"]


def test_chains_do_not_grow() -> None:
    """ZTF and LSST are too far apart, though each is within the radius of ATLAS: the nearer pair is joined."""
    made = members(("ztf", "z", -1.0, 0, 1.0), ("atlas", "a", 0, 0, 2.0), ("lsst", "l", 1.2, 0, 3.0))
    assert broker_ids(made) == ["ztf:z", "ztf:z", "lsst:l"]


OBJECTS = st.lists(
    st.tuples(
        st.sampled_from(["ztf", "lsst", "atlas"]), st.integers(-12, 12), st.integers(-4, 4), st.integers(0, 5)
    ),
    min_size=1,
    max_size=14,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(objects=OBJECTS, data=st.data())
def test_any_order_gives_the_same(objects: list[tuple], data: st.DataObject) -> None:
    """On a grid of a third of an arcsecond, full of ties; and the promises about members hold."""
    rows = [(s, f"o{i}", e / 3, n / 3, float(first)) for i, (s, e, n, first) in enumerate(objects)]
    answer = dict(zip([(s, o) for s, o, *_ in rows], broker_ids(members(*rows)), strict=True))
    shuffled = data.draw(st.permutations(rows))
    again = dict(zip([(s, o) for s, o, *_ in shuffled], broker_ids(members(*shuffled)), strict=True))
    assert answer == again
    places = {(s, o): (e, n) for s, o, e, n, _ in rows}
    for one, name in answer.items():
        for other, other_name in answer.items():
            if one < other and name == other_name:
                assert one[0] != other[0]
                gap = np.hypot(*np.subtract(places[one], places[other]))
                assert gap <= pair_radius(one[0], other[0]) + 1e-3


def test_a_closest_pair_is_always_joined() -> None:
    """Of each cluster at least the closest pair within its radius is one object: nothing is lost to the constraints."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        rows = [
            (str(s), f"o{i}", *xy, 1.0)
            for i, (s, xy) in enumerate(
                zip(rng.choice(["ztf", "lsst", "atlas"], 6), rng.uniform(0, 3, (6, 2)), strict=True)
            )
        ]
        answer = broker_ids(members(*rows))
        pairs = [
            (np.hypot(a[2] - b[2], a[3] - b[3]), i, j)
            for i, a in enumerate(rows)
            for j, b in enumerate(rows)
            if i < j and a[0] != b[0] and np.hypot(a[2] - b[2], a[3] - b[3]) < pair_radius(a[0], b[0]) - 1e-3
        ]
        if pairs:
            _, i, j = min(pairs)
            assert answer[i] == answer[j]


def test_every_kind_of_change_is_told() -> None:
    def kinds(before: dict, after: dict) -> list[tuple]:
        return [(e["kind"], e["broker_id"], e["previous"]) for e in changes(before, after)]

    z, a, q = ("ztf", "z"), ("atlas", "a"), ("lsst", "q")
    assert kinds({}, {z: "ztf:z"}) == []
    assert kinds({z: "ztf:z"}, {z: "ztf:z"}) == []
    assert kinds({z: "ztf:z"}, {z: "ztf:z", a: "ztf:z"}) == [("join", "ztf:z", ["ztf:z"])]
    assert kinds({z: "ztf:z", a: "atlas:a"}, {z: "ztf:z", a: "ztf:z"}) == [("merge", "ztf:z", ["atlas:a", "ztf:z"])]
    assert kinds({z: "ztf:z", a: "ztf:z"}, {z: "ztf:z", a: "atlas:a"}) == [
        ("split", "atlas:a", ["ztf:z"]),
        ("split", "ztf:z", ["ztf:z"]),
    ]
    assert kinds({z: "ztf:z", a: "ztf:z"}, {z: "atlas:a", a: "atlas:a"}) == [("rename", "atlas:a", ["ztf:z"])]
    gone = kinds({z: "ztf:z", a: "ztf:z"}, {a: "atlas:a"})
    assert gone == [("rename", "atlas:a", ["ztf:z"]), ("leave", "ztf:z", ["ztf:z"])]
    moved = kinds({z: "ztf:z", a: "ztf:z", q: "lsst:q"}, {z: "ztf:z", a: "atlas:a", q: "atlas:a"})
    assert [kind for kind, *_ in moved] == ["merge", "split", "split"]


def test_pairs_equal_brute_force() -> None:
    """Poles, RA 0, zone borders, duplicates and positions on the radius itself, against astropy's separations."""
    rng = np.random.default_rng(4)
    ra = np.concatenate([rng.uniform(0, 360, 300), rng.uniform(-0.002, 0.002, 300) % 360, rng.uniform(0, 360, 300)])
    dec = np.concatenate(
        [rng.uniform(89.995, 90, 300), rng.uniform(-0.003, 0.003, 300), -90 + rng.exponential(0.002, 300)]
    )
    ra, dec = np.append(ra, ra[:20]), np.append(dec, dec[:20])
    for radius in (1.5, 7.0):
        query, found, separation = SortedPositions(ra, dec).within(ra, dec, radius)
        sky = SkyCoord(ra, dec, unit="deg")
        exact = sky[:, None].separation(sky[None, :]).to_value(units.arcsec)
        assert {(int(q), int(f)) for q, f in zip(query, found, strict=True)} == set(
            zip(*map(np.ndarray.tolist, np.nonzero(exact <= radius)), strict=True)
        )
        assert np.allclose(separation, exact[query, found], atol=1e-6)
