"""A stand-in for the Transient Name Server on this machine: real HTTP, its answers, and every fault on demand."""

import io
import json
import threading
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

GROUP = "74"
KEY = "a-key-that-nobody-may-see"
_HEADER = (
    "objid,name_prefix,name,ra,declination,redshift,typeid,type,reporting_groupid,reporting_group,source_groupid,"
    "source_group,discoverydate,discoverymag,discmagfilter,filter,reporters,time_received,internal_names,"
    "Discovery_ADS_bibcode,Class_ADS_bibcodes,creationdate,lastmodified"
)


@dataclass
class Tns:
    """What the server knows and what it was asked.

    `faults` holds, by the last part of the path, what happens to the next requests: a status before anything is done;
    ("after", status) or ("after", "hang" | "half" | "wrong id" | "no id") after a report was taken; ("wrong name",) and
    ("short",) for replies; ("headers", {...}) beside a good answer.
    """

    url: str = ""
    objects: dict[str, dict] = field(default_factory=dict)
    bulks: dict[str, list[dict]] = field(default_factory=dict)
    """Reports as they came, by number of their bulk."""

    faults: dict[str, list] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[str, str, dict]] = field(default_factory=list)
    """Path, User-Agent and form of every request, without the key."""

    keys: set[str] = field(default_factory=set)
    unseen: bool = False
    """Reports are taken, but not worked through: TNS's searches do not find them yet."""

    hang: threading.Event = field(default_factory=threading.Event)
    taken: threading.Event = field(default_factory=threading.Event)
    """Set when a report was taken."""

    def reports_of(self, oid: str) -> int:
        """How many reports of an object came, in all bulks."""
        return sum(one["internal_name"] == oid for bulk in self.bulks.values() for one in bulk)

    def add(self, name: str, internal: str, ra: float, dec: float, group: str = "48") -> None:
        """An object that somebody else reported."""
        self.objects[name] = {
            **{"objname": name, "prefix": "AT", "internal_names": internal, "radeg": ra, "decdeg": dec},
            "reporting_group": {"group_name": "x", "groupid": int(group)},
        }

    def name_of(self, oid: str) -> str | None:
        """TNS's name of an object."""
        return next((n for n, o in self.objects.items() if oid in o["internal_names"].split(", ")), None)

    def _take(self, bulk: dict) -> str:
        number = str(1000 + len(self.bulks))
        self.bulks[number] = list(bulk["at_report"].values())
        if not self.unseen:
            self.work_through(number)
        self.taken.set()
        return number

    def work_through(self, number: str) -> None:
        """Make objects of a bulk's reports."""
        for one in self.bulks[number]:
            if self.name_of(one["internal_name"]) is None:
                name = f"2024a{len(self.objects):02d}"
                self.add(name, one["internal_name"], float(one["ra"]["value"]), float(one["dec"]["value"]), GROUP)
                self.objects[name]["bulk"] = number

    def answer(self, path: str, form: dict) -> tuple[int, dict | bytes | str, dict]:
        """Status, body and headers."""
        last = path.rsplit("/", 1)[-1]
        fault = self.faults[last].pop(0) if self.faults[last] else None
        headers: dict = {}
        if isinstance(fault, int):
            return fault, {"id_code": fault, "id_message": "fault"}, headers
        if isinstance(fault, tuple) and fault[0] == "headers":
            headers = fault[1]
            if "status" in headers:
                return headers.pop("status"), {"id_code": 429, "id_message": "Too Many Requests"}, headers
        if last == "tns_public_objects.csv.zip":
            return 200, self._public(), headers
        if last == "bulk-report":
            number = self._take(json.loads(form["data"]))
            good = {"id_code": 200, "id_message": "OK", "data": {"report_id": int(number)}}
            if isinstance(fault, tuple) and fault[0] == "after":
                return self._after(fault[1], good)
            return 200, good, headers
        if last == "bulk-report-reply":
            return *self._reply(form["report_id"], fault), headers
        asked = json.loads(form["data"])
        if last == "search":
            found = [
                {key: o[key] for key in ("objname", "prefix")}
                for o in self.objects.values()
                if (asked.get("internal_name") and asked["internal_name"] in o["internal_names"].split(", "))
                or (asked.get("ra") and _near(o, asked))
            ]
            return 200, {"id_code": 200, "id_message": "OK", "data": found}, headers
        found_one = self.objects.get(asked["objname"])
        if found_one is None:
            return 404, {"id_code": 404, "id_message": "Not found"}, headers
        return 200, {"id_code": 200, "id_message": "OK", "data": found_one}, headers

    def _after(self, what: object, good: dict) -> tuple[int, dict | bytes | str, dict]:
        if what == "hang":
            self.hang.wait(20)
            return 200, good, {}
        if what == "half":
            return 200, json.dumps(good)[:20], {}
        if what == "no id":
            return 200, {"id_code": 200, "id_message": "OK", "data": {}}, {}
        if what == "wrong id":
            return 200, good | {"data": {"report_id": 999}}, {}
        assert isinstance(what, int)
        return what, {"id_code": what, "id_message": "fault"}, {}

    def _reply(self, number: str, fault: object) -> tuple[int, dict]:
        if number == "999":
            said: list[dict] = [{"100": {"message": "inserted", "objname": "2024zzz"}}]
        elif number not in self.bulks or self.unseen:
            return 404, {"id_code": 404, "id_message": "Not found"}
        else:
            said = [self._said(one, number) for one in self.bulks[number]]
        if fault == ("wrong name",):
            said = [{"100": {"message": "inserted", "objname": "2024zzz"}} for _ in said]
        if fault == ("short",):
            said = said[:-1]
        return 200, {"id_code": 200, "id_message": "OK", "data": {"feedback": {"at_report": said}}}

    def _said(self, one: dict, number: str) -> dict:
        if one["internal_name"].endswith("bad"):
            return {"ra": {"value": {"5": {"message": "is not right", "message_id": 5}}}}
        name = self.name_of(one["internal_name"])
        assert name is not None
        code = "100" if self.objects[name].get("bulk") == number else "101"
        return {code: {"message": "so", "objname": name}}

    def _public(self) -> bytes:
        rows = [
            f"{n},{o['prefix']},{name},{o['radeg']},{o['decdeg']},,,,,somebody,,,2024-01-01 00:00:00,19,,,people,,"
            f'"{o["internal_names"]}",,,,'
            for n, (name, o) in enumerate(self.objects.items())
        ]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("tns_public_objects.csv", "\n".join(['"2024-03-01 00:00:00"', _HEADER, *rows]) + "\n")
        return packed.getvalue()


def _near(theirs: dict, asked: dict) -> bool:
    reach = float(asked["radius"]) / 3600
    return abs(theirs["radeg"] - float(asked["ra"])) < reach and abs(theirs["decdeg"] - float(asked["dec"])) < reach


@contextmanager
def tns_server() -> Iterator[Tns]:
    """The server, for as long as the block lasts."""
    tns = Tns()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(data).items()}
            tns.keys.add(form.pop("api_key", ""))
            tns.requests.append((self.path, self.headers["User-Agent"], form))
            status, body, headers = tns.answer(self.path, form)
            raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, str(value))
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except (BrokenPipeError, ConnectionResetError):  # who asked has given up or died
                self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    tns.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield tns
    finally:
        tns.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
