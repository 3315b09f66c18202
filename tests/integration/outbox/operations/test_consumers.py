"""How far consumers and anti-entropy are: each number against a situation that was made for it."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import (
    Operations,
    OrderedInbox,
    Outbox,
    Pace,
    UnorderedInbox,
)
from outbox.status import Count
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.events import event, stream_of
from tests.integration.outbox.ledger import Ledger
from tests.integration.outbox.operations.conftest import Append, World, age, anti_entropy


async def test_lag_counts_what_is_on_its_way_wherever_it_is(
    engine: AsyncEngine,
    outbox: Outbox,
    operations: Operations,
    append: Append,
    inbox: OrderedInbox,
    consumer_engine: AsyncEngine,
) -> None:
    events = stream_of("a", 5)
    await append(*events, event("x", None, topic="effects"))
    await age(engine, outbox, 30, "a")
    await inbox.receive(consumer_engine, events[:2])

    status = await operations.consumer_status("orders")

    assert status.lag == Count(3)
    assert status.lag_seconds is not None
    assert 30 <= status.lag_seconds < 40
    assert (await operations.consumer_status("warehouse")).lag == Count(1)

    await inbox.receive(consumer_engine, events)
    status = await operations.consumer_status("orders")
    assert (status.lag, status.lag_seconds) == (Count(0), None)


async def test_lag_counts_open_gaps_behind_the_edge(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    operations: Operations,
    append: Append,
    inbox: OrderedInbox,
    publisher: InMemoryPublisher,
) -> None:
    events = stream_of("a", 4)
    await append(*events)
    await inbox.receive(consumer_engine, events[:1])
    assert (await operations.consumer_status("orders")).window.edge_seconds is None
    await anti_entropy(engine, consumer_engine, outbox, publisher, inbox).run_once()

    status = await operations.consumer_status("orders")

    assert (status.lag, status.window.gaps) == (Count(3), Count(3))
    assert status.window.edge_seconds is not None
    assert 0 <= status.window.edge_seconds < 10
    await inbox.receive(consumer_engine, publisher.events)
    status = await operations.consumer_status("orders")
    assert (status.lag, status.window.gaps) == (Count(0), Count(3))  # had, but not seen to have


async def test_the_edge_ages_while_the_window_stands(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    operations: Operations,
    inbox: OrderedInbox,
    publisher: InMemoryPublisher,
) -> None:
    rounds = anti_entropy(
        engine, consumer_engine, outbox, publisher, inbox, pace=Pace(grace_seconds=0.0, sweep_seconds=1e9)
    )
    await rounds.run_once()
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE shop.outbox_cursor SET taken_at = taken_at - interval '100 s'"))
    status = await operations.consumer_status("orders")
    assert status.window.edge_seconds is not None
    assert 100 <= status.window.edge_seconds < 110
    await rounds.run_once()
    status = await operations.consumer_status("orders")
    assert status.window.edge_seconds is not None
    assert status.window.edge_seconds < 10


async def test_the_edge_is_as_old_as_the_snapshot_and_not_as_its_comparison(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    operations: Operations,
    inbox: OrderedInbox,
    publisher: InMemoryPublisher,
) -> None:
    pace = Pace(grace_seconds=30.0, sweep_seconds=1e9)
    rounds = anti_entropy(engine, consumer_engine, outbox, publisher, inbox, pace=pace)
    await rounds.run_once()  # learns the broker's marker, and compares what there is without waiting
    await rounds.run_once()  # aims at the present, to be compared in 30 s
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE shop.outbox_cursor SET taken_at = taken_at - interval '40 s'"))
    await rounds.run_once()  # compares it

    edge = (await operations.consumer_status("orders")).window.edge_seconds

    assert edge is not None
    assert 40 <= edge < 50


async def test_rounds_are_recorded_with_their_totals(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    operations: Operations,
    append: Append,
    inbox: OrderedInbox,
    publisher: InMemoryPublisher,
) -> None:
    assert (await operations.consumer_status("orders")).window.last_round is None
    rounds = anti_entropy(engine, consumer_engine, outbox, publisher, inbox)
    await append(*stream_of("a", 4))
    await rounds.run_once()
    await append(*stream_of("b", 2))
    await rounds.run_once()

    last = (await operations.consumer_status("orders")).window.last_round

    assert last is not None
    assert (last.compared, last.missing, last.published) == (2, 2, 6)  # and those of the round before
    assert (last.total_compared, last.total_missing, last.total_published) == (6, 6, 10)
    assert 0 <= last.ended_seconds < 10
    assert 0 < last.took_seconds < 10


async def test_rounds_side_by_side_lose_no_total_and_old_ones_are_trimmed(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    operations: Operations,
    append: Append,
    inbox: OrderedInbox,
    publisher: InMemoryPublisher,
) -> None:
    several = [anti_entropy(engine, consumer_engine, outbox, publisher, inbox) for _ in range(4)]
    await append(*stream_of("a", 20), *stream_of("b", 20))
    for _ in range(17):
        await asyncio.gather(*(rounds.run_once() for rounds in several))
    last = (await operations.consumer_status("orders")).window.last_round
    assert last is not None
    assert last.total_compared >= 40
    async with engine.connect() as connection:
        rows = await connection.scalar(text("SELECT count(*) FROM shop.outbox_round"))
        newest = await connection.scalar(text("SELECT max(round) FROM shop.outbox_round"))
    assert (rows, newest) == (5, 68)


async def test_waiting_due_and_parked_are_told_apart(
    operations: Operations, consumer_engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    ledger.fails = lambda e: e.stream == "bad"
    one, two, three = stream_of("bad", 3)
    await inbox.receive(consumer_engine, [event("late", 2), event("late", 3)])
    await inbox.receive(consumer_engine, [one, two, three])
    async with consumer_engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE orders.inbox_waiting SET received_at = received_at - interval '70 s' WHERE sequence = 3"
            )
        )

    status = await operations.consumer_status("orders")

    assert (status.waiting, status.due, status.parked) == (Count(4), Count(0), Count(1))
    assert status.lag == Count(5)
    assert status.lag_seconds is not None
    assert 70 <= status.lag_seconds < 80
    async with consumer_engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE orders.inbox_waiting SET parked_at = NULL, due_at = now() + interval '1 h' WHERE sequence = 1"
            )
        )
    status = await operations.consumer_status("orders")
    assert (status.waiting, status.due, status.parked) == (Count(4), Count(1), Count(0))


async def test_an_unordered_consumer_holds_what_it_has_not_carried_out(
    operations: Operations, consumer_engine: AsyncEngine, warehouse: UnorderedInbox, world: World
) -> None:
    await warehouse.receive(consumer_engine, [event("o", None)])
    world.refuses = True
    await warehouse.receive(consumer_engine, [event("o", None), event("o", None)])
    status = await operations.consumer_status("warehouse")
    assert (status.waiting, status.due, status.parked, status.forked) == (
        Count(0),
        Count(0),
        Count(2),
        Count(0),
    )
    assert status.lag == Count(2)


async def test_a_consumer_is_behind_what_is_not_received_and_not_what_is_parked(
    engine: AsyncEngine,
    outbox: Outbox,
    operations: Operations,
    append: Append,
    inbox: OrderedInbox,
    consumer_engine: AsyncEngine,
    ledger: Ledger,
) -> None:
    ledger.fails = lambda e: e.stream == "bad"
    bad, late = event("bad", 1), event("late", 1)
    await append(bad, late)
    await age(engine, outbox, 300, "bad")
    await inbox.receive(consumer_engine, [bad])
    async with consumer_engine.begin() as connection:
        await connection.execute(
            text("UPDATE orders.inbox_waiting SET received_at = received_at - interval '300 s'")
        )

    status = await operations.consumer_status("orders")

    assert (status.lag, status.unreceived, status.parked) == (Count(2), Count(1), Count(1))
    assert (status.lag_seconds or 0) >= 300
    assert status.behind_seconds is not None
    assert status.behind_seconds < 10

    await inbox.receive(consumer_engine, [late])
    assert (await operations.consumer_status("orders")).behind_seconds is None
    for due, behind in (("- interval '40 s'", 40), ("+ interval '40 s'", None)):  # overdue, then not yet due
        async with consumer_engine.begin() as connection:
            await connection.execute(
                text(f"UPDATE orders.inbox_waiting SET parked_at = NULL, due_at = clock_timestamp() {due}")
            )
        status = await operations.consumer_status("orders")
        assert status.behind_seconds == (behind if behind is None else pytest.approx(behind, abs=5))
