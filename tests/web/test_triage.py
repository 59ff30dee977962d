"""Decisions on candidates: who may write, and what is kept."""

import pytest
from fastapi.testclient import TestClient

from alerce_dagster.storage import Stores
from alerce_dagster.web.access import Access
from alerce_dagster.web.app import create_app


@pytest.fixture
def decision(client: TestClient) -> dict:
    item = client.get("/ztf/v1/objects", params={"page_size": 1}).json()["items"][0]
    return {"oid": item["oid"], "verdict": "candidate", "person": "Ada", "classifier": "stamp_classifier"}


def local(access: Access, **kwargs) -> TestClient:
    app = create_app(Access(access.stores, access.writer, **kwargs))
    return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 5000))


def test_a_decision_keeps_who_when_and_what_the_classifier_said(client: TestClient, decision: dict) -> None:
    answers = client.get("/api/v1/objects/" + decision["oid"]).json()["answers"]
    said = next(answer for answer in answers if answer["classifier"] == decision["classifier"])
    for verdict in ("candidate", "bogus"):
        stored = client.post(
            "/api/v1/decisions", json=decision | {"verdict": verdict}, headers={"Authorization": "Bearer secret"}
        )
        assert stored.status_code == 201, stored.text
    newest, before = client.get("/api/v1/decisions", params={"oid": decision["oid"]}).json()[:2]
    assert (newest["verdict"], before["verdict"]) == ("bogus", "candidate")
    assert newest["person"] == "Ada"
    assert newest["decided_at"] >= before["decided_at"]
    assert (newest["class_name"], newest["probability"]) == (said["class_name"], said["probability"])


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer é".encode()}])
def test_without_the_token_nothing_is_stored(client: TestClient, decision: dict, headers: dict) -> None:
    before = client.get("/api/v1/decisions").json()
    answer = client.post("/api/v1/decisions", json=decision, headers=headers)
    assert answer.status_code == 401
    assert "token" in answer.json()["detail"]
    assert client.get("/api/v1/decisions").json() == before


def test_writes_are_closed_unless_they_were_opened(access: Access, decision: dict) -> None:
    assert local(access).post("/api/v1/decisions", json=decision).status_code == 403
    assert local(access, open_writes=True).post("/api/v1/decisions", json=decision).status_code == 201


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://elsewhere.org"}, {"Host": "elsewhere.org"}, {"Origin": "http://127.0.0.1:9999"}]
)
def test_open_writes_are_not_open_to_other_sites(access: Access, decision: dict, headers: dict) -> None:
    """A page of another site in the browser of this machine, by its origin or by a name that points here."""
    answer = local(access, open_writes=True).post("/api/v1/decisions", json=decision, headers=headers)
    assert answer.status_code == 403


def test_open_writes_are_for_this_machine(access: Access, decision: dict) -> None:
    app = create_app(Access(access.stores, access.writer, open_writes=True))
    far = TestClient(app, base_url="http://127.0.0.1:8000", client=("192.0.2.1", 5000))
    assert far.post("/api/v1/decisions", json=decision).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "maybe"},
        {"person": ""},
        {"person": "a\x00b"},
        {"oid": "x'y"},
        {"more": 1},
        {"candid": "abc"},
        {"candid": "9" * 19},
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(client: TestClient, decision: dict, change: dict) -> None:
    answer = client.post("/api/v1/decisions", json=decision | change, headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_a_decision_on_nothing_is_refused(client: TestClient, decision: dict, written: Stores) -> None:
    answer = client.post(
        "/api/v1/decisions", json=decision | {"oid": "ZTF00none"}, headers={"Authorization": "Bearer secret"}
    )
    assert answer.status_code == 404
