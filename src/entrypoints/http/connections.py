"""What a connection may send: bounded heads and messages, within a bounded time.

uvicorn bounds none of these with httptools: a head without end would fill the memory, and one that
never ends, or a body that trickles, would hold its connection for good (Slowloris).
"""

import asyncio
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.system.ids import SystemIds
from entrypoints.http.answers import PROBLEM
from entrypoints.http.bodies import MAX_BODY_BYTES
from entrypoints.http.problems import Problem

logger = structlog.stdlib.get_logger(__name__)

_ids = SystemIds()

MAX_URL_BYTES = 8 * 1024
MAX_HEADERS = 100
MAX_HEAD_BYTES = 32 * 1024
"""Of all headers together; a bearer token may have 8 KiB."""
MAX_MESSAGE_BYTES = 4 * MAX_BODY_BYTES
"""A connection that sends more in one request is closed, whatever of it is body, chunk sizes or trailers."""


class Connection(HttpToolsProtocol):
    """One connection of a client. Whatever it does wrong is answered by a problem, and ends it."""

    head_seconds = 10.0
    """From a connection's beginning, or a request's first byte, to the end of its headers."""
    body_seconds = 30.0
    """From there to the end of the body."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True  # or between two requests
        self._has_begun = False
        self._received = self._head_bytes = self._header_count = 0
        self._refusal: Problem | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """An idle connection ends at once: a client that only keeps it would not answer TLS's farewell for half a
        minute, for which the end would wait."""
        super().shutdown()
        if (
            self.scheme == "https"
            and self.transport.is_closing()
            and not self.transport.get_write_buffer_size()
        ):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._timer is None and self._in_head:
            self._await_head()
        self._received += len(data)
        super().data_received(data)
        if self._in_head and self._received > MAX_HEAD_BYTES:
            self._refuse(_too_large_head())
        elif self._received > MAX_MESSAGE_BYTES:
            self._refuse(Problem(413, "body_too_large", "The request is too large."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_begun = True
        self._received = self._head_bytes = self._header_count = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._give_up(Problem(414, "url_too_long", f"The address has more than {MAX_URL_BYTES} bytes."))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if self._header_count > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._give_up(_too_large_head())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._stop_timer()
        self._in_head = False
        self._timer = self.loop.call_later(self.body_seconds, self._too_slow)

    def on_message_complete(self) -> None:
        self._stop_timer()
        self._in_head, self._has_begun = True, False
        self._received = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Whatever cannot be parsed ends here, as does what `_give_up` has stopped."""
        self._refuse(self._refusal or Problem(400, "bad_request", "This is not a valid HTTP request."))

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self._has_begun:  # nothing was asked: there is nothing to answer
            self.transport.close()
        else:
            self._refuse(Problem(408, "request_timeout", "The request did not come to its end in time."))

    def _give_up(self, problem: Problem) -> None:
        """Stop the parser, which calls us."""
        self._refusal = problem
        raise ValueError(problem.code)

    def _refuse(self, problem: Problem) -> None:
        """Answer where that cannot be taken for an earlier request's answer, and close."""
        if self.transport.is_closing():
            return
        logger.info("connection_refused", status=problem.status, code=problem.code)
        last = self.cycle
        if last is None or (last.response_complete if self._in_head else not last.response_started):
            self.transport.write(_raw(problem))
        self.transport.close()


def connections(head_seconds: float, body_seconds: float) -> type[Connection]:
    """The connections of a server, with these patiences."""
    return type(
        Connection.__name__, (Connection,), {"head_seconds": head_seconds, "body_seconds": body_seconds}
    )


def _too_large_head() -> Problem:
    return Problem(
        431,
        "headers_too_large",
        f"The headers are more than {MAX_HEADERS}, or have more than {MAX_HEAD_BYTES} bytes.",
    )


def _raw(problem: Problem) -> bytes:
    answer = problem.answer()
    head = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        f"content-type: {PROBLEM}\r\n"
        f"content-length: {len(answer.body)}\r\n"
        f"x-request-id: {_ids.new('req')}\r\n"
        "cache-control: no-store\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + answer.body
