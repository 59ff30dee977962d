"""New candidates as they come: server-sent events, one for each batch of alerts that was classified.

An event's id is its entry in the ledger, so a client that was cut off goes on where it stopped (`Last-Event-ID`, which
browsers send by themselves): nothing is missed and nothing comes twice.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from alerce_dagster.storage import candidates
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Access, Reading
from alerce_dagster.web.answers import Json

router = APIRouter(prefix="/api/v1", tags=["v1"])
_EVERY = 2.0  # seconds between looks into the ledger
_MOST = 100  # listeners of one process
_ALIVE = 8  # looks without news after which a line is sent, so that nobody between takes the connection for dead
_listening: set[object] = set()
Entry = Annotated[int | None, Query(ge=0, le=p.INT64, description="ledger entry after which to begin; now by default")]


@router.get("/stream/candidates", summary="New candidates as server-sent events", response_class=StreamingResponse)
async def new_candidates(
    request: Request,
    access: Reading,
    classifier: p.Name = "stamp_classifier",
    class_name: p.Name = "SN",
    min_probability: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)] = 0.0,
    after: Entry = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=p.INT64)] = None,
) -> StreamingResponse:
    if len(_listening) >= _MOST:
        raise HTTPException(503, "too many listen already; try again later")
    start = last_event_id if last_event_id is not None else after
    if start is None:
        start = await run_in_threadpool(_now, access)
    chosen = (classifier or "stamp_classifier", class_name or "SN")
    events = _events(request, access, *chosen, start, min_probability)
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _events(
    request: Request, access: Access, classifier: str, class_name: str, after: int, min_probability: float
) -> AsyncIterator[bytes]:
    me = object()
    _listening.add(me)
    try:
        yield b": listening\n\n"
        quiet = 0
        while not await request.is_disconnected():
            batches = await run_in_threadpool(_new, access, classifier, class_name, after, min_probability)
            for batch in batches:
                after = batch.pop("entry")
                yield b"id: %d\nevent: candidates\ndata: %b\n\n" % (after, bytes(Json(batch).body))
            quiet = 0 if batches else quiet + 1
            if quiet >= _ALIVE:
                quiet = 0
                yield b": nothing new\n\n"
            if not batches:
                await asyncio.sleep(_EVERY)
    finally:
        _listening.discard(me)


def _now(access: Access) -> int:
    with access.stores.database.reading() as connection:
        return candidates.newest_entry(connection)


def _new(access: Access, classifier: str, class_name: str, after: int, min_probability: float) -> list[dict]:
    with access.stores.database.reading() as connection:
        found = candidates.announced(connection, "ztf", classifier, class_name, after, min_probability)
    for batch in found:
        batch["alerts"] = [row | {"candid": str(row["candid"])} for row in batch["alerts"]]
    return found
