"""The digest of a night: its best candidates in one message, by e-mail, web hook or Slack.

=======================  ======================================================================================
Variable                 Meaning
=======================  ======================================================================================
ALERCE_DIGEST_EMAIL      addresses, with commas (the mail server: ALERCE_SMTP_URL, see `delivery`)
ALERCE_DIGEST_WEBHOOK    URL that gets the digest as JSON
ALERCE_DIGEST_SLACK      URL of a Slack incoming webhook, or of what understands the same
ALERCE_DIGEST_SIZE       candidates in it (default 10)
ALERCE_WEB_URL           where the pages are, for links
=======================  ======================================================================================
"""

import os
from dataclasses import dataclass
from datetime import date
from typing import Any

from alerce_dagster.errors import InputError
from alerce_dagster.reporting import delivery

CHANNELS = ("email", "webhook", "slack")
_DEFAULT_SIZE = 10


@dataclass(frozen=True)
class Digest:
    """What goes out: candidates best first, each in the fields of GCN's schema with `oid` and `said`."""

    survey: str
    night: date
    candidates: list[dict[str, Any]]

    @property
    def title(self) -> str:
        """The subject of its messages."""
        n = len(self.candidates)
        return f"{self.survey.upper()} night {self.night}: " + (
            "no candidate" if not n else f"the best {n} candidates" if n > 1 else "one candidate"
        )


def addresses() -> dict[str, str]:
    """Where digests go: the address by channel, as the environment is now."""
    given = {channel: os.environ.get(f"ALERCE_DIGEST_{channel.upper()}", "").strip() for channel in CHANNELS}
    return {channel: address for channel, address in given.items() if address}


def size() -> int:
    """Candidates in a digest.

    Raises
    ------
    InputError
        When ALERCE_DIGEST_SIZE is no number from 1 to 200.
    """
    text = os.environ.get("ALERCE_DIGEST_SIZE") or str(_DEFAULT_SIZE)
    if not text.isdecimal() or not 1 <= int(text) <= 200:
        raise InputError(f"ALERCE_DIGEST_SIZE is {text!r}; give a number from 1 to 200")
    return int(text)


def send(channel: str, address: str, digest: Digest, key: str) -> None:
    """Hand a digest over; `key` is the same whenever it is sent.

    Raises
    ------
    DeliveryError
        When it was not accepted, or when it is not known whether it was.
    """
    if channel == "email":
        recipients = [part.strip() for part in address.split(",") if part.strip()]
        delivery.mail(recipients, digest.title, [digest.title, "", *map(line, digest.candidates)], key)
    elif channel == "slack":
        delivery.post(address, {"text": slack_text(digest)}, key)
    else:
        body = {"survey": digest.survey, "night": digest.night.isoformat(), "key": key}
        delivery.post(address, body | {"candidates": digest.candidates}, key)


def line(candidate: dict[str, Any]) -> str:
    """A candidate in one line of text."""
    parts = [candidate["event_name"], f"at {candidate['ra']:.5f} {candidate['dec']:+.5f}"]
    if "mag" in candidate:
        parts.append(f"{candidate.get('filter') or ''} {candidate['mag']:.2f}".strip())
    if candidate.get("classification"):
        name, value = max(candidate["classification"].items(), key=lambda item: item[1])
        parts.append(f"{name} {value:.2f}")
    if "redshift" in candidate:
        parts.append(f"host z {candidate['redshift']:.3f}")
    parts.append(f"first seen {candidate['trigger_time'][:16].replace('T', ' ')} UTC")
    return ", ".join([*parts, *filter(None, [candidate.get("data_archive_page")])])


def slack_text(digest: Digest) -> str:
    """The digest in Slack's markup: links under the names; &, < and > as Slack wants them."""
    lines = [f"*{_escaped(digest.title)}*"]
    for candidate in digest.candidates:
        name, page = candidate["event_name"], candidate.get("data_archive_page")
        said = _escaped(line({key: value for key, value in candidate.items() if key != "data_archive_page"}))
        lines.append("• " + (said.replace(name, f"<{page}|{name}>", 1) if page else said))
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
