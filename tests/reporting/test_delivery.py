"""Messages through a real mail server and a real web server, and what happens when they refuse, stall or break off."""

import base64

import pytest

from alerce_dagster.reporting import delivery
from alerce_dagster.reporting.delivery import DeliveryError, Message
from tests.reporting.stand_ins import mail_server, web_hook

CANDID = 2_459_000_123_456_789_012
ROW = {
    "target": "M31", "survey": "ztf", "oid": "ZTF20abc", "candid": CANDID, "mjd": 60_000.5, "band": "r", "ra": 10.68,
    "dec": 41.27, "mag": 18.25, "separation": 0.4, "class_name": "SN", "probability": 0.9,
}  # fmt: skip
MESSAGE = Message("k" * 32, "mine", [ROW, ROW | {"separation": None, "mag": None, "class_name": None}])


def test_an_email_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as box:
        monkeypatch.setenv("ALERCE_SMTP_URL", box.url.replace("//", "//me:p%40ss@"))
        monkeypatch.setenv("ALERCE_MAIL_FROM", "broker@example.org")
        delivery.send("email", "you@example.org", MESSAGE)
    [mail] = box.mails
    assert box.recipients == ["you@example.org"]
    assert base64.b64decode(box.logins[0].split()[-1]) == b"\0me\0p@ss"
    assert (mail["Subject"], mail["From"]) == ("[mine] 2 matches", "broker@example.org")
    assert mail["Message-ID"] == f"<{'k' * 32}@alerce-dagster>"
    first, second = mail.get_payload(decode=True).decode().splitlines()
    expected = (
        f'M31: ztf ZTF20abc, 0.40" away, at 10.68000 +41.27000, r 18.25, SN 0.90, MJD 60000.50000, candid {CANDID}'
    )
    assert first == expected
    assert second == f"M31: ztf ZTF20abc, at 10.68000 +41.27000, MJD 60000.50000, candid {CANDID}"


def test_a_list_of_a_thousand_is_cut_in_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as box:
        monkeypatch.setenv("ALERCE_SMTP_URL", box.url)
        delivery.send("email", "you@example.org", Message("k", "mine", [ROW] * 1000))
    lines = box.mails[0].get_payload(decode=True).decode().splitlines()
    assert len(lines) == 201
    assert lines[-1] == "... and 800 more: alerce-dagster watch matches mine"


@pytest.mark.parametrize("answer", ["451 later", "554 never", ""])
def test_a_mail_server_that_refuses_or_breaks_off(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    with mail_server() as box:
        monkeypatch.setenv("ALERCE_SMTP_URL", box.url)
        box.answers.append(answer)
        with pytest.raises(DeliveryError, match=r"mail server 127.0.0.1.*(refused: \d+|broke off)"):
            delivery.send("email", "you@example.org", MESSAGE)


def test_without_a_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALERCE_SMTP_URL", raising=False)
    with pytest.raises(DeliveryError, match="set ALERCE_SMTP_URL"):
        delivery.send("email", "you@example.org", MESSAGE)
    with mail_server() as box:
        pass
    monkeypatch.setenv("ALERCE_SMTP_URL", box.url)
    with pytest.raises(DeliveryError, match="nothing listens there"):
        delivery.send("email", "you@example.org", MESSAGE)


def test_a_webhook_is_posted() -> None:
    """Identifiers of 64 bits travel as text."""
    with web_hook() as hook:
        delivery.send("webhook", hook.url, MESSAGE)
    assert hook.keys == [MESSAGE.key]
    assert hook.bodies[0]["watch_list"] == "mine"
    assert hook.bodies[0]["matches"][0] == ROW | {"candid": str(CANDID)}


def test_a_webhook_that_stumbles_is_tried_again() -> None:
    """Under the same key: the receiver may have taken it the first time."""
    with web_hook() as hook:
        hook.answers += [500, 0]
        delivery.send_webhook(hook.url, MESSAGE, wait=0)
    assert hook.keys == [MESSAGE.key] * 3


@pytest.mark.parametrize(("answers", "said", "tries"), [([404], "404", 1), ([301], "301", 1), ([503] * 3, "503", 3)])
def test_a_webhook_that_refuses(answers: list[int], said: str, tries: int) -> None:
    """The error does not tell the address: it may hold a token."""
    with web_hook() as hook:
        hook.answers += answers
        with pytest.raises(DeliveryError, match=f"webhook 127.0.0.1 answered {said}") as caught:
            delivery.send_webhook(hook.url, MESSAGE, wait=0)
    assert len(hook.keys) == tries
    assert "secret-token" not in str(caught.value)


def test_a_webhook_where_nothing_listens() -> None:
    with web_hook() as hook:
        pass
    with pytest.raises(DeliveryError, match=r"webhook 127\.0\.0\.1: no connection") as caught:
        delivery.send_webhook(hook.url, MESSAGE, wait=0)
    assert "secret-token" not in str(caught.value)
