"""Answers: JSON without surprises, and errors that say what is wrong.

Every error has the same body, the one ALeRCE's client reads: `detail`, one sentence, and `errors`, by parameter where
a parameter is at fault.
"""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from alerce_dagster.errors import InputError, StoreError


class BadRequest(Exception):
    """A parameter that cannot be used: 400, with the parameter's name."""

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.errors = {parameter: reason}


class NotStored(Exception):
    """What was asked for is not stored: 404."""


class Json(Response):
    """JSON; times in ISO 8601, NaN as null. Answers are built here, so nothing is validated twice."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        # SQLAlchemy's names of columns are a subclass of text, which orjson takes for keys only if told.
        return orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)


def failed(status: int, detail: str, errors: object = None) -> Json:
    """The body of every error."""
    return Json({"status": status, "code": status, "detail": detail, "errors": errors or {}}, status)


_ROOMS = ("object", "lightcurve", "probability", "classifier", "magstat", "crossmatch", "stamps")
_APIS = ("/api/", "/ztf/", "/alerts/", "/v2/", "/get_", "/catshtm/", *(f"/{room}_api/" for room in _ROOMS))
ErrorPage = Callable[[Request, int, str], Response]


def explain_errors(app: FastAPI, error_page: ErrorPage) -> None:
    """Give every fault of a request its status and reason: a page for people, JSON for programs."""

    def answer(request: Request, status: int, detail: str, errors: object = None) -> Response:
        if "text/html" in request.headers.get("Accept", "") and not request.url.path.startswith(_APIS):
            return error_page(request, status, detail)
        return failed(status, detail, errors)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        reasons = {}
        for fault in error.errors():
            where = [str(part) for part in fault["loc"][1:]] or [str(fault["loc"][0])]
            name = ".".join(where).encode("utf-8", "replace").decode()  # half a surrogate pair has no JSON
            reasons[name] = str(fault["msg"])
        return answer(request, 400, "; ".join(f"{name}: {reason}" for name, reason in reasons.items()), reasons)

    @app.exception_handler(BadRequest)
    async def _bad(request: Request, error: BadRequest) -> Response:
        return answer(request, 400, str(error), error.errors)

    @app.exception_handler(InputError)
    async def _input(request: Request, error: InputError) -> Response:
        return answer(request, 400, str(error))

    @app.exception_handler(NotStored)
    async def _missing(request: Request, error: NotStored) -> Response:
        return answer(request, 404, str(error))

    @app.exception_handler(StoreError)
    async def _store(request: Request, error: StoreError) -> Response:
        return answer(request, 503, str(error))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        said = answer(request, error.status_code, str(error.detail))
        said.headers.update(error.headers or {})
        return said
