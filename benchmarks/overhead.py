"""How long each request of an HTTP process takes, and how much of that it waits for database and gateway."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import asyncpg
import stripe

from entrypoints.http.request_context import RequestContext

_spent: ContextVar[dict[str, float] | None] = ContextVar("spent", default=None)
_DATABASE = (
    *((asyncpg.Connection, name) for name in ("execute", "fetch", "fetchrow", "fetchval")),
    *((asyncpg.prepared_stmt.PreparedStatement, name) for name in ("fetch", "fetchrow", "fetchval")),
)


class Overhead:
    """Watches every request from `install` on; `calls` are seconds by path: of all, database and gateway."""

    def __init__(self) -> None:
        self.calls: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)

    def install(self) -> None:
        for kind, name in _DATABASE:
            setattr(kind, name, _timed("database", getattr(kind, name)))
        request = stripe.StripeClient.raw_request_async
        setattr(stripe.StripeClient, request.__name__, _timed("gateway", request))
        handle = RequestContext.__call__
        calls = self.calls

        async def watched(context: RequestContext, scope: Any, receive: Any, send: Any) -> None:
            spent = {"database": 0.0, "gateway": 0.0}
            _spent.set(spent)
            begun = time.perf_counter()
            await handle(context, scope, receive, send)
            if scope["type"] == "http":
                whole = time.perf_counter() - begun
                calls[scope["path"]].append((whole, spent["database"], spent["gateway"]))

        setattr(RequestContext, handle.__name__, watched)


def _timed(what: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def timed(*arguments: Any, **named: Any) -> Any:
        spent = _spent.get()
        begun = time.perf_counter()
        try:
            return await function(*arguments, **named)
        finally:
            if spent is not None:
                spent[what] += time.perf_counter() - begun

    return timed
