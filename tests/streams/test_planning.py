"""What is read next: pure functions over offsets, for any broker and any ledger."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.errors import InputError
from alerce_dagster.sensors.stream import Asked, back_off, decide
from alerce_dagster.streams.spans import Span, share, without
from alerce_dagster.streams.topics import LEAST, TopicPattern, made_anew, plan, read_patterns, run_limit

TODAY = date(2020, 1, 17)
DAILY = read_patterns("ztf_%Y%m%d_programid1")
OLD, NEW = "ztf_20200115_programid1", "ztf_20200116_programid1"


def offsets_of(spans) -> set[tuple[str, int, int]]:
    return {(s.topic, s.partition, offset) for s in spans for offset in range(s.start, s.end)}


spans_of_a_partition = st.lists(st.integers(0, 60), min_size=2, max_size=8, unique=True).map(
    lambda ends: [Span("t", 0, a, b) for a, b in zip(sorted(ends)[::2], sorted(ends)[1::2], strict=False)]
)


@given(st.integers(0, 60), st.integers(0, 60), spans_of_a_partition)
def test_what_is_left_is_the_difference_of_sets(start: int, end: int, done: list[Span]) -> None:
    span = Span("t", 0, start, end)
    left = without(span, done)
    assert offsets_of(left) == offsets_of([span]) - offsets_of(done)
    assert all(a.end < b.start for a, b in pairwise(left))
    assert without(span, [Span("other", 0, 0, 100), Span("t", 1, 0, 100)]) == ([span] if len(span) else [])


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 120))
def test_a_share_is_full_and_even(waiting: list[int], limit: int) -> None:
    spans = [Span("t", partition, 10, 10 + n) for partition, n in enumerate(waiting)]
    taken = share(spans, limit)
    assert sum(map(len, taken)) == min(limit, sum(waiting))
    given_ = {s.partition: len(s) for s in taken}
    short = [given_.get(p, 0) for p, n in enumerate(waiting) if given_.get(p, 0) < n]
    # Who did not get all got at least as much as anybody, but for one message of rounding.
    assert all(n >= max(given_.values(), default=0) - 1 for n in short)


def test_a_run_is_asked_for_so_many_alerts_or_so_many_seconds_of_work() -> None:
    assert run_limit(20_000, 600, None) == 20_000
    assert run_limit(20_000, 60, 250.0) == 15_000
    assert run_limit(20_000, 600, 250.0) == 20_000
    assert run_limit(20_000, 60, 0.5) == LEAST
    assert run_limit(200, 60, 0.5) == 200


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from([OLD, NEW, "ztf_20191231_programid1"]), st.integers(0, 2)),
        st.tuples(st.integers(0, 5), st.integers(0, 30)),
        max_size=6,
    ),
    st.integers(1, 25),
    st.randoms(use_true_random=False),
)
def test_every_offset_is_asked_for_once_and_in_order(ends, limit, chance) -> None:
    """Days off, several nights, runs that fail and leave holes: in the end each offset was read exactly once."""
    available = [Span(topic, partition, low, low + n) for (topic, partition), (low, n) in ends.items()]
    recorded: list[Span] = []
    nights = []
    for _ in range(2_000):
        wanted = plan(DAILY, available, recorded, TODAY, limit)
        if wanted is None:
            break
        assert 0 < wanted.n_messages <= limit
        assert not offsets_of(wanted.spans) & offsets_of(recorded)
        done = [span for span in wanted.spans if chance.random() < 0.6]  # the others' transaction was undone
        nights += [wanted.night] if offsets_of(done) else []
        recorded += done
    else:
        pytest.fail("it never ends")
    assert offsets_of(recorded) == offsets_of(available)
    assert nights == sorted(nights)


def test_quiet_partitions_of_the_night_are_named_too() -> None:
    """A run that reads on must hear them."""
    wanted = plan(DAILY, [Span(NEW, 0, 0, 5), Span(NEW, 1, 0, 0), Span(OLD, 0, 0, 7)], [Span(OLD, 0, 0, 7)], TODAY, 99)
    assert wanted is not None
    assert (wanted.night, wanted.spans) == (date(2020, 1, 16), (Span(NEW, 0, 0, 5), Span(NEW, 1, 0, 0)))


def test_what_the_broker_forgot_is_asked_for() -> None:
    """Between what was read and what there still is: the run books it as lost."""
    wanted = plan(DAILY, [Span(NEW, 0, 50, 60)], [Span(NEW, 0, 0, 20)], TODAY, 99)
    assert wanted is not None
    assert wanted.spans == (Span(NEW, 0, 20, 60),)
    first = plan(DAILY, [Span(NEW, 0, 50, 60)], [], TODAY, 99)
    assert first is not None
    assert first.spans == (Span(NEW, 0, 50, 60),)


def test_single_topics_belong_to_today() -> None:
    wanted = plan(read_patterns("lsst-alerts"), [Span("lsst-alerts", 0, 0, 3), Span("other", 0, 0, 9)], [], TODAY, 99)
    assert wanted is not None
    assert (wanted.night, wanted.spans) == (TODAY, (Span("lsst-alerts", 0, 0, 3),))


@pytest.mark.parametrize(
    ("pattern", "topic", "night"),
    [
        ("ztf_%Y%m%d_programid1", "ztf_20180819_programid1", date(2018, 8, 19)),
        ("ztf_%Y%m%d_programid*", "ztf_20180819_programid3", date(2018, 8, 19)),
        ("ztf_%Y%m%d_programid1", "ztf_20189999_programid1", None),
        ("alerts.v1", "alerts.v1", None),
    ],
)
def test_nights_in_topic_names(pattern: str, topic: str, night: date | None) -> None:
    assert TopicPattern(pattern).matches(topic)
    assert TopicPattern(pattern).night(topic) == night


def test_names_that_do_not_fit() -> None:
    assert not TopicPattern("ztf_%Y%m%d_programid1").matches("ztf_20180819_programid12")
    assert not TopicPattern("alerts.v1").matches("alertsxv1")
    with pytest.raises(InputError, match="once each"):
        read_patterns("ztf_%y%m%d")


def test_a_topic_made_anew_is_noticed() -> None:
    assert made_anew([Span("t", 0, 0, 5), Span("t", 1, 0, 9)], [Span("t", 0, 0, 7), Span("t", 1, 0, 9)]) == ["t[0]"]


def test_failures_are_waited_out_longer_and_longer() -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC)
    assert back_off([], None, now) == 0
    assert back_off([True, False], now, now) == 0
    assert back_off([False, True], now, now) == 10
    assert back_off([False] * 3, now - timedelta(seconds=15), now) == 25
    assert back_off([False] * 8, now, now) == 600
    assert back_off([False], now - timedelta(seconds=11), now) == 0


def test_a_night_left_behind_is_finished_beside_the_stream() -> None:
    night, other, third = date(2020, 1, 15), date(2020, 1, 13), date(2020, 1, 14)
    wanted = (night, (Span(OLD, 0, 0, 5),))
    assert decide(wanted, [other, third, night]) == [Asked(*wanted), Asked(other)]
    assert decide(wanted, [night]) == [Asked(*wanted)]
    assert decide(None, [other]) == [Asked(other)]
    assert decide(None, []) == []
