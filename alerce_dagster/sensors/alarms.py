"""Telling people: a run that failed, a stream that is stuck. To the log, and by e-mail and webhook where they are set.

=======================  =====================================================================================
ALERCE_ALARM_WEBHOOK     URL that gets {"text": ...} by POST: a Slack incoming webhook, Mattermost, one's own
ALERCE_ALARM_EMAIL       address, several with commas; sent from ALERCE_ALARM_FROM (default: the first of them)
ALERCE_SMTP              host:port of the mail server, TLS when it offers it; ALERCE_SMTP_USER, ..._PASSWORD
=======================  =====================================================================================
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

from alerce_dagster.errors import AlerceError

_SECONDS = 10
_STUCK = timedelta(minutes=5)
_AGAIN = timedelta(hours=1)


def send(text: str, log: Callable[[str], None]) -> None:
    """Send an alarm everywhere it is to go. A way that fails is logged and does not keep the others from theirs."""
    log(text)
    for setting, way in (("ALERCE_ALARM_WEBHOOK", _post), ("ALERCE_ALARM_EMAIL", _mail)):
        if target := os.environ.get(setting):
            try:
                way(target, text)
            except Exception as error:  # an alarm must not fail because of a mail server
                log(f"{setting}: the alarm could not be sent: {type(error).__name__}")


def _post(url: str, text: str) -> None:
    import requests

    requests.post(url, json={"text": text}, timeout=_SECONDS).raise_for_status()


def _mail(addresses: str, text: str) -> None:
    import smtplib
    from email.message import EmailMessage

    to = [address.strip() for address in addresses.split(",")]
    mail = EmailMessage()
    mail["Subject"] = text.splitlines()[0][:120]
    mail["From"] = os.environ.get("ALERCE_ALARM_FROM") or to[0]
    mail["To"] = ", ".join(to)
    mail.set_content(text)
    host, _, port = (os.environ.get("ALERCE_SMTP") or "localhost:25").rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=_SECONDS) as server:
        if server.has_extn("starttls"):
            server.starttls()
        if user := os.environ.get("ALERCE_SMTP_USER"):
            server.login(user, os.environ.get("ALERCE_SMTP_PASSWORD", ""))
        server.send_message(mail)


def run_failures() -> dg.SensorDefinition:
    """The alarm for every run that fails, of whatever job."""

    @dg.run_failure_sensor(
        name="run_failures",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of every run that fails.",
    )
    def sensor(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        night = run.tags.get("dagster/partition")
        which = f"{run.job_name} of {night}" if night else run.job_name
        reasons = [_reason(event) for event in context.get_step_failure_events()]
        why = "; ".join(reasons) or context.failure_event.message or "unknown"
        send(f"{which} failed: {why}\nrun {run.run_id}", context.log.error)

    return sensor


def _reason(event) -> str:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    return failure.error.message.strip() if failure.error else "unknown"


def stuck(waiting: int, last_read: datetime | None, now: datetime) -> bool:
    """Whether messages wait that nobody has read from for minutes."""
    return waiting > 0 and (last_read is None or now - last_read > _STUCK)


def stuck_stream(survey: str) -> dg.SensorDefinition:
    """The alarm for a stream that has messages while nothing of it is read, or whose broker is away; once an hour."""
    live = bool(os.environ.get(f"ALERCE_{survey.upper()}_KAFKA"))

    @dg.sensor(
        name=f"{survey}_stuck_stream",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING if live else dg.DefaultSensorStatus.STOPPED,
        description=f"Tells when {survey}'s stream has messages and none are read, or does not answer.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = datetime.now(UTC)
        before = json.loads(context.cursor or "{}")
        problem = _problem(survey, now, before)
        told = datetime.fromisoformat(before["told"]) if before.get("told") else None
        if problem and (told is None or now - told > _AGAIN):
            send(problem, context.log.error)
            before["told"] = now.isoformat()
        elif not problem:
            before.pop("told", None)
        context.update_cursor(json.dumps(before))
        return dg.SkipReason(problem or "the stream is read as it comes")

    return sensor


def _problem(survey: str, now: datetime, memory: dict[str, str]) -> str | None:
    """What is wrong with the stream, if anything; `memory` keeps since when messages wait and how many."""
    from alerce_dagster.sensors.stream import waiting

    try:
        n_waiting, last_read = waiting(survey)
    except AlerceError as error:
        memory.pop("since", None)
        return f"{survey}'s stream: {error}"
    if not n_waiting:
        memory.pop("since", None)
        return None
    # What has just come after a quiet day is not stuck: they must wait as long as nobody has read.
    since = datetime.fromisoformat(memory.setdefault("since", now.isoformat()))
    if stuck(n_waiting, max(filter(None, (last_read, since))), now):
        return f"{survey}'s stream is stuck: {n_waiting:,} messages wait, and none was read since {last_read or 'ever'}"
    return None
