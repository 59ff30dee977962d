"""How often one client may ask: a moving window for each address, in each process of the server."""

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from alerce_dagster.errors import InputError
from alerce_dagster.web.answers import failed

_FREE = ("/static/",)  # what a page consists of; else one page would count a dozen times


def rate_of(text: str) -> RateLimitItem:
    """The rate that a text says, as `300/minute` or `20 per 5 seconds`.

    Raises
    ------
    InputError
        When it says none.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise InputError(f"ALERCE_WEB_RATE is {text!r}; write it as 300/minute or 20 per 5 seconds") from error


class RateLimit:
    """Answers 429, with the seconds to wait, to whom asks more often than the rate."""

    def __init__(self, app: ASGIApp, rate: RateLimitItem) -> None:
        self.app = app
        self.rate = rate
        self.limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_FREE):
            who = scope["client"][0] if scope.get("client") else "unknown"
            if not self.limiter.hit(self.rate, who):
                wait = max(1, math.ceil(self.limiter.get_window_stats(self.rate, who).reset_time - time.time()))
                answer = failed(429, f"more than {self.rate} from {who}; ask again in {wait} s")
                answer.headers["Retry-After"] = str(wait)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)
