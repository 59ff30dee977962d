"""The stream of candidates: every batch once, and on from where a listener stopped."""

import json

import requests
import sqlalchemy as sa

from alerce_dagster.storage import Stores, tables


def events(url: str, n: int, **request) -> list[tuple[int, dict]]:
    """The first n events of a stream, which stays open behind them."""
    found, number = [], 0
    with requests.get(f"{url}/api/v1/stream/candidates", stream=True, timeout=30, **request) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines(chunk_size=1):
            if line.startswith(b"id: "):
                number = int(line[4:])
            if line.startswith(b"data: "):
                found.append((number, json.loads(line[6:])))
                if len(found) == n:
                    return found
    raise AssertionError("the stream ended")


def test_each_batch_once_and_on_from_there(served_web: str, written: Stores) -> None:
    ledger, answer = tables.ledger.c, tables.classification.c
    with written.database.reading() as connection:
        entries = connection.scalars(
            sa.select(ledger.entry).where(ledger.stage == "classifications").order_by(ledger.entry)
        ).all()
        supernovae = sa.select(answer.candid).where(answer.classifier == "stamp_classifier", answer.class_name == "SN")
        expected = set(connection.scalars(supernovae))
    assert len(entries) > 1
    all_of_them = events(served_web, len(entries), params={"after": 0})
    assert [number for number, _ in all_of_them] == list(entries)
    told = [int(alert["candid"]) for _, batch in all_of_them for alert in batch["alerts"]]
    assert len(told) == len(set(told))
    assert set(told) == expected
    rest = events(served_web, len(entries) - 1, headers={"Last-Event-ID": str(entries[0])})
    assert rest == all_of_them[1:]
    sure = events(served_web, 1, params={"after": 0, "min_probability": 1})[0][1]
    assert all(alert["probability"] >= 1 for alert in sure["alerts"])


def test_a_stream_that_makes_no_sense_is_refused(served_web: str) -> None:
    for parameters in ({"after": "x"}, {"min_probability": "nan"}, {"after": -1}):
        answer = requests.get(f"{served_web}/api/v1/stream/candidates", params=parameters, timeout=30)
        assert answer.status_code == 400
        assert answer.json()["detail"]
