"""The whole way on real PostgreSQL and Valkey: log, relay, broker, worker, inbox; and what the broker may do to it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
import redis
from dramatiq import Broker
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.dramatiq.actor import declare_actor
from adapters.dramatiq.broker import WakingRedisBroker, make_broker
from adapters.dramatiq.publisher import DramatiqPublisher
from adapters.dramatiq.worker import run_worker
from outbox import AntiEntropy, Event, InboxView, OrderedInbox, Outbox, Pace, Relay, Waker
from outbox.signals import wait_any
from tests.integration.outbox.conftest import async_url
from tests.integration.outbox.events import event
from tests.integration.outbox.ledger import effects

PACE = Pace(round_seconds=0.1, grace_seconds=0.5)


class System:
    """All parts over one engine, and a wait for a number of effects that needs no polling."""

    def __init__(self, engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, url: str, dsn: str) -> None:
        self.engine, self.outbox, self.inbox = engine, outbox, inbox
        self.broker: Broker = make_broker(url)
        self.publisher = DramatiqPublisher(self.broker, {"facts": ["orders"]})
        self.waker = Waker(engine, outbox)
        self.relay = Relay(engine, outbox, self.publisher, listen_dsn=dsn)
        view = InboxView(engine, inbox, "facts")
        self.anti_entropy = AntiEntropy(engine, outbox, self.publisher, [view], pace=PACE)
        self._moved = asyncio.Event()
        declare_actor(self.broker, "orders", self._receive)

    async def _receive(self, events: Sequence[Event]) -> None:
        try:
            await self.inbox.receive(self.engine, events)
        finally:
            self._moved.set()

    async def _run_due(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(DBAPIError):
                await self.inbox.run_due(self.engine)
            self._moved.set()
            await wait_any(stop, seconds=0.1)

    async def append(self, *events: Event) -> None:
        async with self.engine.begin() as connection:
            await self.outbox.append(connection, events)
        self.waker.wake()

    async def wait_for(self, effects: int, engine: AsyncEngine | None = None) -> None:
        """Until there are so many effects. The database is asked: a commit may go through unheard."""
        while True:
            self._moved.clear()
            async with (engine or self.engine).connect() as connection:
                if (await connection.scalar(text("SELECT count(*) FROM effect")) or 0) >= effects:
                    return
            await self._moved.wait()

    @asynccontextmanager
    async def running(self, *, worker: bool = True) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(self.relay.run(stop))
            tasks.create_task(self.waker.run(stop))
            tasks.create_task(self.anti_entropy.run(stop))
            tasks.create_task(self._run_due(stop))
            if worker:
                tasks.create_task(run_worker(self.broker, stop))
            yield
            stop.set()

    def close(self) -> None:
        self.publisher.close()
        self.broker.close()


@pytest.fixture
async def system(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, valkey_url: str, empty_database_url: str
) -> AsyncIterator[System]:
    made = System(engine, outbox, inbox, valkey_url, empty_database_url)
    yield made
    made.close()


async def test_events_reach_the_consumer(system: System) -> None:
    async with system.running():
        for n in range(1, 21):
            await system.append(event("a", n), event("b", n))
        await system.wait_for(40)
    assert await effects(system.engine, "a") == list(range(1, 21))
    assert await effects(system.engine, "b") == list(range(1, 21))


async def test_a_broker_that_forgets_under_load_loses_nothing(system: System, valkey_url: str) -> None:
    streams = [f"s{n}" for n in range(10)]
    with redis.Redis.from_url(valkey_url) as client:
        async with system.running():
            for n in range(1, 41):
                await system.append(*(event(stream, n) for stream in streams))
                if n % 10 == 0:
                    await asyncio.to_thread(client.flushall)
            await system.wait_for(400)
    for stream in streams:
        assert await effects(system.engine, stream) == list(range(1, 41))


async def test_what_a_dead_worker_had_in_hand_comes_again(system: System) -> None:
    assert isinstance(system.broker, WakingRedisBroker)
    await system.append(*(event("a", n) for n in range(1, 6)))
    assert await system.relay.drain() == 5
    dead = system.broker.consume("orders", prefetch=10, timeout=10)
    assert next(dead) is not None  # fetched, never acknowledged
    dead.close()

    async with system.running():
        await system.wait_for(5)
    assert await effects(system.engine, "a") == [1, 2, 3, 4, 5]


async def test_a_worker_that_stops_finishes_what_is_in_hand(system: System) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    receive = system.inbox.receive

    async def slow(engine: AsyncEngine, events: Sequence[Event]) -> object:
        begun.set()
        await go_on.wait()
        return await receive(engine, events)

    system.inbox.receive = slow  # type: ignore[method-assign, assignment]
    await system.append(event("a", 1))
    await system.relay.drain()
    stop = asyncio.Event()
    worker = asyncio.create_task(run_worker(system.broker, stop))
    await begun.wait()
    stop.set()
    go_on.set()
    await worker

    assert await effects(system.engine, "a") == [1]
    assert await system.publisher.delay_seconds() == 0.0


async def test_an_unreadable_message_does_not_stop_the_queue(system: System) -> None:
    actor = system.broker.get_actor("apply_events_orders")
    actor.send("not a batch")
    async with system.running():
        await system.append(event("a", 1))
        await system.wait_for(1)
    assert await effects(system.engine, "a") == [1]


async def test_a_database_that_ends_all_sessions_costs_no_event(
    system: System, empty_database_url: str
) -> None:
    writers = create_async_engine(async_url(empty_database_url), poolclass=NullPool)
    async with system.running():
        for n in range(1, 31):
            async with writers.begin() as connection:
                await system.outbox.append(connection, [event("a", n), event("b", n)])
            system.waker.wake()
            if n % 10 == 0:
                async with writers.connect() as connection:
                    await connection.execute(
                        text(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        )
                    )
        await system.wait_for(60, writers)
    await system.engine.dispose()  # its pool may still hold connections whose backends were ended
    assert await effects(system.engine, "a") == list(range(1, 31))
    assert await effects(system.engine, "b") == list(range(1, 31))
