"""Log, relay, broker, worker and inbox in one process, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from dramatiq import Broker
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.dramatiq.actor import declare_actor
from adapters.dramatiq.broker import make_broker
from adapters.dramatiq.publisher import DramatiqPublisher
from adapters.dramatiq.worker import run_worker
from outbox import AntiEntropy, Event, InboxView, OrderedInbox, Outbox, Pace, Relay, Waker
from outbox.signals import wait_any

EAGER = Pace(round_seconds=0.1, grace_seconds=0.5)


class System:
    """All parts over one engine, and a wait for a number of effects that needs no polling."""

    def __init__(
        self,
        engine: AsyncEngine,
        outbox: Outbox,
        inbox: OrderedInbox,
        url: str,
        dsn: str,
        pace: Pace = EAGER,
    ) -> None:
        self.engine, self.outbox, self.inbox = engine, outbox, inbox
        self.broker: Broker = make_broker(url)
        self.publisher = DramatiqPublisher(self.broker, {"facts": ["orders"]})
        self.waker = Waker(engine, outbox)
        self.relay = Relay(engine, outbox, self.publisher, listen_dsn=dsn)
        view = InboxView(engine, inbox, "facts")
        self.anti_entropy = AntiEntropy(engine, outbox, self.publisher, [view], pace=pace)
        self._moved = asyncio.Event()
        declare_actor(self.broker, "orders", self._receive)

    async def _receive(self, events: Sequence[Event]) -> None:
        try:
            await self.inbox.receive(self.engine, events)
        finally:
            self._moved.set()

    async def _run_due(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(Exception):  # asyncpg's errors know no bounds where a session is ended
                await self.inbox.run_due(self.engine)
            self._moved.set()
            await wait_any(stop, seconds=0.1)

    async def append(self, *events: Event) -> None:
        async with self.engine.begin() as connection:
            await self.outbox.append(connection, events)
        self.waker.wake()

    async def wait_for(
        self, effects: int, engine: AsyncEngine | None = None, *, up_to: int | None = None
    ) -> None:
        """Until there are so many effects, of events numbered up to `up_to` where that is given.

        The database is asked: a commit may go through unheard.
        """
        counted = text("SELECT count(*) FROM effect WHERE sequence <= coalesce(:up_to, sequence)")
        while True:
            self._moved.clear()
            async with (engine or self.engine).connect() as connection:
                if (await connection.scalar(counted, {"up_to": up_to}) or 0) >= effects:
                    return
            await self._moved.wait()

    @asynccontextmanager
    async def running(self, *, anti_entropy: bool = True) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(self.relay.run(stop))
            tasks.create_task(self.waker.run(stop))
            if anti_entropy:
                tasks.create_task(self.anti_entropy.run(stop))
            tasks.create_task(self._run_due(stop))
            tasks.create_task(run_worker(self.broker, stop))
            yield
            stop.set()

    def close(self) -> None:
        self.publisher.close()
        self.broker.close()
