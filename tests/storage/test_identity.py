"""Broker objects in the database: whatever the order of changes, they are those of all members together."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from alerce_dagster.catalogs.identity import broker_ids
from alerce_dagster.catalogs.schemas import MEMBERS
from alerce_dagster.errors import InputError
from alerce_dagster.storage import Stores, identity, tables
from alerce_dagster.storage.database import REPLACE


def rows(*given: tuple) -> pa.Table:
    """Rows of survey, oid, right ascension, declination, first detection."""
    names = ("survey", "oid", "ra", "dec", "first_mjd", "last_mjd")
    return pa.Table.from_pylist([dict(zip(names, (*g, g[-1] + 5), strict=True)) for g in given], schema=MEMBERS)


def update(stores: Stores, present: pa.Table, gone: tuple = ()) -> dict:
    with stores.database.writing() as connection:
        return identity.update(stores.database, connection, present, gone, "run")


def stored(stores: Stores) -> tuple[dict, list]:
    """Broker object by member, and the rows of broker_object."""
    member, broker = tables.broker_member, tables.broker_object
    with stores.database.reading() as connection:
        members = connection.execute(sa.select(member.c.survey, member.c.oid, member.c.broker_id)).all()
        objects = connection.execute(sa.select(broker).order_by(broker.c.broker_id)).all()
    return {(m.survey, m.oid): m.broker_id for m in members}, [tuple(o) for o in objects]


def crowd(n: int, seed: int) -> list[tuple]:
    """Objects of three surveys in clumps of a few arcseconds: at the pole, at RA 0, at a corner of HEALPix cells."""
    rng = np.random.default_rng(seed)
    centres = [(77.0, 89.9999), (0.0002, 0.0), (45.0, 41.810314895778596), (200.0, -30.0)]
    made = []
    for i in range(n):
        ra, dec = centres[i % len(centres)]
        east, north = rng.uniform(-4, 4, 2) / 3600
        made.append(
            (str(rng.choice(["ztf", "lsst", "atlas"])), f"o{i}", (ra + east / np.cos(np.radians(dec))) % 360,
             min(dec + north, 90.0), float(rng.integers(60_000, 60_010)))
        )  # fmt: skip
    return made


def test_any_order_and_batching_ends_the_same(stores: Stores) -> None:
    """Objects come, move and go in any order; the end is what all members together give, to the last digit."""
    random_ = random.Random(3)
    final = crowd(48, 1)
    drifted = [(s, o, (ra + 0.0004) % 360, dec, f + 3) for s, o, ra, dec, f in final[:20]]
    passing = crowd(60, 2)[48:]
    ends = []
    for attempt in range(3):
        steps = [(s, "come") for s in final[20:]] + [(s, "go") for s in passing]
        random_.shuffle(steps)
        if attempt:
            update(stores, rows(*drifted, *passing))
        while steps:
            batch, steps = steps[: 1 + attempt * 7], steps[1 + attempt * 7 :]
            come = [s for s, what in batch if what == "come"]
            update(stores, rows(*come), [(s[0], s[1]) for s, what in batch if what == "go"])
        update(stores, rows(*final[:20]))
        ends.append(stored(stores))
        with stores.database.writing() as connection:
            for table in (tables.broker_member, tables.broker_object):
                connection.execute(table.delete())
    expected = dict(zip([(f[0], f[1]) for f in final], broker_ids(rows(*final)), strict=True))
    assert ends[0][0] == ends[1][0] == ends[2][0] == expected
    assert ends[0][1] == ends[1][1] == ends[2][1]
    assert len(set(expected.values())) < len(expected)


def test_every_cell_that_a_circle_touches_is_asked() -> None:
    """Points within the radius of a position lie in one of its cells, anywhere on the sky."""
    rng = np.random.default_rng(5)
    n = 20_000
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    dec[:200] = 90 - rng.exponential(0.001, 200)
    ra = rng.uniform(0, 360, n)
    r = np.radians(identity.LARGEST_RADIUS / 3600) * np.sqrt(rng.random(n))
    theta, d = rng.uniform(0, 2 * np.pi, n), np.radians(dec)
    dec2 = np.arcsin(np.sin(d) * np.cos(r) + np.cos(d) * np.sin(r) * np.cos(theta))
    ra2 = ra + np.degrees(np.arctan2(np.sin(theta) * np.sin(r) * np.cos(d), np.cos(r) - np.sin(d) * np.sin(dec2)))
    shift = 2 * (identity.HEALPIX_ORDER - identity.CELL_ORDER)
    there = identity.healpix_cells(ra2 % 360, np.degrees(dec2)) >> shift
    own = identity.healpix_cells(ra, dec) >> shift
    crossing = np.flatnonzero(there != own)
    assert crossing.size > 500
    for i in crossing[:500]:
        assert there[i] in identity.cells_near(ra[i : i + 1], dec[i : i + 1])


def test_merges_and_splits_are_recorded(stores: Stores) -> None:
    assert update(stores, rows(("ztf", "z", 10.0, 5.0, 2.0))) == {}
    assert update(stores, rows(("lsst", "q", 10.0, 5.0010, 1.0))) == {}
    assert update(stores, rows(("lsst", "q", 10.0, 5.0002, 1.0))) == {"merge": 1}
    assert update(stores, rows(("atlas", "a", 10.0, 5.0001, 3.0))) == {"join": 1}
    with stores.database.reading() as connection:
        [broker] = connection.execute(sa.select(tables.broker_object)).mappings().all()
        assert (broker["broker_id"], broker["n_members"], broker["surveys"]) == ("lsst:q", 3, "atlas,lsst,ztf")
        assert (broker["first_mjd"], broker["last_mjd"]) == (1.0, 8.0)
        assert broker["dec"] == pytest.approx(5.0001)
        # any name it ever had, and any member's, finds it
        assert {identity.resolve(connection, name) for name in ("ztf:z", "lsst:q", "atlas:a")} == {"lsst:q"}
        with pytest.raises(InputError, match="is or was called 'ztf:nobody'"):
            identity.resolve(connection, "ztf:nobody")
    assert update(stores, rows(("lsst", "q", 10.0, 5.01, 1.0))) == {"split": 2}
    assert update(stores, rows(), [("ztf", "z")]) == {"leave": 1, "rename": 1}
    with stores.database.reading() as connection:
        told = [(e["kind"], e["broker_id"], e["previous"]) for e in identity.events(connection, "atlas:a")]
        assert identity.members_of(connection, "atlas:a") == [("atlas", "a")]
    assert told == [
        ("merge", "lsst:q", ["lsst:q", "ztf:z"]),
        ("join", "lsst:q", ["lsst:q"]),
        ("split", "lsst:q", ["lsst:q"]),
        ("split", "ztf:z", ["lsst:q"]),
        ("rename", "atlas:a", ["ztf:z"]),
        ("leave", "ztf:z", ["ztf:z"]),
    ]


def test_a_repeated_update_changes_nothing(stores: Stores) -> None:
    made = crowd(12, 7)
    update(stores, rows(*made))
    before = stored(stores)
    assert update(stores, rows(*made)) == {}
    assert stored(stores) == before


def test_concurrent_nights_agree(stores: Stores) -> None:
    """Several writers at once, each with its own part of the same clumps."""
    made = crowd(40, 9)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: update(stores, rows(*made[k::8])), range(8)))
    assert stored(stores)[0] == dict(zip([(m[0], m[1]) for m in made], broker_ids(rows(*made)), strict=True))


def test_a_joint_light_curve(stores: Stores) -> None:
    """Rows of all surveys in one time scale: LSST counts in TAI, 37 s ahead of UTC."""
    update(stores, rows(("ztf", "z", 10.0, 5.0, 1.0), ("lsst", "q", 10.0, 5.0001, 2.0)))
    detections = pa.table(
        {
            "survey": ["ztf", "ztf", "lsst"],
            "oid": ["z", "z", "q"],
            "candid": [1, 2, 2**62],
            "mjd": [60_000.0, 60_002.0, 60_000.0 + 20 / 86_400],
            "band": ["g", "r", "g"],
            "mag": [18.0, 18.1, 18.2],
            "has_stamp": [True] * 3,
        }
    )
    forced = pa.table({"survey": ["lsst"], "oid": ["q"], "image_id": [7], "mjd": [60_001.0], "flux": [-3.5]})
    with stores.database.writing() as connection:
        stores.database.write(connection, tables.detection, detections, REPLACE)
        stores.database.write(connection, tables.forced_photometry, forced, REPLACE)
    with stores.database.reading() as connection:
        curve = identity.joint_light_curve(connection, "ztf:z")
        assert curve == identity.joint_light_curve(connection, "lsst:q")
    assert [(row["survey"], row["candid"]) for row in curve["detection"]] == [("lsst", 2**62), ("ztf", 1), ("ztf", 2)]
    assert curve["detection"][0]["mjd_utc"] == pytest.approx(60_000.0 - 17 / 86_400, abs=1e-9)
    assert curve["forced_photometry"][0]["flux"] == -3.5
    assert curve["non_detection"] == []
