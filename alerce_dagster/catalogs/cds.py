"""The CDS X-Match service, for catalogues that are not on this machine: asked in portions, answers kept.

An answer is a snapshot: it is stored as it came, named by the hashes of the request and of itself, and the same request
is not asked twice. After a failure the service is left alone for the rest of the run: what it would have said is
pending, and a night does not wait for it.

Service: http://cdsxmatch.u-strasbg.fr; Boch, Pineau & Derriere 2012, ASP Conf. 461, 291.
"""

import gzip
import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from alerce_dagster.catalogs import positions
from alerce_dagster.catalogs.likelihood import log_bayes_factor
from alerce_dagster.catalogs.recipes import Recipe
from alerce_dagster.errors import AlerceError, store_errors

URL = "http://cdsxmatch.u-strasbg.fr/xmatch/api/v1/sync"
PORTION = 2_000
"""Positions of one request: an answer in seconds, and little lost when it fails."""
_SEPARATION, _ID = "angDist", "id_in"


class ServiceError(AlerceError):
    """The service did not answer, or not with what was asked for."""


@dataclass
class CdsTable:
    """One catalogue at the service, as its recipe knows it."""

    recipe: Recipe
    cache: Path
    url: str = URL
    timeout: float = 60.0
    retries: int = 2
    backoff: float = 1.0
    portion: int = PORTION
    failed: str | None = field(default=None, init=False)
    """Why it is no longer asked."""

    def match(
        self, ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64], error: float = 0.1
    ) -> tuple[pa.Table, list[str | None]]:
        """All sources within the recipe's radius, and for each position the snapshot that answered (None: no answer).

        ra, dec : ICRS in degrees, shape (n,). The table is that of `Catalogue.match`; `failed` says why there are
        positions without an answer.
        """
        tables: list[pa.Table] = []
        snapshots: list[str | None] = []
        for start in range(0, len(ra), self.portion):
            part = slice(start, start + self.portion)
            n = len(ra[part])
            if self.failed is None:
                try:
                    answer, snapshot = self._answer(ra[part], dec[part])
                    tables.append(self._matches(answer, start, n, error))
                    snapshots += [snapshot] * n
                    continue
                except ServiceError as fault:
                    self.failed = str(fault)
            snapshots += [None] * n
        return pa.concat_tables(tables) if tables else self._matches(None, 0, 0, error), snapshots

    def _answer(self, ra: np.ndarray, dec: np.ndarray) -> tuple[bytes, str]:
        """The service's answer, from the cache if it was given before, and its snapshot."""
        lines = [f"{i},{a!r},{d!r}" for i, (a, d) in enumerate(zip(ra.tolist(), dec.tolist(), strict=True))]
        body = "\n".join([f"{_ID},ra_in,dec_in", *lines, ""])
        asked = f"{self.recipe.cds_table} {self.recipe.radius!r}\n{body}"
        request = hashlib.sha256(asked.encode()).hexdigest()[:16]
        for kept in self.cache.glob(f"{request}-*.csv.gz"):
            return gzip.decompress(kept.read_bytes()), f"cds-{kept.name.split('-')[1].partition('.')[0]}"
        answer = self._post(body)
        self._check(answer)
        content = hashlib.sha256(answer).hexdigest()[:16]
        with store_errors(str(self.cache)):
            self.cache.mkdir(parents=True, exist_ok=True)
            new = self.cache / f".{request}.{os.getpid()}.part"
            new.write_bytes(gzip.compress(answer, mtime=0))
            new.replace(self.cache / f"{request}-{content}.csv.gz")
        return answer, f"cds-{content}"

    def _post(self, body: str) -> bytes:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        # A POST here asks and changes nothing: it may be repeated.
        again = Retry(
            total=self.retries, backoff_factor=self.backoff, status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None, raise_on_status=False,
        )  # fmt: skip
        form = {
            "request": "xmatch",
            "distMaxArcsec": repr(self.recipe.radius),
            "RESPONSEFORMAT": "csv",
            "cat2": self.recipe.cds_table,
            "colRA1": "ra_in",
            "colDec1": "dec_in",
        }
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=again))
            try:
                response = session.post(
                    self.url, data=form, files={"cat1": ("positions.csv", body)}, timeout=self.timeout
                )
            except requests.RequestException as error:
                raise ServiceError(f"CDS X-Match gave no answer: {_reason(error)}") from error
        if response.status_code != 200:
            raise ServiceError(f"CDS X-Match answers {response.status_code}")
        framed = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
        if not framed and not response.content.endswith(b"\n"):  # the protocol does not say whether this is all of it
            raise ServiceError("CDS X-Match's answer is cut off")
        return response.content

    def _check(self, answer: bytes) -> None:
        """Whether it is what was asked for; a cut-off line does not have all columns."""
        try:
            table = _parsed(answer)
            missing = {_SEPARATION, _ID, *([self._id_column(table)] if table.num_columns else [])} - set(
                table.column_names
            )
            if missing:
                raise ServiceError(f"CDS X-Match's answer lacks the column {sorted(missing)[0]}")
            pc.cast(table[_ID], pa.int64())
            pc.cast(table[_SEPARATION], pa.float64())
        except pa.ArrowInvalid as error:
            raise ServiceError(f"CDS X-Match's answer is cut off or damaged: {str(error).splitlines()[0]}") from error

    def _id_column(self, table: pa.Table) -> str:
        found = positions.find(table.column_names, [positions.plain(name) for name in self.recipe.id])
        return found or self.recipe.id[0]

    def _matches(self, answer: bytes | None, start: int, n: int, error: float) -> pa.Table:
        """The answer in the form of `Catalogue.match`; `start` is the number of its first position."""
        names = list(self.recipe.columns)
        table = _parsed(answer) if answer is not None else pa.table({})
        if not table.num_rows:
            floats = dict.fromkeys(["separation", "log_bayes"], pa.array([], pa.float64()))
            numbers = dict.fromkeys(["position", "rank"], pa.array([], pa.int64()))
            texts = dict.fromkeys(["catalog_id", *names], pa.array([], pa.string()))
            columns = numbers | floats | texts
        else:
            query = pc.cast(table[_ID], pa.int64()).to_numpy()
            separation = pc.cast(table[_SEPARATION], pa.float64()).to_numpy()
            order = np.lexsort((separation, query))
            table, query, separation = table.take(pa.array(order)), query[order], separation[order]
            if query[0] < 0 or query[-1] >= n:
                raise ServiceError("CDS X-Match's answer speaks of positions that were not asked for")
            first = np.searchsorted(query, query, side="left")
            columns = {
                "position": pa.array(query + start),
                "rank": pa.array(np.arange(len(query)) - first + 1),
                "separation": pa.array(separation),
                "log_bayes": pa.array(log_bayes_factor(separation, error, self.recipe.default_error)),
                "catalog_id": pc.cast(table[self._id_column(table)], pa.string()),
            }
            for name in names:
                source = positions.find(table.column_names, [positions.plain(s) for s in self.recipe.columns[name]])
                values = table[source] if source else pa.nulls(table.num_rows, pa.string())
                columns[name] = pc.cast(values, pa.string())
        return pa.table({name: columns[name] for name in _ORDER + tuple(names)})


_ORDER = ("position", "catalog_id", "separation", "rank", "log_bayes")


def _parsed(answer: bytes) -> pa.Table:
    """The answer, all columns as text."""
    header = answer.split(b"\n", 1)[0].decode("utf-8", "replace").strip().split(",")
    options = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return pa_csv.read_csv(io.BytesIO(answer), convert_options=options)


def _reason(error: Exception) -> str:
    """The last cause's own words, without addresses of objects."""
    import requests

    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "it timed out"
    if isinstance(error, requests.ConnectionError) and "refused" in str(error):
        return "the connection was refused"
    if "IncompleteRead" in str(error):
        return "the answer was cut off"
    if "too many" in str(error):
        return "it answers with server errors"
    return type(error).__name__
