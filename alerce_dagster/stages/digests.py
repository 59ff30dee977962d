"""The digest of a night: made when the night is over, sent until it has arrived."""

from datetime import UTC, date, datetime

from alerce_dagster.reporting import digests as messages
from alerce_dagster.reporting.delivery import DeliveryError
from alerce_dagster.reporting.digests import Digest
from alerce_dagster.reporting.notices import gcn
from alerce_dagster.settings import publisher_name, web_url
from alerce_dagster.storage import digests
from alerce_dagster.storage.database import Database


def make_digest(database: Database, survey: str, night: date, run_id: str) -> int:
    """Store the digest of a night for every channel of the environment that has none; returns how many were new.

    What it says is settled here: what becomes of the night later does not change it.
    """
    channels, size, made = list(messages.addresses()), messages.size(), datetime.now(UTC)
    with database.reading() as connection:
        if not set(channels) - digests.known(connection, survey, night):
            return 0
        told = []
        for oid in digests.best_of_night(connection, survey, night, size):
            notice = digests.notice_of(connection, survey, oid, page_of(oid))
            if notice is not None:
                told.append(gcn(notice, made, publisher_name()))
    with database.writing() as connection:
        return digests.record(connection, Digest(survey, night, told), channels, run_id)


def deliver(database: Database, *, at_once: bool = False) -> dict[str, int]:
    """Send the digests that are due (with `at_once`, those that wait for their next try as well).

    Returns how many were sent and how many not. Each is marked before it is sent and after; should the process die in
    between, it is sent again after some minutes, under the same key.
    """
    counts = {"sent": 0, "not_sent": 0}
    addresses = messages.addresses()
    with database.reading() as connection:
        keys = digests.due(connection, list(addresses), datetime.now(UTC), at_once=at_once)
    for key in keys:
        with database.writing() as connection:
            digest = digests.take(connection, key, datetime.now(UTC), at_once=at_once)
        if digest is None:
            continue
        error = None
        try:
            messages.send(key["channel"], addresses[key["channel"]], digest, digests.message_key(**key))
        except DeliveryError as failure:
            error = str(failure)
        with database.writing() as connection:
            digests.settle(connection, key, error, datetime.now(UTC))
        counts["sent" if error is None else "not_sent"] += 1
    return counts


def page_of(oid: str) -> str | None:
    """Address of an object's page, where the environment says where the pages are."""
    url = web_url()
    return f"{url}/objects/{oid}" if url else None
