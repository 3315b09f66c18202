"""What surrounds every request: its id, its place in a trace, and its one line in the log."""

import re
from time import perf_counter

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from domain.shared.system import IdFactory
from entrypoints.http.card_data import contains_card_number

logger = structlog.stdlib.get_logger(__name__)

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
# https://www.w3.org/TR/trace-context/: version ff and ids of zeros are invalid, version 00 is no longer.
_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?"
)
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
        given_id = given_trace = b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given_id = value
            elif name == b"traceparent":
                given_trace = value
        request_id = self._request_id(given_id)
        clear_contextvars()
        bind_contextvars(request_id=request_id, traceparent=self._traceparent(given_trace))
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

    def _traceparent(self, given: bytes) -> str:
        """Our own span: in the caller's trace, or in a new one.

        A UUIDv7's last eight bytes are random but for two set bits, so they are never zero.
        """
        new = self._ids.event_id().hex
        found = _TRACEPARENT.fullmatch(given)
        if found and (found[1] != b"00" or found[4] is None):
            return f"00-{found[2].decode()}-{new[16:]}-{found[3].decode()}"
        return f"00-{new}-{new[16:]}-01"
