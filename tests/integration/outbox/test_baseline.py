"""A consumer that comes when the log is long begins after what is committed at that moment, and misses nothing."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import (
    AntiEntropy,
    Baseline,
    ConsumerAlreadyBegun,
    Event,
    InboxView,
    OrderedInbox,
    Outbox,
    Pace,
    Received,
    UnorderedInbox,
)
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.conftest import create
from tests.integration.outbox.elsewhere import restore_elsewhere
from tests.integration.outbox.events import event, numbers, stream_of
from tests.integration.outbox.ledger import effects

EAGER = Pace(grace_seconds=0.0, sweep_seconds=0.0)


async def append(engine: AsyncEngine, outbox: Outbox, *events: Event) -> None:
    async with engine.begin() as connection:
        await outbox.append(connection, events)


async def begin(engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox) -> Baseline:
    async with engine.begin() as connection:
        baseline = await outbox.begin_consumer(connection, "orders", "facts")
        await inbox.begin_at(connection, baseline.last_numbers)
    return baseline


async def deliver(engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox) -> list[Event]:
    """Rounds of anti-entropy, window and sweep, until it has nothing to send; what it sent."""
    publisher = InMemoryPublisher()
    anti_entropy = AntiEntropy(engine, outbox, publisher, [InboxView(engine, inbox, "facts")], pace=EAGER)
    sent: list[Event] = []
    for _ in range(4):  # a round may only notice that the log was restored
        while (await anti_entropy.run_once()).published:
            await inbox.receive(engine, publisher.events)
            sent += publisher.events
            publisher.forget()
            async with engine.begin() as connection:
                await connection.execute(text("UPDATE shop.outbox_gap SET due_at = now()"))
    return sent


async def test_old_streams_go_on_after_their_last_number_and_new_ones_begin_at_one(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox
) -> None:
    await append(engine, outbox, *stream_of("a", 5), *stream_of("b", 3), event("x", 1, topic="other"))
    async with engine.connect() as open_writer:
        await outbox.append(open_writer, stream_of("c", 2))
        baseline = await begin(engine, outbox, inbox)
        await open_writer.commit()
    await append(engine, outbox, event("a", 6), event("d", 1))
    assert baseline.last_numbers == {"a": 5, "b": 3}

    sent = await deliver(engine, outbox, inbox)
    assert {(e.stream, e.sequence) for e in sent} == {("a", 6), ("c", 1), ("c", 2), ("d", 1)}
    assert [await effects(engine, stream) for stream in "abcd"] == [[6], [], [1, 2], [1]]
    # What is before the line is a repeat, wherever it comes from.
    assert await inbox.receive(engine, stream_of("b", 3)) == Received(repeated=3)


async def test_the_line_is_drawn_beside_writers_without_a_gap(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox
) -> None:
    stop = asyncio.Event()

    async def write(stream: str) -> int:
        count = 0
        while not stop.is_set():
            async with engine.begin() as connection:
                await outbox.append(connection, [event(stream, count + 1)])
                await asyncio.sleep(0)
                await outbox.append(connection, [event(stream, count + 2)])
            count += 2
        return count

    streams = [f"s{n}" for n in range(6)]
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(write(stream)) for stream in streams]
        written = 0
        while written < 60:
            async with engine.connect() as connection:
                written = await connection.scalar(text("SELECT count(*) FROM shop.outbox_event")) or 0
        baseline = await begin(engine, outbox, inbox)
        while written < 120:
            async with engine.connect() as connection:
                written = await connection.scalar(text("SELECT count(*) FROM shop.outbox_event")) or 0
        stop.set()
    await deliver(engine, outbox, inbox)
    for stream, writer in zip(streams, writers, strict=True):
        first = baseline.last_numbers.get(stream, 0) + 1
        assert await effects(engine, stream) == list(range(first, writer.result() + 1))


async def test_a_consumer_that_received_before_it_was_told_where_to_begin_goes_on(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox
) -> None:
    events = stream_of("a", 7)
    await append(engine, outbox, *events[:5])
    assert await inbox.receive(engine, [events[4], events[5], events[6]]) == Received(waiting=3)
    baseline = await begin(engine, outbox, inbox)
    assert baseline.last_numbers == {"a": 5}
    assert await inbox.run_due(engine) == Received(applied=2)
    assert await effects(engine, "a") == [6, 7]

    async with engine.begin() as connection:  # told again
        await inbox.begin_at(connection, {"a": 5})
    assert await inbox.receive(engine, events) == Received(repeated=7)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM orders.inbox_waiting")) == 0


async def test_an_unordered_consumer_is_sent_nothing_from_before_the_line(
    engine: AsyncEngine, outbox: Outbox
) -> None:
    done: list[Event] = []

    async def effect(event: Event) -> None:
        done.append(event)

    mail = UnorderedInbox("orders", "mail", effect)
    await create(engine, "orders", mail.ddl())
    await append(engine, outbox, *(event("o", None) for _ in range(5)))
    async with engine.begin() as connection:
        await outbox.begin_consumer(connection, "mail", "facts")
    after = event("o", None)
    await append(engine, outbox, after)

    publisher = InMemoryPublisher()
    anti_entropy = AntiEntropy(engine, outbox, publisher, [InboxView(engine, mail, "facts")], pace=EAGER)
    for _ in range(4):
        await anti_entropy.run_once()
        await mail.receive(engine, publisher.events)
    assert [e.id for e in done] == [after.id]
    assert {e.id for e in publisher.events} == {after.id}


async def test_a_consumer_begins_once(engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox) -> None:
    await append(engine, outbox, *stream_of("a", 2))
    first = await begin(engine, outbox, inbox)
    await append(engine, outbox, event("a", 3), event("b", 1))
    assert await begin(engine, outbox, inbox) == first
    async with engine.begin() as connection:
        with pytest.raises(ValueError, match="already"):
            await outbox.begin_consumer(connection, "orders", "other")
    assert len(await deliver(engine, outbox, inbox)) == 2

    async with engine.begin() as connection:
        assert await outbox.retire_consumer(connection, "orders")
    await deliver(engine, outbox, inbox)
    async with engine.connect() as connection:
        with pytest.raises(ConsumerAlreadyBegun):
            await outbox.begin_consumer(connection, "orders", "facts")


async def test_rows_of_a_restored_dump_are_before_the_line(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox
) -> None:
    """Their transaction ids are from the future of this cluster, as after a restoration."""
    await append(engine, outbox, *stream_of("a", 3))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE shop.outbox_event SET xid = '9000000000'"))
    baseline = await begin(engine, outbox, inbox)
    assert baseline.last_numbers == {"a": 3}
    await append(engine, outbox, *stream_of("a", 2, first=4))
    sent = await deliver(engine, outbox, inbox)
    assert sorted(set(numbers(sent, "a")), key=str) == [4, 5]
    assert await effects(engine, "a") == [4, 5]


async def forget_everything(engine: AsyncEngine) -> None:
    """As a consumer that was restored from a backup of its very beginning; only a sweep looks so far back."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE orders.inbox_stream, orders.inbox_waiting, effect"))


async def test_a_sweep_in_another_cluster_goes_back_to_the_first_restored_row(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox
) -> None:
    await append(engine, outbox, *stream_of("a", 3))
    await deliver(engine, outbox, inbox)
    await restore_elsewhere(engine)
    await forget_everything(engine)
    sent = await deliver(engine, outbox, inbox)
    assert set(numbers(sent, "a")) == {1, 2, 3}
    assert await effects(engine, "a") == [1, 2, 3]


async def test_a_sweep_in_another_cluster_goes_back_to_the_line_and_no_further(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox
) -> None:
    await append(engine, outbox, *stream_of("a", 3))
    await begin(engine, outbox, inbox)
    await append(engine, outbox, *stream_of("a", 2, first=4))
    await deliver(engine, outbox, inbox)
    assert await effects(engine, "a") == [4, 5]
    await restore_elsewhere(engine)
    await append(engine, outbox, event("a", 6))
    await forget_everything(engine)
    assert set(numbers(await deliver(engine, outbox, inbox), "a")) == {4, 5, 6}
