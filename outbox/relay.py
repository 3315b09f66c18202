"""Publishes what is new in the log: any number at once, without a leader, a lease or a heartbeat."""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from outbox.cursor import READING, LogReader
from outbox.database import transaction
from outbox.event import Event
from outbox.listening import listening
from outbox.log import Outbox
from outbox.publisher import Publisher, PublishFailed
from outbox.signals import wait_any

logger = logging.getLogger(__name__)

PUBLISH_SECONDS = 20.0  # one page; less than a reading session may idle, or a slow broker would cost it
CLOSE_POLL_SECONDS = 0.02
CLOSE_POLL_FOR_SECONDS = 0.2  # after the last event
LONG_POLL_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 10.0


class Relay:
    """One relay. `page` is in events per lane; `listen_dsn` a direct connection for LISTEN, not a pooler's.

    Without `listen_dsn` it finds new events by polling alone.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        outbox: Outbox,
        publisher: Publisher,
        *,
        page: int = 500,
        listen_dsn: str | None = None,
    ) -> None:
        self._engine = engine
        self._outbox = outbox
        self._publisher = publisher
        self._reader = LogReader(outbox, publisher.name, page=page)
        self._page = page
        self._listen_dsn = listen_dsn
        self._woken = asyncio.Event()

    async def drain(self) -> int:
        """Publish what is new in every lane that nobody else holds; the number of events.

        Raises PublishFailed where the broker refuses, and whatever the driver raises where the
        database is away. Nothing is lost by either: the cursor stands where it stood.
        """
        published = 0
        busy = False
        while True:
            # While there is much to do, half of the lanes are left to another relay.
            limit = (self._outbox.lanes + 1) // 2 if busy else None
            count, more = await self._pass(limit)
            published += count
            if not more and limit is None:
                return published
            busy = more

    async def _pass(self, limit: int | None) -> tuple[int, bool]:
        """One page of each lane that can be locked: how many events, and whether a page was full."""
        reader = self._reader
        await reader.prepare(self._engine)
        async with transaction(self._engine, first=reader.locking(limit), **READING) as connection:
            places = await reader.places(connection)
            if places is None:
                return 0, False
            before = places.cursors
            if places.are_rebased:
                await reader.append(connection, before)
                return 0, True
            found, after = await reader.read(connection, before, places.snapshot)
            if found:
                await self._publish([logged.event for logged in found])
            moved = {logged.lane for logged in found}
            # An idle lane's cursor stays: an entry for each poll would be a write for nothing.
            changed = [
                new
                for old, new in zip(before, after, strict=True)
                if old.lane in moved or old.is_unfinished or old.entry == 0
            ]
            if changed:
                await reader.append(connection, changed)
        # A target that was finished just now is older than what may have come since.
        return len(found), any(cursor.is_unfinished for cursor in (*before, *after))

    async def _publish(self, events: list[Event]) -> None:
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._publisher.publish(events)
        except TimeoutError as error:
            raise PublishFailed(f"the broker did not answer within {PUBLISH_SECONDS:g} s") from error

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, woken by notifications, polling closely after work and rarely when idle.

        A broker or a database that is away is tried again with a growing pause, logged once per try.
        """
        failures = 0
        loop = asyncio.get_running_loop()
        last_work = loop.time() - CLOSE_POLL_FOR_SECONDS
        async with listening(self._listen_dsn, self._outbox.channel, self._woken.set, stop):
            while not stop.is_set():
                self._woken.clear()
                try:
                    published = await self.drain()
                except Exception as error:  # noqa: BLE001 - tried again; asyncpg's errors know no bounds
                    pause = min(FIRST_BACKOFF_SECONDS * 2**failures, LONGEST_BACKOFF_SECONDS)
                    failures += 1
                    logger.warning("relay of %s pauses for %.1f s: %r", self._outbox.schema, pause, error)
                    await wait_any(stop, seconds=pause)
                    continue
                failures = 0
                if published:
                    last_work = loop.time()
                close = loop.time() - last_work < CLOSE_POLL_FOR_SECONDS
                await wait_any(stop, self._woken, seconds=CLOSE_POLL_SECONDS if close else LONG_POLL_SECONDS)
