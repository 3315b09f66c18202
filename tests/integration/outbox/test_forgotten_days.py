"""The unordered inbox forgets its oldest days, and takes nothing from them for new."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox import Event, OrderedInbox, Received, RetryPolicy, UnorderedInbox
from outbox.ordering import REMEMBERED_IDS
from outbox.partitions import Dropped
from tests.integration.outbox.conftest import create
from tests.integration.outbox.days import OLD_DAY, event_of, inbox_of_old_day
from tests.integration.outbox.events import event

LOCKED = "its lock was not granted in time"
PARTITION = text("SELECT CAST(CAST(tableoid AS regclass) AS text) FROM orders.inbox_event WHERE id = :id")


class Shop:
    """Where the effects happen: how often each has."""

    def __init__(self) -> None:
        self.done: list[Event] = []
        self.refuses = False

    async def __call__(self, event: Event) -> None:
        if self.refuses:
            raise ConnectionError("closed")
        self.done.append(event)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def inbox(engine: AsyncEngine, shop: Shop) -> UnorderedInbox:
    made = UnorderedInbox("orders", "mail", shop, retry=RetryPolicy(attempts=2, first_seconds=0.0))
    await create(engine, "orders", made.ddl())
    return made


@pytest.fixture
async def old_day(engine: AsyncEngine, inbox: UnorderedInbox) -> str:
    return await inbox_of_old_day(engine)


async def forget(engine: AsyncEngine, inbox: UnorderedInbox) -> Dropped:
    return await inbox.drop_partitions(engine, retention_days=30)


async def partition_of(engine: AsyncEngine, event: Event) -> str | None:
    async with engine.connect() as connection:
        found = await connection.scalar(PARTITION, {"id": event.id})
    return None if found is None else str(found)


async def test_each_day_has_its_partition_and_a_repeat_of_any_day_is_recognised(
    engine: AsyncEngine, inbox: UnorderedInbox, shop: Shop, old_day: str
) -> None:
    today = datetime.now(UTC).date()
    async with engine.begin() as connection:
        await inbox.ensure_partitions(connection, days_ahead=9)
    events = [event_of(day) for day in (OLD_DAY, today, today + timedelta(days=9), today - timedelta(days=5))]
    assert await inbox.receive(engine, events) == Received(applied=4)
    assert [await partition_of(engine, e) for e in events] == [
        "orders.inbox_event_20200101",
        f"orders.inbox_event_{today:%Y%m%d}",
        f"orders.inbox_event_{today + timedelta(days=9):%Y%m%d}",
        "orders.inbox_event_default",
    ]
    assert await inbox.receive(engine, events) == Received(repeated=4)
    assert len(shop.done) == 4


async def test_an_event_from_a_forgotten_day_is_refused_and_parked_until_an_operator_decides(
    engine: AsyncEngine, inbox: UnorderedInbox, shop: Shop, old_day: str
) -> None:
    done, never_seen = event_of(OLD_DAY), event_of(OLD_DAY)
    await inbox.receive(engine, [done])
    assert await forget(engine, inbox) == Dropped(dropped=[old_day])
    assert await forget(engine, inbox) == Dropped()

    assert await inbox.receive(engine, [done, never_seen]) == Received(parked=2)
    assert await inbox.receive(engine, [done]) == Received(repeated=1)
    assert await inbox.run_due(engine) == Received()
    assert shop.done == [done]
    async with engine.begin() as connection:
        cause = await connection.scalar(text("SELECT DISTINCT cause FROM orders.inbox_event"))
        assert str(cause).startswith("refused: it is older than what the inbox remembers")
        assert await inbox.skip(connection, done.id, reason="was sent in 2020")
        assert await inbox.retry(connection, never_seen.id)
    assert await inbox.run_due(engine) == Received(applied=1)
    assert [e.id for e in shop.done] == [done.id, never_seen.id]


async def test_without_a_partition_of_its_day_an_event_past_the_retention_is_refused_too(
    engine: AsyncEngine, inbox: UnorderedInbox, shop: Shop
) -> None:
    today = datetime.now(UTC).date()
    await forget(engine, inbox)
    last, first = event_of(today - timedelta(days=31)), event_of(today - timedelta(days=29))
    assert await inbox.receive(engine, [last, first]) == Received(applied=1, parked=1)
    assert shop.done == [first]


async def test_a_longer_retention_does_not_bring_back_what_was_forgotten(
    engine: AsyncEngine, inbox: UnorderedInbox, shop: Shop
) -> None:
    await forget(engine, inbox)
    await inbox.drop_partitions(engine, retention_days=20_000)
    assert await inbox.receive(engine, [event_of(OLD_DAY)]) == Received(parked=1)
    assert shop.done == []


async def test_what_is_not_carried_out_outlives_its_day(
    engine: AsyncEngine, inbox: UnorderedInbox, shop: Shop, old_day: str
) -> None:
    shop.refuses = True
    parked, failed, done = event_of(OLD_DAY), event_of(OLD_DAY), event_of(OLD_DAY)
    await inbox.receive(engine, [parked])
    assert await inbox.run_due(engine) == Received(parked=1)
    await inbox.receive(engine, [failed])
    shop.refuses = False
    await inbox.receive(engine, [done])

    assert (await forget(engine, inbox)).dropped == [old_day]
    assert await partition_of(engine, done) is None
    assert await inbox.receive(engine, [parked, failed]) == Received(repeated=2)
    assert await inbox.run_due(engine) == Received(applied=1)
    async with engine.begin() as connection:
        assert await inbox.retry(connection, parked.id)
    assert await inbox.run_due(engine) == Received(applied=1)
    assert {e.id for e in shop.done} == {done.id, failed.id, parked.id}

    await forget(engine, inbox)  # they are done now, and of a day that is forgotten
    assert await partition_of(engine, parked) is None


def random_event_among_those_of(day: date) -> Event:
    """Its id is of version 4, and by chance where the ids of that day are."""
    made = event_of(day)
    random_id = UUID(int=made.id.int & ~(0xF << 76) | 0x4 << 76)
    return Event(random_id, made.topic, made.stream, None, made.type, made.payload, made.headers)


async def test_ids_that_tell_no_time_are_never_forgotten_nor_refused(
    engine: AsyncEngine, inbox: UnorderedInbox, shop: Shop, old_day: str
) -> None:
    somewhere, among = event("o", None), random_event_among_those_of(OLD_DAY)
    assert await inbox.receive(engine, [somewhere, among]) == Received(applied=2)
    assert await partition_of(engine, among) == f"orders.{old_day}"
    assert (await forget(engine, inbox)).dropped == [old_day]
    new = [event("o", None), random_event_among_those_of(OLD_DAY)]
    assert await inbox.receive(engine, [somewhere, among, *new]) == Received(applied=2, repeated=2)


async def test_an_ordered_inbox_knows_a_repeat_of_any_age(engine: AsyncEngine) -> None:
    """It keeps a number per stream for good, so nothing of it is ever too old to be told from new."""
    applied: list[Event] = []

    async def apply(_: AsyncConnection, events: Sequence[Event]) -> None:
        applied.extend(events)

    ordered = OrderedInbox("orders", "orders", apply)
    await create(engine, "orders", ordered.ddl())
    events = [replace(event_of(OLD_DAY, "a"), sequence=n) for n in range(1, 3 * REMEMBERED_IDS)]
    assert await ordered.receive(engine, events[:-1]) == Received(applied=len(events) - 1)
    assert await ordered.receive(engine, events[:-1]) == Received(repeated=len(events) - 1)
    assert await ordered.receive(engine, events[-1:]) == Received(applied=1)
    assert [e.id for e in applied] == [e.id for e in events]


async def test_a_day_in_use_is_left_to_the_next_call(
    engine: AsyncEngine, inbox: UnorderedInbox, old_day: str
) -> None:
    done = event_of(OLD_DAY)
    await inbox.receive(engine, [done])
    async with engine.connect() as reader:
        await reader.execute(text("SELECT count(*) FROM orders.inbox_event"))
        assert (await forget(engine, inbox)).kept == {old_day: LOCKED}
        # Refused by the horizon already, but still known.
        assert await inbox.receive(engine, [done]) == Received(repeated=1)
    assert (await forget(engine, inbox)).dropped == [old_day]


async def test_repeats_that_arrive_while_their_day_is_forgotten_are_never_carried_out_again(
    engine: AsyncEngine, inbox: UnorderedInbox, shop: Shop
) -> None:
    days = [date(2020, 1, n) for n in range(1, 9)]
    for day in days:
        await inbox_of_old_day(engine, day)
    events = [event_of(day) for day in days for _ in range(3)]
    await inbox.receive(engine, events)
    assert len(shop.done) == 24

    stop = asyncio.Event()

    async def repeat() -> Received:
        received = Received()
        while not stop.is_set():
            for one in events:
                received.add(await inbox.receive(engine, [one]))
        return received

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        repeaters = [tasks.create_task(repeat()) for _ in range(2)]
        left = {f"inbox_event_{day:%Y%m%d}" for day in days}
        while left:
            for result in await asyncio.gather(forget(engine, inbox), forget(engine, inbox)):
                left -= set(result.dropped)
        stop.set()
    results = [task.result() for task in repeaters] + [await inbox.receive(engine, events)]
    assert len(shop.done) == 24
    assert sum(received.parked for received in results) == 24
    assert sum(received.applied for received in results) == 0
