"""What operators see and do: each number against a situation that was made for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from entrypoints.local.postgres import EmbeddedPostgres
from outbox import (
    AntiEntropy,
    Consumer,
    Event,
    InboxView,
    Operations,
    OrderedInbox,
    Outbox,
    Pace,
    Relay,
    RetryPolicy,
    Selection,
    UnorderedInbox,
)
from outbox.event import lane_of
from outbox.status import Count, alarms
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.conftest import async_url, create
from tests.integration.outbox.events import event, stream_of
from tests.integration.outbox.ledger import CREATE_EFFECTS, Ledger, effects
from tests.support.postgres import create_database, drop_database

AT_ONCE = Pace(grace_seconds=0.0)
Append = Callable[..., Awaitable[None]]


@pytest.fixture
async def consumer_engine(postgres_server: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    """A database of the consumer's own: nothing here may rely on both sides being in one."""
    url = await create_database(postgres_server)
    engine = create_async_engine(async_url(url))
    yield engine
    await engine.dispose()
    await drop_database(postgres_server, url)


@pytest.fixture
async def inbox(consumer_engine: AsyncEngine, ledger: Ledger) -> OrderedInbox:
    made = OrderedInbox("orders", "orders", ledger, retry=RetryPolicy(attempts=1, first_seconds=0.0))
    await create(consumer_engine, "orders", made.ddl())
    async with consumer_engine.begin() as connection:
        await connection.execute(text(CREATE_EFFECTS))
    return made


class World:
    def __init__(self) -> None:
        self.done: list[Event] = []
        self.refuses = False

    async def __call__(self, event: Event) -> None:
        if self.refuses:
            raise ConnectionError(f"no answer to {event.id}")
        self.done.append(event)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def warehouse(inbox: OrderedInbox, consumer_engine: AsyncEngine, world: World) -> UnorderedInbox:
    made = UnorderedInbox("orders", "warehouse", world, retry=RetryPolicy(attempts=1, first_seconds=0.0))
    await create(consumer_engine, "orders", made.ddl())
    return made


@pytest.fixture
def operations(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    inbox: OrderedInbox,
    warehouse: UnorderedInbox,
) -> Operations:
    consumers = [Consumer(consumer_engine, inbox, "facts"), Consumer(consumer_engine, warehouse, "effects")]
    return Operations(engine, outbox, ["memory"], consumers)


@pytest.fixture
def append(engine: AsyncEngine, outbox: Outbox) -> Append:
    async def append(*events: Event) -> None:
        async with engine.begin() as connection:
            await outbox.append(connection, events)

    return append


@pytest.fixture
def publisher() -> InMemoryPublisher:
    return InMemoryPublisher()


@pytest.fixture
def relay(engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher) -> Relay:
    return Relay(engine, outbox, publisher, page=10)


def anti_entropy(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    publisher: InMemoryPublisher,
    inbox: OrderedInbox | UnorderedInbox,
    *,
    topic: str = "facts",
    pace: Pace = AT_ONCE,
) -> AntiEntropy:
    return AntiEntropy(engine, outbox, publisher, [InboxView(consumer_engine, inbox, topic)], pace=pace)


async def age(engine: AsyncEngine, outbox: Outbox, seconds: float, stream: str) -> None:
    """Let the stream's events have been made so long ago."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                f"UPDATE {outbox.schema}.outbox_event SET created_at = created_at - make_interval(secs => :s) WHERE stream = :n"
            ),
            {"s": seconds, "n": stream},
        )


def unpublished(status: Any) -> dict[int, int]:
    return {lane.lane: lane.unpublished.number for lane in status.lanes if lane.unpublished.number}


# The log


async def test_a_new_log_has_nothing_before_it(operations: Operations) -> None:
    status = await operations.log_status()
    assert len(status.lanes) == 4
    assert {lane.publisher for lane in status.lanes} == {"memory"}
    assert unpublished(status) == {}
    assert {lane.oldest_seconds for lane in status.lanes} == {None}
    assert (status.appended_total, status.appended_per_second) == (0, 0.0)
    assert not status.is_default_partition_used


async def test_what_is_unpublished_is_counted_by_lane_and_aged_by_its_oldest(
    engine: AsyncEngine, outbox: Outbox, operations: Operations, append: Append, relay: Relay
) -> None:
    await append(*stream_of("a", 3), *stream_of("b", 2))
    await age(engine, outbox, 50, "a")
    lane_a, lane_b = lane_of("a", 4), lane_of("b", 4)
    assert lane_a != lane_b

    status = await operations.log_status()

    assert unpublished(status) == {lane_a: 3, lane_b: 2}
    ages = {lane.lane: lane.oldest_seconds or 0.0 for lane in status.lanes}
    assert 50 <= ages[lane_a] < 60
    assert 0 <= ages[lane_b] < 10
    assert status.appended_total == 5
    assert status.appended_per_second == pytest.approx(5 / 60)

    await relay.drain()

    status = await operations.log_status()
    assert unpublished(status) == {}
    assert {lane.oldest_seconds for lane in status.lanes} == {None}
    assert {lane.lane: lane.published_total for lane in status.lanes if lane.published_total} == {
        lane_a: 3,
        lane_b: 2,
    }


async def test_an_open_transaction_and_one_that_commits_late_are_counted(
    engine: AsyncEngine, outbox: Outbox, operations: Operations, append: Append, relay: Relay
) -> None:
    async with engine.connect() as slow:
        await outbox.append(slow, [event("a", 1)])
        await append(event("b", 1))
        await relay.drain()
        assert unpublished(await operations.log_status()) == {}  # not committed: not there yet
        await slow.commit()
    assert unpublished(await operations.log_status()) == {lane_of("a", 4): 1}


async def test_in_the_middle_of_a_backlog_the_rest_is_counted(
    operations: Operations, append: Append, relay: Relay, publisher: InMemoryPublisher
) -> None:
    await append(*stream_of("a", 35))
    publisher.accept = 20  # two pages; the third is refused

    with pytest.raises(Exception, match="not reachable"):
        await relay.drain()
    await append(*stream_of("a", 5, first=36))

    lane = next(lane for lane in (await operations.log_status()).lanes if lane.unpublished.number)
    assert lane.unpublished == Count(20)
    assert lane.published_total == 20


async def test_counting_stops_at_a_bound(operations: Operations, append: Append) -> None:
    await append(*stream_of("a", 1005))
    lane = next(lane for lane in (await operations.log_status()).lanes if lane.unpublished.number)
    assert lane.unpublished == Count(1000, is_more=True)
    assert str(lane.unpublished) == "1000+"


async def test_the_rates_are_of_the_last_minute(
    engine: AsyncEngine, outbox: Outbox, operations: Operations, append: Append, relay: Relay
) -> None:
    await append(*stream_of("a", 6))
    await relay.drain()
    await append(*stream_of("a", 6, first=7))
    await relay.drain()
    async with (
        engine.begin() as connection
    ):  # the first page was published long ago, its events are older still
        await connection.execute(
            text(
                "UPDATE shop.outbox_cursor SET taken_at = taken_at - interval '90 s' WHERE lane = :l AND entry = 1"
            ),
            {"l": lane_of("a", 4)},
        )
        await connection.execute(
            text("UPDATE shop.outbox_event SET created_at = created_at - interval '90 s' WHERE sequence <= 6")
        )

    status = await operations.log_status()

    assert status.appended_per_second == pytest.approx(6 / 60)
    assert sum(lane.published_per_second for lane in status.lanes) == pytest.approx(6 / 60)


async def test_many_arrivals_are_rated_by_the_newest(operations: Operations, append: Append) -> None:
    await append(*stream_of("a", 400))
    assert (await operations.log_status()).appended_per_second > 200 / 60


async def test_the_default_partition_in_use_is_an_alarm(
    engine: AsyncEngine, operations: Operations, append: Append
) -> None:
    await append(event("a", 1))
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE shop.outbox_event SET created_at = created_at - interval '400 days'")
        )
    status = await operations.log_status()
    assert status.is_default_partition_used
    assert "shop: the default partition is in use, for the days ahead ran out" in list(alarms(status, []))


# The consumers


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


# Dead letters


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


# The log's events


async def test_events_are_listed_by_page_stream_and_type(operations: Operations, append: Append) -> None:
    a, b = stream_of("a", 5), stream_of("b", 5)
    await append(*a, *b)

    def ids(events: Sequence[Any]) -> list[Any]:
        return [listed.event.id for listed in events]

    newest = await operations.events(limit=4)
    assert (ids(newest.events), newest.next_after) == ([e.id for e in b[1:]], None)
    first = await operations.events(after=0, limit=4)
    assert ids(first.events) == [e.id for e in a[:4]]
    second = await operations.events(after=first.next_after, limit=4)
    assert ids(second.events) == [e.id for e in [a[4], *b[:3]]]
    of_b = await operations.events(stream="b", limit=2)
    assert ids(of_b.events) == [e.id for e in b[:2]]
    assert ids((await operations.events(stream="b", after=of_b.next_after)).events) == [e.id for e in b[2:]]
    assert (await operations.events(type="Nothing")).events == []
    of_type = await operations.events(type="Happened", after=0, limit=7)
    assert ids(of_type.events) == [e.id for e in [*a, *b[:2]]]
    assert of_type.next_after == of_type.events[-1].position
    assert of_type.events[0].event == a[0]
    with pytest.raises(ValueError, match="limit"):
        await operations.events(limit=0)


# Replay


async def test_a_replayed_stream_has_the_same_ids_and_no_effect_twice(
    operations: Operations,
    append: Append,
    relay: Relay,
    publisher: InMemoryPublisher,
    consumer_engine: AsyncEngine,
    inbox: OrderedInbox,
) -> None:
    events = stream_of("a", 5)
    await append(*events, *stream_of("b", 2))
    await relay.drain()
    await inbox.receive(consumer_engine, publisher.events)
    publisher.events.clear()

    selection = Selection(topics=["facts"], stream="a")
    progress = [done async for done in operations.replay(publisher, selection, page=2)]

    assert [done.events for done in progress] == [2, 4, 5]
    assert publisher.events == events
    received = await inbox.receive(consumer_engine, publisher.events)
    assert (received.applied, received.repeated) == (0, 5)
    assert await effects(consumer_engine, "a") == [1, 2, 3, 4, 5]


async def test_a_replay_by_time_has_all_of_that_time_and_nothing_else(
    engine: AsyncEngine,
    outbox: Outbox,
    operations: Operations,
    append: Append,
    publisher: InMemoryPublisher,
) -> None:
    for n in range(30):
        await append(event(f"s{n}", 1), event(f"s{n}", None, topic="other"))
        await age(engine, outbox, 3600 - n * 60, f"s{n}")
    listed = [
        one for one in (await operations.events(after=0, limit=1000)).events if one.event.topic == "facts"
    ]
    begin, end = listed[10].created_at, listed[20].created_at

    selection = Selection(topics=["facts"], begin=begin, end=end)
    progress = [done async for done in operations.replay(publisher, selection, page=7)]

    assert publisher.events == [one.event for one in listed[10:20]]
    assert progress[-1].events == 10
    publisher.events.clear()
    half = Selection(topics=["facts"], begin=begin, end=end, after=listed[14].position)
    async for _ in operations.replay(publisher, half):
        pass
    assert publisher.events == [one.event for one in listed[15:20]]
    publisher.events.clear()
    nothing = Selection(topics=["facts"], begin=end + timedelta(days=1))
    assert [done async for done in operations.replay(publisher, nothing)] == []
