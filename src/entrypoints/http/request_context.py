"""What surrounds every request: its id, its place in a trace, and its one line in the log."""

import re
from time import perf_counter

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from domain.shared.system import IdFactory
from entrypoints.http.card_data import contains_card_number
from entrypoints.traces import continued, trace_fields

logger = structlog.stdlib.get_logger(__name__)

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestContext:
    """The outermost layer, around the routing too, so that an unknown path has an id and a line as well."""

    def __init__(self, app: ASGIApp, ids: IdFactory) -> None:
        self._app = app
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        given_id = b""
        given_traces: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given_id = value
            elif name == b"traceparent":
                given_traces.append(value)
        request_id = self._request_id(given_id)
        # Two of them are joined as HTTP joins them, which is no valid one.
        traceparent = continued(b",".join(given_traces).decode("latin-1"), self._ids)
        clear_contextvars()
        bind_contextvars(request_id=request_id, **trace_fields(traceparent))
        header = (b"x-request-id", request_id.encode("ascii"))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                start: HTTPResponseStartEvent = message
                status = start["status"]
                start["headers"] = [*start["headers"], header]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            method = scope["method"]
            logger.info(
                "request",
                # The template, never the path or the query: those hold what clients put into them.
                method=method if method in _METHODS else "OTHER",
                route=scope.get("path_template") or "",
                status=status,
                duration_ms=round((perf_counter() - started) * 1000, 2),
            )

    def _request_id(self, given: bytes) -> str:
        """The caller's own id where it is sane; one with a card number in it is not."""
        if _REQUEST_ID.fullmatch(given):
            text = given.decode("ascii")
            if not contains_card_number(text):
                return text
        return self._ids.new("req")
