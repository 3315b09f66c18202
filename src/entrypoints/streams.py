"""Whoever follows orders live: one look at the database for all of them, and a bounded queue for each.

The history is the queue's truth: an entry that a listener has not taken is read again from there, by a
listener that comes back with the position of the last one it had.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog

from domain.orders.history import Recorded
from outbox import listening

logger = structlog.stdlib.get_logger(__name__)

POLL_SECONDS = 0.5
"""Between two looks where nobody wakes us: behind a pooler, and for what a request changed that asks for no effect."""
PAUSE_AFTER_FAILURE_SECONDS = 2.0
ROWS_AT_ONCE = 100
"""Of one order, at one look."""
LOOKS_AT_ONCE = 3
"""Of listeners that look up more: most of the connections are left to requests."""
QUEUED = 256
"""Entries that wait for one listener; one that lets more wait is cut off, and may come back."""


class Listener:
    """One client that follows one order."""

    def __init__(self, order_id: str, position: int) -> None:
        self.order_id = order_id
        self.position = position
        """Of the last entry that was queued."""
        self.is_over = False
        """Whether it is to be sent no more: it was too slow, or the server stops."""
        self._queue: deque[Recorded] = deque()
        self._changed = asyncio.Event()

    def offer(self, recorded: Recorded) -> None:
        """Queue an entry, unless it was before."""
        if self.is_over or recorded.position <= self.position:
            return
        if len(self._queue) == QUEUED:
            self.end()
            return
        self.position = recorded.position
        self._queue.append(recorded)
        self._changed.set()

    def end(self) -> None:
        self.is_over = True
        self._changed.set()

    async def take(self, seconds: float) -> list[Recorded]:
        """What is queued, as soon as there is something, or nothing after so long or at the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return []
        taken = list(self._queue)
        self._queue.clear()
        if not self.is_over:
            self._changed.clear()
        return taken


ReadBehind = Callable[[Mapping[str, int], int], Awaitable[Sequence[Recorded]]]
"""The entries of many orders, each behind its own position, at most so many of each."""


class OrderStreams:
    """The listeners of this process, at most `limit`; `run` feeds them.

    `listen_dsn` leads to the order side's database itself; without one it is polled alone.
    """

    def __init__(self, read: ReadBehind, *, listen_dsn: str | None, channel: str, limit: int) -> None:
        self._read = read
        self._listen_dsn = listen_dsn
        self._channel = channel
        self._limit = limit
        self._listeners: dict[str, set[Listener]] = {}
        self._read_up_to: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self.looking = asyncio.Semaphore(LOOKS_AT_ONCE)
        """For listeners that want to look up more than the rows."""
        self._woken = asyncio.Event()
        self._wanted = asyncio.Event()
        self._is_closed = False

    @property
    def count(self) -> int:
        """How many slots are taken."""
        return sum(self._slots.values())

    def count_of(self, subject: str) -> int:
        return self._slots.get(subject, 0)

    @property
    def is_full(self) -> bool:
        return self._is_closed or self.count >= self._limit

    def take_slot(self, subject: str) -> None:
        self._slots[subject] = self._slots.get(subject, 0) + 1

    def give_back_slot(self, subject: str) -> None:
        self._slots[subject] -= 1
        if not self._slots[subject]:
            del self._slots[subject]

    @asynccontextmanager
    async def listen(self, order_id: str, position: int) -> AsyncIterator[Listener]:
        """Follow an order behind a position."""
        listener = Listener(order_id, position)
        self._listeners.setdefault(order_id, set()).add(listener)
        # Whatever has been read of this order for others, this one lacks all that is behind its position.
        self._read_up_to[order_id] = min(position, self._read_up_to.get(order_id, position))
        self._wanted.set()
        self._woken.set()
        if self._is_closed:
            listener.end()
        try:
            yield listener
        finally:
            self._listeners[order_id].discard(listener)
            if not self._listeners[order_id]:
                del self._listeners[order_id], self._read_up_to[order_id]

    def close(self) -> None:
        """End every stream: their clients come back, to another process or to this one's successor."""
        self._is_closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end()

    async def run(self, stop: asyncio.Event) -> None:
        """Feed the listeners until `stop`; while there are none, nothing is asked and nobody listens."""
        stopped: asyncio.Task[bool] = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await _first(stopped, self._wanted)
                self._wanted.clear()
                async with listening(self._listen_dsn, self._channel, self._woken.set, stop):
                    while self._listeners and not stop.is_set():
                        pause = await self._feed()
                        await _first(stopped, self._woken, seconds=pause)
        finally:
            stopped.cancel()
            self.close()

    async def _feed(self) -> float:
        """Queue what is new; how long to wait for the next look."""
        self._woken.clear()
        asked = dict(self._read_up_to)
        try:
            found = await self._read(asked, ROWS_AT_ONCE)
        except Exception as error:  # noqa: BLE001 - tried again; asyncpg's errors know no bounds
            logger.warning("streams_not_fed", error=repr(error))
            return PAUSE_AFTER_FAILURE_SECONDS
        by_order: dict[str, list[Recorded]] = {}
        for recorded in found:
            by_order.setdefault(recorded.order_id, []).append(recorded)
        for order_id, rows in by_order.items():
            self._offer(rows, behind=asked[order_id])
            # One that came meanwhile may want what is before: then this stays, and is read again.
            if self._read_up_to.get(order_id) == asked[order_id]:
                self._read_up_to[order_id] = rows[-1].position
        # A full page may have more behind it, and who came meanwhile waits for their first.
        is_unfinished = any(len(rows) == ROWS_AT_ONCE for rows in by_order.values())
        return 0.0 if is_unfinished or self._woken.is_set() else POLL_SECONDS

    def _offer(self, rows: Sequence[Recorded], *, behind: int) -> None:
        """Rows without a gap behind a position, to whoever has all that is before them."""
        for listener in self._listeners.get(rows[0].order_id, ()):
            if listener.position >= behind:
                for recorded in rows:
                    listener.offer(recorded)


async def _first(
    stopped: "asyncio.Task[bool]", event: asyncio.Event, *, seconds: float | None = None
) -> None:
    """Wait for either, or so long."""
    waiting: asyncio.Task[bool] = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({stopped, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
