"""The web application: every address, and the rules that hold for all of them."""

import importlib
from importlib import metadata, resources
from urllib.parse import parse_qsl, urlencode

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerce_dagster.settings import Settings, web_local_writes, web_rate
from alerce_dagster.storage import cones
from alerce_dagster.web import (
    api,
    api_nights,
    catalogues,
    describe,
    finder,
    followup,
    live,
    ms_api,
    pages,
    releases,
    sky,
    stamps,
    ztf_api,
)
from alerce_dagster.web.access import Access
from alerce_dagster.web.answers import explain_errors
from alerce_dagster.web.rate import RateLimit, rate_of

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        b"form-action 'self'",
    ),
]


def create_app(access: Access, rate: str | None = None) -> FastAPI:
    """The application over one deployment's stores; `rate` is how often one client may ask, as `300/minute`."""
    app = FastAPI(
        title="ALeRCE on Dagster",
        version=metadata.version("alerce-dagster"),
        description="Alerts, objects and their classes. `/ztf/v1`, `/v2`, `/catshtm` and the `_api` paths speak "
        "ALeRCE's API; `/api/v1` is our own.",
        docs_url=None,  # its page loads scripts from elsewhere; the schema is at /openapi.json
        redoc_url=None,
        redirect_slashes=False,
        responses=describe.FAULTS,
    )
    app.state.access = access
    explain_errors(app, pages.error_page)
    for prefix in ("/ztf/v1", "/alerts/v1"):
        app.include_router(ztf_api.router, prefix=prefix, tags=["ALeRCE ZTF v1"], include_in_schema=prefix == "/ztf/v1")
    app.include_router(ztf_api.light_curves)
    app.include_router(releases.alerce)
    app.include_router(releases.own)
    app.include_router(ms_api.router)
    app.include_router(stamps.router)
    app.include_router(catalogues.catshtm)
    app.include_router(catalogues.router)
    app.include_router(api.router)
    app.include_router(api_nights.router)
    app.include_router(api_nights.writes)
    app.include_router(followup.router)
    app.include_router(followup.panel)
    app.include_router(finder.router)
    app.include_router(live.router)
    app.include_router(pages.router)
    app.include_router(sky.router)
    app.mount("/static", StaticFiles(directory=str(resources.files("alerce_dagster.web") / "static")), name="static")
    # The last one added is the first to see a request.
    app.add_middleware(GZipMiddleware, minimum_size=10_000, compresslevel=3)
    if rate:
        app.add_middleware(RateLimit, rate=rate_of(rate))
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET"])
    app.add_middleware(_Rules)
    return app


def from_environment() -> FastAPI:
    """The application of the deployment that the environment names; what each process of the server makes."""
    # Positions on the sky need astropy, the names of features numba: seconds that nobody's first page should wait for.
    cones.cone_ranges(cones.Cone(0.0, 0.0, 1.0))
    importlib.import_module("alerce_dagster.lightcurves.features")
    return create_app(Access.to(Settings.from_environment(), open_writes=web_local_writes()), web_rate())


class _Rules:
    """For every request: a parameter without a value counts as not given; answers carry the safety headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["query_string"]:
            scope = {**scope, "query_string": _given(scope["query_string"])}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(item for item in _HEADERS if item[0] not in own)]
            await send(message)

        await self.app(scope, receive, with_headers)


def _given(query: bytes) -> bytes:
    """A query without the parameters that a form or a client left empty (`class=`, `order_by=None`)."""
    text = query.decode("latin-1")
    if "=&" not in text and not text.endswith("=") and "=None" not in text:
        return query
    return urlencode([(name, value) for name, value in parse_qsl(text) if value not in ("", "None")]).encode()
