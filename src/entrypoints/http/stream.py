"""`/v1/orders/{orderId}/stream`: what happens to an order, live, as Server-Sent Events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
from litestar import get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from domain.orders.history import Recorded
from domain.orders.timeline import seen_by, tell
from domain.shared.callers import Caller
from entrypoints.http import examples
from entrypoints.http.bodies import malformed
from entrypoints.http.container import container_of
from entrypoints.http.explain import entry_answer
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, read_order_id
from entrypoints.http.problems import Fault, Problem
from entrypoints.http.queries import read_query
from entrypoints.http.schemas.timeline import StreamQuery
from entrypoints.streams import OrderStreams

HEARTBEAT_SECONDS = 15.0
"""Shorter than the idle time-outs of proxies, of which 30 s is the shortest usual one."""
RETRY_MILLISECONDS = 2_000
"""How long a client waits before it comes back."""
STREAMS_PER_CALLER = 20

_ENCODER = msgspec.json.Encoder()

STREAM = Operation(
    operation_id="streamOrder",
    tag="Orders",
    summary="What happens to an order, live",
    description=(
        "Server-Sent Events: each `data` is an entry of the order's history as `explain` has it, each `id` its "
        "`position`. What has happened comes first, then what happens. A client that comes back with "
        "`Last-Event-ID`, or `lastEventId` in the query, goes on behind that position, to any process. The stream "
        "ends when the token expires, when the client is too slow, and when the server stops."
    ),
    scopes=("orders:read",),
    query=StreamQuery,
    optional_headers={"Last-Event-ID": "The position of the last entry received: go on behind it."},
    answer=str,
    answer_example=examples.STREAM,
    media_type="text/event-stream",
    problems={404: ("order_not_found",), 429: ("too_many_streams",), 503: ("streams_exhausted",)},
)


@get("/v1/orders/{orderId:str}/stream", **route(STREAM))
async def stream_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    after = _position(request)
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
    return _EventStream(streams, order_id, after, request.user, lambda: container.clock.now().timestamp())


ROUTES = [stream_order]


def _position(request: ApiRequest) -> int:
    """Where to go on. Raises Problem 400 for a `Last-Event-ID` that is none of ours."""
    query = read_query(request, StreamQuery)
    header = request.headers.get("last-event-id", "").strip()
    if not header:
        return query.last_event_id
    if not (header.isascii() and header.isdigit() and len(header) <= 18):
        raise malformed("request", [Fault("Last-Event-ID", "This is not a position of ours.")])
    return int(header)


class _EventStream(ASGIResponse):
    """Sends until the client goes, the token expires or the listener is over."""

    __slots__ = ("_after", "_caller", "_now", "_order_id", "_streams")

    _should_set_content_length = False

    def __init__(
        self, streams: OrderStreams, order_id: str, after: int, caller: Caller, now: Callable[[], float]
    ) -> None:
        super().__init__(
            media_type="text/event-stream",
            # No cache keeps it, and no proxy waits for more before it passes on what there is.
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._streams = streams
        self._order_id = order_id
        self._after = after
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
        async with self._streams.listen(self._order_id, self._after) as listener:
            while True:
                taken = await listener.take(min(HEARTBEAT_SECONDS, self._seconds_left()))
                yield b"".join(map(self._event, taken)) or b": still here\n\n"
                if listener.is_over or self._seconds_left() <= 0:
                    return

    def _event(self, recorded: Recorded) -> bytes:
        """Nothing where this caller may see nothing of it."""
        entry = seen_by(self._caller, tell(recorded))
        if entry is None:
            return b""
        return b"id: %d\ndata: %s\n\n" % (recorded.position, _ENCODER.encode(entry_answer(entry)))

    def _seconds_left(self) -> float:
        """Until the token expires."""
        expires = self._caller.expires_at
        return HEARTBEAT_SECONDS if expires is None else expires - self._now()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
