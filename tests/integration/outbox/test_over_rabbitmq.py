"""The whole way on real PostgreSQL and RabbitMQ: what it confirmed lasts, and what it loses all the same comes again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import OrderedInbox, Outbox
from tests.integration.outbox.events import event
from tests.integration.outbox.ledger import effects
from tests.integration.outbox.system import System
from tests.support.rabbitmq import RabbitMQ

pytestmark = [
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.usefixtures("sockets_collected"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture
async def system(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, rabbitmq: RabbitMQ, empty_database_url: str
) -> AsyncIterator[System]:
    made = System(engine, outbox, inbox, rabbitmq.url, empty_database_url)
    yield made
    made.close()


async def assert_applied_in_order(system: System, streams: int, count: int) -> None:
    for n in range(streams):
        assert await effects(system.engine, f"s{n}") == list(range(1, count + 1))


async def append(system: System, streams: int, first: int, last: int) -> None:
    for number in range(first, last + 1):
        await system.append(*(event(f"s{n}", number) for n in range(streams)))


async def test_events_reach_the_consumer(system: System) -> None:
    async with system.running(anti_entropy=False):
        await append(system, 5, 1, 20)
        await system.wait_for(100)
    await assert_applied_in_order(system, 5, 20)


async def test_what_it_confirmed_comes_after_its_crash_without_anti_entropy(
    system: System, rabbitmq: RabbitMQ
) -> None:
    await append(system, 5, 1, 20)
    assert await system.relay.drain() == 100
    await asyncio.to_thread(rabbitmq.crash)
    await asyncio.to_thread(rabbitmq.start)
    async with system.running(anti_entropy=False):
        await system.wait_for(100)
    await assert_applied_in_order(system, 5, 20)


async def test_a_crash_under_load_costs_no_event(system: System, rabbitmq: RabbitMQ) -> None:
    """The relay backs off while it is away, the worker comes back by itself."""
    async with system.running(anti_entropy=False):
        await append(system, 5, 1, 10)
        await system.wait_for(5)
        await asyncio.to_thread(rabbitmq.crash)
        await append(system, 5, 11, 20)
        await asyncio.to_thread(rabbitmq.start)
        await append(system, 5, 21, 30)
        await system.wait_for(150)
    await assert_applied_in_order(system, 5, 30)


async def test_a_queue_that_is_lost_with_all_in_it_is_sent_again(system: System, rabbitmq: RabbitMQ) -> None:
    await append(system, 5, 1, 20)
    assert await system.relay.drain() == 100
    await asyncio.to_thread(rabbitmq.delete_queues, "orders")
    async with system.running():
        await append(system, 5, 21, 22)
        await system.wait_for(110)
    await assert_applied_in_order(system, 5, 22)
