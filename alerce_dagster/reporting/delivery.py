"""Messages: an e-mail or a web hook, for the matches of one list in one batch, and for the digest of a night.

A message keeps its identity when it is sent again (Message-ID, Idempotency-Key), so that a receiver can drop what it
has. Addresses and secrets are never part of an error: those are stored and shown.

=====================  ====================================================================================
Variable               Meaning
=====================  ====================================================================================
ALERCE_SMTP_URL        smtp://user:password@host:port (STARTTLS where the server offers it), or smtps://
ALERCE_MAIL_FROM       sender of the e-mails (default: alerce@ and this machine's name)
=====================  ====================================================================================
"""

import os
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from alerce_dagster.errors import AlerceError

TIMEOUT = 10.0  # s, to connect and for each answer
_ROWS_PER_MAIL = 200
_TRIES = 3
_LOCAL = ("localhost", "127.0.0.1", "::1")


class DeliveryError(AlerceError):
    """A message could not be handed over; it stays to be sent."""


@dataclass(frozen=True)
class Message:
    """The matches of one list in one batch; `key` is the same whenever it is sent."""

    key: str
    watch_list: str
    matches: list[dict]


def send(channel: str, address: str, message: Message) -> None:
    """Hand a message over.

    Raises
    ------
    DeliveryError
        When it was not accepted, or when it is not known whether it was.
    """
    {"email": send_email, "webhook": send_webhook}[channel](address, message)


def send_email(address: str, message: Message) -> None:
    """Send the matches as one e-mail."""
    n = len(message.matches)
    lines = [_line(row) for row in message.matches[:_ROWS_PER_MAIL]]
    if n > _ROWS_PER_MAIL:
        lines.append(f"... and {n - _ROWS_PER_MAIL:,} more: alerce-dagster watch matches {message.watch_list}")
    mail([address], f"[{message.watch_list}] {n:,} match{'es' if n != 1 else ''}", lines, message.key)


def send_webhook(address: str, message: Message, wait: float = 1.0) -> None:
    """POST the matches as JSON: `watch_list`, `key` and `matches`; identifiers of 64 bits are text there."""
    matches = [row | {"candid": str(row["candid"])} for row in message.matches]
    post(address, {"watch_list": message.watch_list, "key": message.key, "matches": matches}, message.key, wait)


def mail(addresses: list[str], subject: str, lines: list[str], key: str) -> None:
    """Send one e-mail through the server that ALERCE_SMTP_URL names.

    Raises
    ------
    DeliveryError
        As for `send`.
    """
    url = urlsplit(os.environ.get("ALERCE_SMTP_URL", ""))
    if url.scheme not in ("smtp", "smtps") or not url.hostname:
        raise DeliveryError("set ALERCE_SMTP_URL to smtp://user:password@host:port, or smtps://")
    text = _mail(addresses, subject, lines, key)
    secure = ssl.create_default_context()
    try:
        if url.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(url.hostname, url.port or 465, timeout=TIMEOUT, context=secure)
        else:
            server = smtplib.SMTP(url.hostname, url.port or 25, timeout=TIMEOUT)
        with server:
            server.ehlo()
            if url.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=secure)
                server.ehlo()
            elif url.scheme == "smtp" and url.password and url.hostname not in _LOCAL:
                raise DeliveryError(f"{url.hostname} offers no STARTTLS: the password would travel in the clear")
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(text)
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"mail server {url.hostname} refused: {error.smtp_code}") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryError(f"mail server {url.hostname} refused the recipient") from error
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"mail server {url.hostname}: {_fault(error)}") from error


def post(address: str, body: dict, key: str, wait: float = 1.0) -> None:
    """POST a body as JSON, three times at most, `wait` seconds and twice as long between.

    Any answer below 300 is acceptance; redirections are not followed.

    Raises
    ------
    DeliveryError
        As for `send`.
    """
    import requests

    host = urlsplit(address).hostname
    said = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(wait * 2 ** (attempt - 1))
        try:
            answer = requests.post(
                address,
                json=body,
                headers={"Idempotency-Key": key},
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,  # the answer's body is nobody's business
            )
        except requests.RequestException as error:
            said = f"webhook {host}: {_fault(error)}"
            continue
        answer.close()
        if answer.status_code < 300:
            return
        said = f"webhook {host} answered {answer.status_code}"
        if answer.status_code < 500 and answer.status_code != 429:
            break
    raise DeliveryError(said)


def _mail(addresses: list[str], subject: str, lines: list[str], key: str) -> EmailMessage:
    text = EmailMessage()
    text["Subject"] = subject
    text["From"] = os.environ.get("ALERCE_MAIL_FROM") or f"alerce@{socket.gethostname()}"
    text["To"] = ", ".join(addresses)
    text["Message-ID"] = f"<{key}@alerce-dagster>"
    text["Auto-Submitted"] = "auto-generated"
    text.set_content("\n".join(lines) + "\n")
    return text


def _line(row: dict) -> str:
    parts = [f"{row['target']}: {row['survey']} {row['oid']}"]
    if row["separation"] is not None:
        parts.append(f'{row["separation"]:.2f}" away')
    parts.append(f"at {row['ra']:.5f} {row['dec']:+.5f}")
    if row["mag"] is not None:
        parts.append(f"{row['band']} {row['mag']:.2f}")
    if row["class_name"]:
        parts.append(f"{row['class_name']} {row['probability']:.2f}")
    return ", ".join([*parts, f"MJD {row['mjd']:.5f}, candid {row['candid']}"])


def _fault(error: BaseException) -> str:
    """What went wrong, without the address, which may hold a secret."""
    kinds = {
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "no answer in time",
        "TimeoutError": "no answer in time",
        "ConnectionRefusedError": "nothing listens there",
        "ConnectionError": "no connection",
        "gaierror": "that host is unknown",
        "SMTPServerDisconnected": "it broke off",
        "SSLError": "no secure connection",
        "SSLCertVerificationError": "its certificate is not valid",
    }
    return kinds.get(type(error).__name__, type(error).__name__)
