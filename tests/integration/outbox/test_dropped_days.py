"""A day of the log is dropped once everybody has read all of it, and not before."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox import AntiEntropy, Event, InboxView, OrderedInbox, Outbox, Pace, PublishFailed, Relay
from outbox.cursor import TRIM_EVERY
from outbox.event import lane_of
from outbox.partitions import Dropped
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.days import log_of_old_day, log_of_today
from tests.integration.outbox.elsewhere import restore_elsewhere
from tests.integration.outbox.events import event, numbers, stream_of

EAGER = Pace(grace_seconds=0.0, sweep_seconds=0.0)
BESIDE_A = next(name for name in map(str, range(100)) if lane_of(name, 4) == lane_of("a", 4))
WAITING = text(
    "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database "
    "WHERE d.datname = current_database() AND NOT granted)"
)
LOCKED = "its lock was not granted in time"


@pytest.fixture
async def old_day(engine: AsyncEngine, outbox: Outbox) -> str:
    return await log_of_old_day(engine)


async def append(engine: AsyncEngine, outbox: Outbox, *events: Event) -> None:
    async with engine.begin() as connection:
        await outbox.append(connection, events)


async def drop(engine: AsyncEngine, outbox: Outbox, *consumers: str) -> Dropped:
    return await outbox.drop_partitions(engine, retention_days=30, consumers=consumers)


async def test_a_day_that_everybody_has_read_is_dropped(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    await append(engine, outbox, *stream_of("a", 5), *stream_of("b", 5))
    await Relay(engine, outbox, publisher).drain()
    await log_of_today(engine)
    await append(engine, outbox, event("a", 6))

    assert await drop(engine, outbox) == Dropped(dropped=[old_day])
    assert await drop(engine, outbox) == Dropped()
    await Relay(engine, outbox, publisher).drain()
    assert numbers(publisher.events, "a") == [1, 2, 3, 4, 5, 6]
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM shop.outbox_event")) == 1


async def test_days_within_the_retention_are_kept(engine: AsyncEngine, outbox: Outbox) -> None:
    await append(engine, outbox, event("a", 1))
    await Relay(engine, outbox, InMemoryPublisher()).drain()
    assert await outbox.drop_partitions(engine, retention_days=1, consumers=()) == Dropped()
    with pytest.raises(ValueError, match="at least one day"):
        await outbox.drop_partitions(engine, retention_days=0, consumers=())


async def test_a_day_that_nobody_reads_is_kept(engine: AsyncEngine, outbox: Outbox, old_day: str) -> None:
    await append(engine, outbox, event("a", 1))
    assert (await drop(engine, outbox)).kept == {old_day: "no publisher has ever read this log"}


async def test_a_day_that_was_never_compared_with_a_consumer_is_kept(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, old_day: str
) -> None:
    """What the broker lost of it nobody would ever miss."""
    name, view = inbox.consumer, InboxView(engine, inbox, "facts")
    publisher = InMemoryPublisher()
    await append(engine, outbox, event("a", 1))
    await Relay(engine, outbox, publisher).drain()
    publisher.forget()
    assert (await drop(engine, outbox, name)).kept == {old_day: f"never compared with {name}"}

    anti_entropy = AntiEntropy(engine, outbox, publisher, [view], pace=EAGER)
    await anti_entropy.run_once()
    await inbox.receive(engine, publisher.events)
    await anti_entropy.run_once()
    assert (await drop(engine, outbox, name)).dropped == [old_day]


async def test_a_lagging_publisher_keeps_the_day_until_it_has_read_it(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    await append(engine, outbox, *stream_of("a", 3))
    fast, slow = InMemoryPublisher("fast"), InMemoryPublisher("slow")
    await Relay(engine, outbox, slow).drain()
    await append(engine, outbox, *stream_of("a", 3, first=4))
    await Relay(engine, outbox, fast).drain()

    assert (await drop(engine, outbox)).kept == {old_day: "not yet passed by slow"}
    await Relay(engine, outbox, slow).drain()
    assert (await drop(engine, outbox)).dropped == [old_day]
    assert numbers(slow.events, "a") == [1, 2, 3, 4, 5, 6]


async def test_a_publisher_in_the_middle_of_a_target_keeps_the_day(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    await append(engine, outbox, *stream_of("a", 20))
    publisher.accept = 12
    with pytest.raises(PublishFailed):
        await Relay(engine, outbox, publisher, page=5).drain()
    assert (await drop(engine, outbox)).kept == {old_day: "not yet passed by memory"}
    publisher.accept = None
    await Relay(engine, outbox, publisher, page=5).drain()
    assert (await drop(engine, outbox)).dropped == [old_day]
    assert set(numbers(publisher.events, "a")) == set(range(1, 21))


async def test_what_a_long_transaction_wrote_into_a_passed_day_is_published_before_the_day_goes(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    """Its position is below what every cursor has passed, and the day long over, when it commits."""
    publisher = InMemoryPublisher()
    relay = Relay(engine, outbox, publisher)
    async with engine.connect() as long:
        await outbox.append(long, [event("a", 1)])
        await append(engine, outbox, *stream_of(BESIDE_A, 10))
        await relay.drain()
        assert numbers(publisher.events, BESIDE_A) == list(range(1, 11))
        assert (await drop(engine, outbox)).kept == {old_day: LOCKED}
        await long.commit()

    assert (await drop(engine, outbox)).kept == {old_day: "not yet passed by memory"}
    await relay.drain()
    assert numbers(publisher.events, "a") == [1]
    assert (await drop(engine, outbox)).dropped == [old_day]


async def test_an_old_transaction_without_a_row_in_the_day_does_not_keep_it(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    async with engine.connect() as old:
        await old.execute(text("SELECT pg_current_xact_id()"))
        await append(engine, outbox, event("a", 1))
        await Relay(engine, outbox, InMemoryPublisher()).drain()
        assert (await drop(engine, outbox)).dropped == [old_day]


async def test_a_reader_of_the_log_is_waited_for_shortly_and_writers_go_on(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    await append(engine, outbox, event("a", 1))
    await Relay(engine, outbox, publisher).drain()
    async with engine.connect() as reader:
        await reader.execute(text("SELECT count(*) FROM shop.outbox_event"))
        assert (await drop(engine, outbox)).kept == {old_day: LOCKED}
        async with asyncio.timeout(30):
            await append(engine, outbox, event("a", 2))
    await Relay(engine, outbox, publisher).drain()
    assert (await drop(engine, outbox)).dropped == [old_day]


async def drop_while(engine: AsyncEngine, outbox: Outbox, other: AsyncConnection) -> Dropped:
    """Drop what may go; the other transaction commits once that waits for a lock of its."""
    dropping = asyncio.create_task(drop(engine, outbox))
    async with engine.connect() as watch:
        while not dropping.done() and not await watch.scalar(WAITING):
            await watch.rollback()
    await other.commit()
    result = await dropping
    # On a busy machine the commit may come too late for the lock.
    return result if LOCKED not in result.kept.values() else await drop(engine, outbox)


async def test_what_is_committed_while_a_day_is_about_to_go_keeps_it(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    relay = Relay(engine, outbox, publisher)
    await append(engine, outbox, event("a", 1))
    await relay.drain()
    async with engine.connect() as late:
        await outbox.append(late, [event("b", 1)])
        kept = (await drop_while(engine, outbox, late)).kept
    assert kept == {old_day: "not yet passed by memory"}
    await relay.drain()
    assert numbers(publisher.events, "b") == [1]


async def test_a_gap_that_is_found_while_a_day_is_about_to_go_keeps_it(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    await append(engine, outbox, event("a", 1))
    await Relay(engine, outbox, InMemoryPublisher()).drain()
    async with engine.connect() as sweep:
        await sweep.execute(
            text(
                "INSERT INTO shop.outbox_gap (consumer, id, lane, position, stream, sequence) "
                "SELECT 'mail', id, lane, position, stream, sequence FROM shop.outbox_event"
            )
        )
        kept = (await drop_while(engine, outbox, sweep)).kept
    assert kept == {old_day: "holds events that mail lacks"}


class Pausing(InMemoryPublisher):
    """A publisher whose process is stopped in the middle of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def publish(self, events: Sequence[Event]) -> None:
        self.begun.set()
        await self.go_on.wait()
        await super().publish(events)


async def test_a_relay_paused_in_the_middle_of_a_page_keeps_the_day(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    await append(engine, outbox, *stream_of("a", 3))
    paused = Pausing()
    zombie = asyncio.create_task(Relay(engine, outbox, paused).drain())
    await paused.begun.wait()
    assert list((await drop(engine, outbox)).kept) == [old_day]
    paused.go_on.set()
    await zombie
    assert numbers(paused.events, "a") == [1, 2, 3]
    assert (await drop(engine, outbox)).dropped == [old_day]


async def test_a_publisher_that_is_no_more_is_retired(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    gone, present = InMemoryPublisher("gone"), InMemoryPublisher("present")
    zombie = Relay(engine, outbox, gone)
    await zombie.drain()
    await append(engine, outbox, *stream_of("a", 3))
    await Relay(engine, outbox, present).drain()
    assert (await drop(engine, outbox)).kept == {old_day: "not yet passed by gone"}

    async with engine.begin() as connection:
        assert await outbox.retire_publisher(connection, "gone")
        assert not await outbox.retire_publisher(connection, "gone")
    assert (await drop(engine, outbox)).dropped == [old_day]
    assert await zombie.drain() == 0


async def test_the_window_the_sweep_and_each_gap_of_a_consumer_keep_the_day(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    view = InboxView(engine, inbox, "facts")
    patient = AntiEntropy(engine, outbox, publisher, [view], pace=Pace(grace_seconds=0.0))
    await patient.run_once()
    await append(engine, outbox, *stream_of("a", 3))
    await Relay(engine, outbox, publisher).drain()
    assert (await drop(engine, outbox)).kept == {
        old_day: "not yet passed by anti-entropy:orders, sweep:orders"
    }

    await patient.run_once()  # its sweep is not due for a day
    assert (await drop(engine, outbox)).kept == {old_day: "not yet passed by sweep:orders"}
    eager = AntiEntropy(engine, outbox, publisher, [view], pace=EAGER)
    await eager.run_once()
    assert (await drop(engine, outbox)).kept == {old_day: "holds events that orders lacks"}

    await inbox.receive(engine, publisher.events)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE shop.outbox_gap SET due_at = now()"))
    await patient.run_once()
    assert (await drop(engine, outbox)).dropped == [old_day]
    assert (await eager.run_once()).missing == 0


async def test_a_sweep_that_begins_anew_still_counts_for_what_it_has_compared(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    view = InboxView(engine, inbox, "facts")
    await append(engine, outbox, *stream_of("a", 3))
    await Relay(engine, outbox, publisher).drain()
    await inbox.receive(engine, publisher.events)
    eager = AntiEntropy(engine, outbox, publisher, [view], pace=EAGER)
    patient = AntiEntropy(engine, outbox, publisher, [view])
    newest = text("SELECT max(entry) FROM shop.outbox_cursor WHERE publisher = 'sweep:orders'")
    entry = 1
    while entry % TRIM_EVERY:  # until the entry that begins a sweep is the one that trims those before it
        if entry % 2:
            await eager.run_once()
        await eager.run_once()
        await patient.run_once()
        async with engine.connect() as connection:
            entry = await connection.scalar(newest) or 0
    assert (await drop(engine, outbox)).dropped == [old_day]


async def test_a_consumer_that_is_no_more_is_retired(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    view = InboxView(engine, inbox, "facts")
    await append(engine, outbox, *stream_of("a", 3))
    await Relay(engine, outbox, publisher).drain()
    await AntiEntropy(engine, outbox, publisher, [view], pace=EAGER).run_once()
    assert list((await drop(engine, outbox)).kept) == [old_day]
    async with engine.begin() as connection:
        assert await outbox.retire_consumer(connection, "orders")
        assert not await outbox.retire_consumer(connection, "orders")
    assert (await drop(engine, outbox)).dropped == [old_day]


async def test_a_day_of_a_restored_dump_is_kept_until_all_of_it_is_read_in_the_new_cluster(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    relay = Relay(engine, outbox, publisher)
    await append(engine, outbox, *stream_of("a", 3))
    await relay.drain()
    await restore_elsewhere(engine)
    await append(engine, outbox, *stream_of("a", 3, first=4))  # of the new cluster
    assert (await drop(engine, outbox)).kept == {old_day: "not yet passed by memory"}
    await relay.drain()
    assert (await drop(engine, outbox)).dropped == [old_day]
    assert numbers(publisher.events, "a") == [1, 2, 3, 4, 5, 6]


async def test_a_day_of_a_restored_dump_is_kept_while_its_rows_are_being_read(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    relay = Relay(engine, outbox, publisher)
    await append(engine, outbox, *stream_of("a", 3))
    await relay.drain()
    await append(engine, outbox, *stream_of("a", 3, first=4))
    await restore_elsewhere(engine)
    publisher.accept = 0
    with pytest.raises(PublishFailed):
        await relay.drain()  # it has noticed, and recorded what is to be read by position
    assert (await drop(engine, outbox)).kept == {old_day: "not yet passed by memory"}
    publisher.accept = None
    await relay.drain()
    assert numbers(publisher.events, "a") == [1, 2, 3, 4, 5, 6]
    assert (await drop(engine, outbox)).dropped == [old_day]


async def write(engine: AsyncEngine, outbox: Outbox, stream: str, stop: asyncio.Event) -> int:
    """Commit one event after another without a pause until `stop`; how many."""
    count = 0
    while not stop.is_set():
        await append(engine, outbox, event(stream, count + 1))
        count += 1
    return count


async def test_a_day_goes_beside_writers_and_relays_and_nothing_is_lost(
    engine: AsyncEngine, outbox: Outbox, old_day: str
) -> None:
    publisher = InMemoryPublisher()
    await append(engine, outbox, *stream_of("a", 10))
    await log_of_today(engine)
    relays = [Relay(engine, outbox, publisher, page=7) for _ in range(2)]
    stop = asyncio.Event()
    dropped: list[str] = []
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(write(engine, outbox, f"s{n}", stop)) for n in range(4)]
        for relay in relays:
            tasks.create_task(relay.run(stop))
        while not dropped or len(publisher.events) < 200:
            for result in await asyncio.gather(drop(engine, outbox), drop(engine, outbox)):
                dropped += result.dropped
        stop.set()
    await relays[0].drain()
    assert dropped == [old_day]
    assert numbers(publisher.events, "a") == list(range(1, 11))
    for n, writer in enumerate(writers):
        assert numbers(publisher.events, f"s{n}") == list(range(1, writer.result() + 1))
