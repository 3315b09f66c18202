"""What was given up is grouped by its cause, and goes on or is left out as the operator says."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import (
    Event,
    Operations,
    OrderedInbox,
    UnorderedInbox,
)
from outbox.status import Count
from tests.integration.outbox.events import event, stream_of
from tests.integration.outbox.ledger import Ledger, effects
from tests.integration.outbox.operations.conftest import World


async def fork(inbox: OrderedInbox, engine: AsyncEngine, stream: str) -> Event:
    """Another event under a number that the stream has passed."""
    await inbox.receive(engine, [event(stream, 1)])
    rival = event(stream, 1)
    await inbox.receive(engine, [rival])
    return rival


async def test_the_dead_are_grouped_by_cause_whatever_numbers_it_holds(
    operations: Operations, consumer_engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    ledger.fails = lambda e: e.stream.startswith("bad")
    failing = [event("bad-1", 1), event("bad-2", 1)]
    for one in failing:
        await inbox.receive(consumer_engine, [one])
    await inbox.receive(consumer_engine, [event("bad-2", 2)])
    rivals = [await fork(inbox, consumer_engine, f"torn-{n}") for n in range(3)]
    async with consumer_engine.begin() as connection:
        await inbox.receive(consumer_engine, [event("ahead", 1)])
        await inbox.park_forked(connection, {"ahead": "forked: 5 applied, but only 3 in the producer's log"})

    forks, failures, ahead = await operations.dead("orders")

    assert (forks.cause, forks.events, forks.streams) == (
        "forked: number # is already taken by event #",
        3,
        3,
    )
    assert set(forks.event_ids) == {rival.id for rival in rivals}
    assert sorted(forks.stream_names) == ["torn-0", "torn-1", "torn-2"]
    assert (failures.cause, failures.events, failures.streams) == ("RuntimeError: cannot apply #", 2, 2)
    assert failures.example == "RuntimeError: cannot apply 1"
    assert list(failures.event_ids) == [failing[1].id, failing[0].id]
    assert failures.first_at is not None
    assert failures.last_at is not None
    assert failures.first_at < failures.last_at
    assert (ahead.cause, ahead.events, ahead.streams, ahead.first_at) == (
        "forked: # applied, but only # in the producer's log",
        0,
        1,
        None,
    )
    assert (await operations.consumer_status("orders")).forked == Count(4)


async def test_retrying_a_stream_lets_it_go_on(
    operations: Operations, consumer_engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    ledger.fails = lambda e: e.stream == "bad"
    await inbox.receive(consumer_engine, stream_of("bad", 3))
    ledger.fails = lambda _: False
    assert await effects(consumer_engine, "bad") == []

    assert (await operations.retry("orders", stream="bad")).resumed == 1
    await inbox.run_due(consumer_engine)

    assert await effects(consumer_engine, "bad") == [1, 2, 3]
    assert await operations.dead("orders") == []
    again = await operations.retry("orders", stream="bad")
    assert (again.resumed, list(again.refused)) == (0, ["bad"])


async def test_retrying_an_event_lets_its_stream_go_on(
    operations: Operations, consumer_engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    ledger.fails = lambda e: e.sequence == 1
    events = stream_of("bad", 2)
    await inbox.receive(consumer_engine, events)
    ledger.fails = lambda _: False
    assert (await operations.retry("orders", event_id=events[0].id)).resumed == 1
    await inbox.run_due(consumer_engine)
    assert await effects(consumer_engine, "bad") == [1, 2]
    nobody = uuid4()
    assert list((await operations.retry("orders", event_id=nobody)).refused) == [str(nobody)]


async def test_retrying_a_cause_leaves_the_others(
    operations: Operations, consumer_engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    ledger.fails = lambda e: e.stream.startswith("bad")
    for n in range(5):
        await inbox.receive(consumer_engine, [event(f"bad-{n}", 1)])
    await fork(inbox, consumer_engine, "torn")
    ledger.fails = lambda _: False

    retried = await operations.retry("orders", cause="RuntimeError: cannot apply #")
    await inbox.run_due(consumer_engine)

    assert (retried.resumed, list(retried.refused)) == (5, [])
    for n in range(5):
        assert await effects(consumer_engine, f"bad-{n}") == [1]
    assert [group.streams for group in await operations.dead("orders")] == [1]


async def test_a_stream_with_two_heads_is_refused_until_one_is_skipped(
    operations: Operations, consumer_engine: AsyncEngine, inbox: OrderedInbox
) -> None:
    one, rival = event("a", 2), event("a", 2)
    await inbox.receive(consumer_engine, [one])
    await inbox.receive(consumer_engine, [rival])
    await inbox.receive(consumer_engine, [event("a", 1)])
    async with consumer_engine.begin() as connection:
        await connection.execute(text("UPDATE orders.inbox_stream SET applied = 1"))
        await connection.execute(text("DELETE FROM orders.inbox_waiting WHERE sequence = 1"))
    assert list((await operations.retry("orders", stream="a")).refused) == ["a"]

    assert await operations.skip("orders", rival.id, reason="of the backup")
    assert (await operations.retry("orders", stream="a")).resumed == 1
    await inbox.run_due(consumer_engine)
    assert await effects(consumer_engine, "a") == [2]


async def test_skipping_lets_the_stream_go_on_and_keeps_the_reason(
    operations: Operations, consumer_engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    ledger.fails = lambda e: e.sequence == 1
    events = stream_of("bad", 3)
    await inbox.receive(consumer_engine, events)

    with pytest.raises(ValueError, match="reason"):
        await operations.skip("orders", events[0].id, reason=" ")
    assert await operations.skip("orders", events[0].id, reason=" refunded by hand ")
    assert not await operations.skip("orders", events[0].id, reason="again")
    await inbox.run_due(consumer_engine)

    assert await effects(consumer_engine, "bad") == [2, 3]
    async with consumer_engine.connect() as connection:
        kept = (await connection.execute(text("SELECT id, cause, reason FROM orders.inbox_skipped"))).all()
    assert [tuple(row) for row in kept] == [
        (events[0].id, "RuntimeError: cannot apply 1", "refunded by hand")
    ]
    assert (await operations.consumer_status("orders")).lag == Count(0)


async def test_effects_are_retried_by_cause_and_skipped(
    operations: Operations, consumer_engine: AsyncEngine, warehouse: UnorderedInbox, world: World
) -> None:
    world.refuses = True
    events = [event("o", None) for _ in range(3)]
    await warehouse.receive(consumer_engine, events)
    (group,) = await operations.dead("warehouse")
    assert (group.cause, group.events, group.streams) == ("ConnectionError: no answer to #", 3, 1)
    with pytest.raises(ValueError, match="unordered"):
        await operations.retry("warehouse", stream="o")

    assert await operations.skip("warehouse", events[0].id, reason="told by telephone")
    world.refuses = False
    assert (await operations.retry("warehouse", event_id=events[1].id)).resumed == 1
    assert (await operations.retry("warehouse", cause=group.cause)).resumed == 1
    await warehouse.run_due(consumer_engine)

    assert {e.id for e in world.done} == {events[1].id, events[2].id}
    assert await operations.dead("warehouse") == []


@pytest.mark.parametrize("named", [{}, {"stream": "a", "cause": "b"}])
async def test_a_retry_names_one_thing(operations: Operations, named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="name a stream, an event or a cause"):
        await operations.retry("orders", **named)


async def test_an_unknown_consumer_is_a_key_error(operations: Operations) -> None:
    with pytest.raises(KeyError):
        await operations.consumer_status("nobody")
