"""The unordered inbox on a real database: each effect is carried out, and repeats are recognised by id."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import Event, GiveUp, Received, RetryPolicy, UnorderedInbox
from tests.integration.outbox.conftest import create
from tests.integration.outbox.events import event


class World:
    """Where the effects happen."""

    def __init__(self) -> None:
        self.done: list[Event] = []
        self.refuses = False
        self.refuses_for_good = False

    async def __call__(self, event: Event) -> None:
        if self.refuses_for_good:
            raise GiveUp("there is no such warehouse")
        if self.refuses:
            raise ConnectionError("the warehouse is closed")
        self.done.append(event)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def inbox(engine: AsyncEngine, world: World) -> UnorderedInbox:
    made = UnorderedInbox("orders", "warehouse", world, retry=RetryPolicy(attempts=2, first_seconds=0.0))
    await create(engine, "orders", made.ddl())
    return made


async def test_effects_are_carried_out_and_repeats_are_not(
    engine: AsyncEngine, inbox: UnorderedInbox, world: World
) -> None:
    events = [event("o", None, item=n) for n in range(20)]
    assert await inbox.receive(engine, [*events, events[0]]) == Received(applied=20, repeated=1)
    assert await inbox.receive(engine, events) == Received(repeated=20)
    assert {e.id for e in world.done} == {e.id for e in events}
    assert len(world.done) == 20
    assert world.done[0].payload in {b'{"n": null, "item": %d}' % n for n in range(20)}


async def test_a_refused_effect_is_retried_then_parked_then_retried_by_hand(
    engine: AsyncEngine, inbox: UnorderedInbox, world: World
) -> None:
    refused = event("o", None)
    world.refuses = True
    assert await inbox.receive(engine, [refused]) == Received(failed=1)
    assert await inbox.run_due(engine) == Received(parked=1)
    assert await inbox.run_due(engine) == Received()
    async with engine.begin() as connection:
        cause = await connection.scalar(text("SELECT cause FROM orders.inbox_event"))
        assert cause == "ConnectionError: the warehouse is closed"
        assert await inbox.retry(connection, refused.id)
    world.refuses = False
    assert await inbox.run_due(engine) == Received(applied=1)
    assert [e.id for e in world.done] == [refused.id]


async def test_what_is_refused_for_good_is_parked_at_once_and_retried_by_hand(
    engine: AsyncEngine, inbox: UnorderedInbox, world: World
) -> None:
    refused, other = event("o", None), event("p", None)
    world.refuses_for_good = True
    assert await inbox.receive(engine, [refused]) == Received(parked=1)
    world.refuses_for_good = False
    assert await inbox.receive(engine, [refused, other]) == Received(applied=1, repeated=1)
    async with engine.begin() as connection:
        causes = await connection.scalars(
            text("SELECT cause FROM orders.inbox_event WHERE cause IS NOT NULL")
        )
        assert list(causes) == ["there is no such warehouse"]
        assert await inbox.retry(connection, refused.id)
    assert await inbox.run_due(engine) == Received(applied=1)
    assert [e.id for e in world.done] == [other.id, refused.id]


async def test_a_parked_effect_can_be_skipped(
    engine: AsyncEngine, inbox: UnorderedInbox, world: World
) -> None:
    refused = event("o", None)
    world.refuses = True
    await inbox.receive(engine, [refused])
    async with engine.begin() as connection:
        assert await inbox.skip(connection, refused.id, reason="told by telephone")
        assert not await inbox.retry(connection, refused.id)
    assert await inbox.run_due(engine) == Received()


async def test_an_attempt_cut_off_by_the_end_of_its_process_counts_and_comes_again(
    engine: AsyncEngine, world: World, inbox: UnorderedInbox
) -> None:
    async def killed(_: Event) -> None:
        raise asyncio.CancelledError

    fatal = UnorderedInbox("orders", "warehouse", killed)
    cut_off = event("o", None)
    with pytest.raises(asyncio.CancelledError):
        await fatal.receive(engine, [cut_off])
    assert await inbox.run_due(engine) == Received()  # it may still be running
    async with engine.begin() as connection:
        assert await connection.scalar(text("SELECT attempts FROM orders.inbox_event")) == 1
        await connection.execute(text("UPDATE orders.inbox_event SET due_at = now()"))

    assert await inbox.run_due(engine) == Received(applied=1)
    assert [e.id for e in world.done] == [cut_off.id]


async def test_missing_are_those_never_stored(engine: AsyncEngine, inbox: UnorderedInbox) -> None:
    events = [event("o", None) for _ in range(4)]
    await inbox.receive(engine, events[:3])
    async with engine.connect() as connection:
        assert (await inbox.compare(connection, [e.key for e in events])).missing == {events[3].id}
