"""`/v1/orders/{orderId}/stream`: what happens to an order, live, as Server-Sent Events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec
from litestar import get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from domain.orders.history import Recorded
from domain.orders.live_timeline import LiveTimeline
from domain.orders.timeline import seen_by, tell
from domain.shared.callers import Caller
from domain.shared.errors import Unavailable
from domain.shared.timeline import TimelineEntry
from entrypoints.bootstrap import Container
from entrypoints.http import examples
from entrypoints.http.bodies import malformed
from entrypoints.http.container import container_of
from entrypoints.http.explain import entry_answer
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, read_order_id
from entrypoints.http.problems import Fault, Problem
from entrypoints.http.queries import read_query
from entrypoints.http.schemas.timeline import StreamEvent, StreamQuery
from entrypoints.streams import Listener, OrderStreams

HEARTBEAT_SECONDS = 15.0
"""Shorter than the idle time-outs of proxies, of which 30 s is the shortest usual one."""
SETTLING_SECONDS = 2.0
"""After a row: what belongs to it and comes from elsewhere has come by then."""
RETRY_MILLISECONDS = 2_000
"""How long a client waits before it comes back."""
STREAMS_PER_CALLER = 20

_ENCODER = msgspec.json.Encoder()

STREAM = Operation(
    operation_id="streamOrder",
    tag="Orders",
    summary="What happens to an order, live",
    description=(
        "Server-Sent Events: each `data` is an entry as `explain` has it. What has happened comes first, then what "
        "happens. Entries of the order's history have their `position` as `id`: a client that comes back with "
        "`Last-Event-ID`, or `lastEventId` in the query, goes on behind it, at any process, and gets each of them "
        "once. Entries without an `id` may come again, by the same `ids`. The stream ends when the token expires, when the client is too slow, and when the server stops."
    ),
    scopes=("orders:read",),
    query=StreamQuery,
    optional_headers={"Last-Event-ID": "The position of the last entry received: go on behind it."},
    answer=StreamEvent,
    answer_example=examples.STREAM,
    media_type="text/event-stream",
    problems={404: ("order_not_found",), 429: ("too_many_streams",), 503: ("streams_exhausted",)},
)


@get("/v1/orders/{orderId:str}/stream", **route(STREAM))
async def stream_order(request: ApiRequest) -> ASGIResponse:
    return await open_stream(request, read_order_id(request), read_position(request))


async def open_stream(request: ApiRequest, order_id: str, after: int) -> ASGIResponse:
    """The stream of an order of this caller, behind a position. Raises OrderNotFound, and Problem 429 and 503."""
    container = container_of(request.app)
    await container.orders.get_order(request.user, order_id)  # whose it is
    streams = container.streams
    if streams.is_full:
        raise Problem(
            503, "streams_exhausted", "This process has no stream left.", headers={"Retry-After": "5"}
        )
    if streams.count_of(request.user.subject) >= STREAMS_PER_CALLER:
        detail = f"A caller may have {STREAMS_PER_CALLER} streams at a time."
        raise Problem(429, "too_many_streams", detail, headers={"Retry-After": "5"})
    told = (
        _Whole(container, request.user, order_id, after)
        if _sees_all(request.user)
        else _History(request.user)
    )
    return _EventStream(
        streams.listen(order_id, after),
        streams,
        told,
        request.user,
        lambda: container.clock.now().timestamp(),
    )


ROUTES = [stream_order]


def read_position(request: ApiRequest) -> int:
    """Where to go on. Raises Problem 400 for a `Last-Event-ID` that is none of ours."""
    query = read_query(request, StreamQuery)
    header = request.headers.get("last-event-id", "").strip()
    if not header:
        return query.last_event_id
    if not (header.isascii() and header.isdigit() and len(header) <= 18):
        raise malformed("request", [Fault("Last-Event-ID", "This is not a position of ours.")])
    return int(header)


def _sees_all(caller: Caller) -> bool:
    return "operations:read" in caller.scopes


class _Teller(Protocol):
    """Turns rows of the history into what this caller is told."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be told without another row."""
        ...

    async def entries(self, rows: Sequence[Recorded]) -> Sequence[TimelineEntry]: ...


class _History:
    """The rows alone, as far as customers see them."""

    is_settled = True

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def entries(self, rows: Sequence[Recorded]) -> Sequence[TimelineEntry]:
        seen = (seen_by(self._caller, tell(row)) for row in rows)
        return [entry for entry in seen if entry is not None]


class _Whole:
    """All that `explain` tells: with each row also what the payment side and the inboxes have to say by then."""

    def __init__(self, container: Container, caller: Caller, order_id: str, after: int) -> None:
        self.is_settled = True
        self._explain = container.orders.explain_order
        self._looking = container.streams.looking
        self._caller = caller
        self._order_id = order_id
        self._live = LiveTimeline(after)

    async def entries(self, rows: Sequence[Recorded]) -> Sequence[TimelineEntry]:
        # The last webhooks and effects come just after the row that they belong to: one more look is for them.
        self.is_settled = not rows
        try:
            async with self._looking:
                explained = await self._explain(self._caller, self._order_id)
        except Unavailable:
            return [tell(row) for row in rows]
        told = list(self._live.news(explained.timeline, {row.position for row in rows}))
        positions = {entry.position for entry in told}
        return [*told, *(tell(row) for row in rows if row.position not in positions)]


class _EventStream(ASGIResponse):
    """Sends until the client goes, the token expires or the listener is over."""

    __slots__ = ("_caller", "_listening", "_now", "_streams", "_teller")

    _should_set_content_length = False

    def __init__(
        self,
        listening: AbstractAsyncContextManager[Listener],
        streams: OrderStreams,
        teller: _Teller,
        caller: Caller,
        now: Callable[[], float],
    ) -> None:
        super().__init__(
            media_type="text/event-stream",
            # No cache keeps it, and no proxy waits for more before it passes on what there is.
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._listening = listening
        self._streams = streams
        self._teller = teller
        self._caller = caller
        self._now = now

    async def send_body(self, send: Send, receive: Receive) -> None:
        self._streams.take_slot(self._caller.subject)
        writing = asyncio.ensure_future(self._write(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            writing.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)
            self._streams.give_back_slot(self._caller.subject)
        if not writing.cancelled():
            writing.result()

    async def _write(self, send: Send) -> None:
        async for part in self._parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _parts(self) -> AsyncIterator[bytes]:
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        async with self._listening as listener:
            while (left := self._seconds_left()) > 0:
                pause = HEARTBEAT_SECONDS if self._teller.is_settled else SETTLING_SECONDS
                rows = await listener.take(min(pause, left))
                if rows or not self._teller.is_settled:
                    part = b"".join(map(_event, await self._teller.entries(rows)))
                elif listener.is_over or left <= pause:
                    return  # Not by the clock alone: a timer may ring a moment before it says so.
                else:
                    part = b": still here\n\n"
                if part:
                    yield part
                if listener.is_over:
                    return

    def _seconds_left(self) -> float:
        """Until the token expires."""
        expires = self._caller.expires_at
        return math.inf if expires is None else expires - self._now()


def _event(entry: TimelineEntry) -> bytes:
    """With the `id` behind which a client goes on, where the entry is of the history."""
    place = b"" if entry.position is None else b"id: %d\n" % entry.position
    return b"%sdata: %s\n\n" % (place, _ENCODER.encode(entry_answer(entry)))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
