"""The whole way on real PostgreSQL and Valkey: log, relay, broker, worker, inbox; and what the broker may do to it."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.dramatiq.broker import WakingRedisBroker
from adapters.dramatiq.worker import run_worker
from outbox import Event, OrderedInbox, Outbox, Pace
from tests.integration.outbox.conftest import async_url
from tests.integration.outbox.events import event
from tests.integration.outbox.ledger import effects
from tests.integration.outbox.system import System

FLUSHALL_SECONDS = 15  # from a broker that lost everything to the last effect of what was committed before


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


async def test_a_broker_that_forgets_again_and_again_loses_nothing(system: System, valkey_url: str) -> None:
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


class Load:
    """Appends to twenty streams, transaction after transaction, until it is stopped."""

    STREAMS = tuple(f"s{n}" for n in range(20))

    def __init__(self, system: System) -> None:
        self._system = system
        self._stopped = False
        self.committed = 0  # transactions, which is events in each stream
        self.in_full_swing = asyncio.Event()

    async def run(self) -> None:
        while not self._stopped:
            number = self.committed + 1
            await self._system.append(*(event(stream, number) for stream in self.STREAMS))
            self.committed = number
            if number >= 100:
                self.in_full_swing.set()

    def stop(self) -> None:
        self._stopped = True


def flush(client: "redis.Redis") -> int:
    """FLUSHALL; how many messages it took away that no worker had fetched."""
    with client.pipeline(transaction=True) as pipeline:
        pipeline.llen("payonce:orders")
        pipeline.flushall()
        queued, _ = pipeline.execute()
    return int(queued)


async def test_after_flushall_under_load_every_event_is_applied_in_time(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, valkey_url: str, empty_database_url: str
) -> None:
    """At the pace of production. The load goes on meanwhile: what came later has to wait for nothing either."""
    system = System(engine, outbox, inbox, valkey_url, empty_database_url, Pace())
    load = Load(system)
    with redis.Redis.from_url(valkey_url) as client:
        async with system.running(), asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            await load.in_full_swing.wait()
            while not await asyncio.to_thread(flush, client):
                pass  # nothing was queued at that moment, so nothing was lost
            before = load.committed
            async with asyncio.timeout(FLUSHALL_SECONDS):
                await system.wait_for(before * len(load.STREAMS), up_to=before)
            load.stop()
            async with asyncio.timeout(FLUSHALL_SECONDS):
                await system.wait_for(load.committed * len(load.STREAMS))
    for stream in load.STREAMS:
        assert await effects(engine, stream) == list(range(1, load.committed + 1))
    system.close()


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
