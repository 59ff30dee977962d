"""The Transient Name Server's API: searching, bulk reports and their replies, the public objects.

Sandbox unless the environment says production in so many words. The key travels in the body of requests to that one
server and nowhere else: it is in no error, log or stored request.

=======================  ===========================================================================
Variable                 Meaning
=======================  ===========================================================================
ALERCE_TNS_BOT_ID        the bot's number at TNS
ALERCE_TNS_BOT_NAME      the bot's name there
ALERCE_TNS_API_KEY       its key
ALERCE_TNS_TARGET        `sandbox` (default) or `production`
ALERCE_TNS_URL           another address of that server than its own (a stand-in for tests)
ALERCE_TNS_GROUP_ID      number of the reporting group
ALERCE_TNS_SOURCE_ID     number of the discovery data source (default 48, ZTF)
ALERCE_TNS_REPORTER      the people who report, as TNS prints them
ALERCE_TNS_CLASSIFIER    how objects are classified, for the remarks (default: a stamp classifier)
ALERCE_TNS_PAGE          page of an object for the remarks; {oid} stands for it
ALERCE_TNS_SEND          1 lets runs send approved reports; without it they only tell what would be sent
=======================  ===========================================================================
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from alerce_dagster.errors import AlerceError, InputError
from alerce_dagster.reporting.at_report import Reporter

SANDBOX, PRODUCTION = "sandbox", "production"
URLS = {SANDBOX: "https://sandbox.wis-tns.org", PRODUCTION: "https://www.wis-tns.org"}
PUBLIC_OBJECTS = "/system/files/tns_public_objects/tns_public_objects.csv.zip"
LONGEST_WAIT = 120.0  # s that a request waits for TNS's rate limit; after that somebody else tries again later
_TRIES = 4
_LOCAL = ("127.0.0.1", "localhost", "::1")


class TnsError(AlerceError):
    """TNS cannot be asked, or its answer makes no sense; it may be asked again."""


class NotTaken(TnsError):
    """A report that TNS certainly has not taken."""


class Refused(NotTaken):
    """A report that TNS has looked at and does not want as it is: the same again would be refused again."""


class InDoubt(TnsError):
    """A report that TNS may or may not have taken: ask before sending anything again."""


@dataclass(frozen=True)
class Account:
    """Who speaks to which server."""

    bot_id: str
    bot_name: str
    key: str = field(repr=False)
    target: str = SANDBOX
    url: str = URLS[SANDBOX]

    @classmethod
    def from_environment(cls) -> "Account":
        """Read the environment as it is now.

        Raises
        ------
        InputError
            When something is missing or unsafe, saying what to set.
        """
        names = ("ALERCE_TNS_BOT_ID", "ALERCE_TNS_BOT_NAME", "ALERCE_TNS_API_KEY")
        values = [os.environ.get(name, "") for name in names]
        if missing := [name for name, value in zip(names, values, strict=True) if not value]:
            raise InputError(f"TNS wants to know who asks: set {', '.join(missing)}")
        target = target_of_environment()
        url = (os.environ.get("ALERCE_TNS_URL") or URLS[target]).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            raise InputError("ALERCE_TNS_URL must be https: the key would travel in the clear")
        return cls(values[0], values[1], values[2], target, url)

    @property
    def marker(self) -> str:
        """The User-Agent that TNS requires of bots."""
        own = {"tns_id": int(self.bot_id) if self.bot_id.isdigit() else self.bot_id, "type": "bot"}
        return f"tns_marker{json.dumps(own | {'name': self.bot_name})}"


def target_of_environment() -> str:
    """`sandbox` or `production`; raises InputError for anything else."""
    target = os.environ.get("ALERCE_TNS_TARGET") or SANDBOX
    if target not in URLS:
        raise InputError(f"ALERCE_TNS_TARGET is {target!r}; it is sandbox or production")
    return target


def may_send() -> bool:
    """Whether the environment lets runs send reports."""
    return os.environ.get("ALERCE_TNS_SEND") == "1"


def reporter_of_environment(*, required: bool = True) -> Reporter:
    """Who reports; raises InputError where that is required and not said."""
    group, people = os.environ.get("ALERCE_TNS_GROUP_ID", ""), os.environ.get("ALERCE_TNS_REPORTER", "")
    if required and not (group and people):
        raise InputError("a report names its group and people: set ALERCE_TNS_GROUP_ID and ALERCE_TNS_REPORTER")
    source = os.environ.get("ALERCE_TNS_SOURCE_ID") or "48"
    names = {"classified_by": "ALERCE_TNS_CLASSIFIER", "page": "ALERCE_TNS_PAGE"}
    words = {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
    return Reporter(group or "0", source, people or "(ALERCE_TNS_REPORTER is not set)", **words)


@dataclass(frozen=True)
class Feedback:
    """What TNS made of one report of a bulk: `inserted`, `exists` or `refused`."""

    outcome: str
    name: str | None
    said: Any
    """The entry as it came."""


@dataclass
class Client:
    """A session with TNS. Reading is tried again by itself; sending a report never is, unless TNS turned it away."""

    account: Account
    timeout: float = 60.0
    pause: Callable[[float], None] = time.sleep
    _free_at: dict[str, float] = field(default_factory=dict, repr=False)
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    def search(self, **terms: str | float) -> list[dict[str, Any]]:
        """Objects by `internal_name`, or by `ra`, `dec` (degrees) and `radius` (arcsec): prefix, objname, objid."""
        wanted: dict[str, Any] = {name: str(value) for name, value in terms.items()}
        wanted |= {"internal_name_exact_match": 1} if "internal_name" in terms else {"units": "arcsec"}
        data = self._read("get/search", {"data": json.dumps(wanted)})
        found = data.get("reply", []) if isinstance(data, dict) else data
        if not isinstance(found, list):
            raise TnsError("TNS answered a search with something that is no list; try again later")
        return [one for one in found if isinstance(one, dict) and one.get("objname")]

    def object(self, name: str) -> dict[str, Any] | None:
        """An object by its name (2023abc), or None: internal_names, reporting_group, ..."""
        data = self._read("get/object", {"data": json.dumps({"objname": name})}, missing_ok=True)
        if isinstance(data, dict):
            data = data.get("reply", data)
        return data if isinstance(data, dict) and data.get("objname") else None

    def submit(self, bulk: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Send a bulk of reports (`at_report.to_json`); returns TNS's number of it, and its answer.

        Raises
        ------
        NotTaken
            When TNS certainly has none of it: it was not reached, or it turned us away. `Refused` when it is the
            report that it does not want.
        InDoubt
            When it may have it.
        """
        payload = {"data": json.dumps(bulk)}
        try:
            answer = self._post("set/bulk-report", payload)
        except requests.ConnectionError as error:
            if _never_connected(error):
                raise NotTaken(f"{self.account.url}: {_fault(error)}") from error
            raise InDoubt(f"{self.account.url} was sent a report and then: {_fault(error)}") from error
        except requests.RequestException as error:
            raise InDoubt(f"{self.account.url} was sent a report and then: {_fault(error)}") from error
        said = _json(answer)
        if 400 <= answer.status_code < 500:
            kind = Refused if answer.status_code in (400, 413, 422) else NotTaken
            raise kind(f"TNS refused the report ({answer.status_code}): {_message(said)}")
        report_id = (said.get("data") or {}).get("report_id") if isinstance(said.get("data"), dict) else None
        if answer.status_code != 200 or said.get("id_code") != 200 or not str(report_id or "").isdigit():
            raise InDoubt(f"TNS answered a report with {answer.status_code} and no number of it: {_message(said)}")
        return str(report_id), said

    def reply(self, report_id: str) -> list[Feedback] | None:
        """What TNS made of a bulk report, in the order of its reports; None while it has not looked at it."""
        data = self._read("get/bulk-report-reply", {"report_id": report_id}, missing_ok=True, feedback=True)
        entries = ((data or {}).get("feedback") or {}).get("at_report") if isinstance(data, dict) else None
        if entries is None:
            return None
        return [_feedback(entry) for entry in (entries if isinstance(entries, list) else entries.values())]

    def public_objects(self, to: Path) -> None:
        """Fetch the zipped CSV of all public objects into a file, which is there whole or not at all."""
        part = to.with_name(f"{to.name}.{os.getpid()}.part")
        answer = self._retried(PUBLIC_OBJECTS, {}, stream=True)
        if answer.status_code != 200:
            raise TnsError(f"TNS did not give its public objects: {answer.status_code}")
        try:
            with answer, part.open("wb") as file:
                for piece in answer.iter_content(1 << 20):
                    file.write(piece)
            expected = answer.headers.get("Content-Length")
            if expected and part.stat().st_size != int(expected):
                raise TnsError("TNS broke off while giving its public objects; try again later")
            part.replace(to)
        except requests.RequestException as error:
            raise TnsError(f"TNS broke off while giving its public objects: {_fault(error)}") from error
        finally:
            part.unlink(missing_ok=True)

    def _read(self, method: str, payload: dict[str, str], *, missing_ok: bool = False, feedback: bool = False) -> Any:
        answer = self._retried(f"/api/{method}", payload)
        said = _json(answer)
        code = said.get("id_code", answer.status_code)
        if missing_ok and code == 404:
            return None
        if feedback and code == 400:  # the feedback says what is wrong with the report
            return said.get("data")
        if answer.status_code != 200 or code != 200:
            raise TnsError(f"TNS answered {method} with {code}: {_message(said)}")
        return said.get("data")

    def _retried(self, path: str, payload: dict[str, str], *, stream: bool = False) -> requests.Response:
        fault = ""
        for attempt in range(_TRIES):
            if attempt:
                self.pause(2.0 ** (attempt - 1))
            try:
                answer = self._post(path, payload, stream=stream)
            except requests.RequestException as error:
                fault = _fault(error)
                continue
            if answer.status_code < 500 and (stream or answer.status_code != 200 or _json(answer)):
                return answer
            fault = f"answers {answer.status_code}"
        raise TnsError(f"{self.account.url} cannot be asked: {fault}; try again later")

    def _post(self, path: str, payload: dict[str, str], *, stream: bool = False) -> requests.Response:
        """POST as the bot, when the rate limit allows it; a request that TNS turned away for it is sent again."""
        url = self.account.url + (path if path.startswith("/") else f"/api/{path}")
        limit = "x-cone-rate-limit" if path.endswith("search") else "x-rate-limit"
        for attempt in range(_TRIES):
            self._wait(self._free_at.get(limit, 0.0) - time.monotonic())
            answer = self._session.post(
                url,
                data=payload | {"api_key": self.account.key},
                headers={"User-Agent": self.account.marker},
                timeout=(10.0, self.timeout),
                allow_redirects=False,
                stream=stream,
            )
            for name in ("x-rate-limit", limit):
                if answer.headers.get(f"{name}-remaining", "").lower() in ("0", "exceeded"):
                    self._free_at[name] = time.monotonic() + _seconds(answer.headers.get(f"{name}-reset"))
            if answer.status_code != 429 or attempt == _TRIES - 1:
                return answer
            names = ("Retry-After", f"{limit}-reset", "x-rate-limit-reset")
            stated = [_seconds(answer.headers[name]) for name in names if name in answer.headers]
            self._free_at[limit] = time.monotonic() + (stated[0] if stated else 2.0**attempt)
        raise AssertionError("the last attempt returns")

    def _wait(self, seconds: float) -> None:
        if seconds > LONGEST_WAIT:
            raise NotTaken(f"TNS asks to wait {seconds:.0f} s; try again then")
        if seconds > 0:
            self.pause(seconds)


def _feedback(entry: Any) -> Feedback:
    """Codes of TNS: 100 the object was inserted, 101 it exists already; everything else says what is wrong."""
    if isinstance(entry, dict):
        for code, outcome in (("100", "inserted"), ("101", "exists")):
            said = entry.get(code)
            if isinstance(said, dict) and said.get("objname"):
                return Feedback(outcome, str(said["objname"]), entry)
    return Feedback("refused", None, entry)


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _message(said: Mapping[str, Any]) -> str:
    text = str(said.get("id_message") or "no message")
    data = said.get("data")
    return f"{text} {json.dumps(data)[:500]}" if data else text


def _seconds(text: str | None) -> float:
    """Seconds to wait; a date, which HTTP allows too, is taken as a minute."""
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 60.0


def _never_connected(error: requests.ConnectionError) -> bool:
    from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError

    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return isinstance(cause, NewConnectionError | ConnectTimeoutError | NameResolutionError)


def _fault(error: BaseException) -> str:
    kinds = {"ConnectTimeout": "no connection in time", "ReadTimeout": "no answer in time"}
    return kinds.get(type(error).__name__, "the connection failed or broke off")
