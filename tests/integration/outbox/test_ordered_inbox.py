"""The ordered inbox on a real database: every event has its effect once, in order, or is safely stored."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox import Event, OrderedInbox, Received, RetryPolicy
from tests.integration.outbox.events import event, stream_of
from tests.integration.outbox.ledger import Ledger, effects


@pytest.fixture
async def connection(engine: AsyncEngine, inbox: OrderedInbox) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        yield connection


async def test_a_batch_is_applied_in_one_transaction(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    events = [*stream_of("a", 3), *stream_of("b", 2)]
    assert await inbox.receive(engine, events) == Received(applied=5)
    assert ledger.batches == [5]
    assert await effects(engine, "a") == [1, 2, 3]


async def test_repeats_do_nothing(engine: AsyncEngine, inbox: OrderedInbox) -> None:
    events = stream_of("a", 3)
    await inbox.receive(engine, events)
    assert await inbox.receive(engine, [*events, *events]) == Received(repeated=6)
    assert await effects(engine, "a") == [1, 2, 3]


async def test_events_out_of_order_wait_for_those_before_them(
    engine: AsyncEngine, inbox: OrderedInbox
) -> None:
    one, two, three, four = stream_of("a", 4)
    assert await inbox.receive(engine, [three]) == Received(waiting=1)
    assert await inbox.receive(engine, [four, three]) == Received(waiting=1, repeated=1)
    assert await inbox.receive(engine, [one]) == Received(applied=1)
    assert await effects(engine, "a") == [1]
    assert await inbox.receive(engine, [two]) == Received(applied=3)
    assert await effects(engine, "a") == [1, 2, 3, 4]


async def test_an_event_without_a_sequence_is_refused(engine: AsyncEngine, inbox: OrderedInbox) -> None:
    with pytest.raises(ValueError, match="no sequence"):
        await inbox.receive(engine, [event("a", None)])


async def test_a_poisonous_event_stops_its_own_stream_alone(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    a, b = stream_of("a", 3), stream_of("b", 3)
    ledger.fails = lambda e: e.id == a[1].id
    received = await inbox.receive(engine, [*a, *b])

    assert await effects(engine, "a") == [1]
    assert await effects(engine, "b") == [1, 2, 3]
    # Due again at once under this policy, so that its three attempts have been made.
    assert (received.applied, received.failed, received.parked, received.waiting) == (4, 2, 1, 1)
    assert await inbox.receive(engine, a) == Received(repeated=3)
    assert await inbox.run_due(engine) == Received()


async def test_a_parked_event_keeps_its_cause_and_can_be_retried(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    events = stream_of("a", 3)
    ledger.fails = lambda e: e.sequence == 2
    await inbox.receive(engine, events)
    async with engine.begin() as connection:
        row = (
            await connection.execute(
                text("SELECT cause, attempts FROM orders.inbox_waiting WHERE parked_at IS NOT NULL")
            )
        ).one()
        assert (row.cause, row.attempts) == ("RuntimeError: cannot apply 2", 3)
        ledger.fails = lambda _: False
        assert await inbox.retry(connection, "a")

    assert await inbox.run_due(engine) == Received(applied=2)
    assert await effects(engine, "a") == [1, 2, 3]


async def test_a_parked_event_can_be_skipped_with_a_reason(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    events = stream_of("a", 3)
    ledger.fails = lambda e: e.sequence == 2
    await inbox.receive(engine, events)
    async with engine.begin() as connection:
        assert not await inbox.skip(connection, events[2].id, reason="not held, only waiting")
        assert await inbox.skip(connection, events[1].id, reason="refunded by hand")

    assert await inbox.run_due(engine) == Received(applied=1)
    assert await effects(engine, "a") == [1, 3]
    assert await inbox.receive(engine, events) == Received(repeated=3)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT reason FROM orders.inbox_skipped")) == "refunded by hand"


async def test_a_failed_event_is_tried_again_by_the_schedule(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    patient = OrderedInbox("orders", "orders", ledger, retry=RetryPolicy(attempts=3, first_seconds=3600))
    ledger.fails = lambda e: e.sequence == 1
    assert await patient.receive(engine, stream_of("a", 2)) == Received(failed=1, waiting=1)
    assert await patient.run_due(engine) == Received()
    async with engine.begin() as connection:
        wait = await connection.scalar(
            text("SELECT due_at - now() FROM orders.inbox_waiting WHERE attempts > 0")
        )
        assert 220 < wait.total_seconds() <= 375  # at most the longest wait, with jitter
        await connection.execute(text("UPDATE orders.inbox_waiting SET due_at = now() WHERE attempts > 0"))
    ledger.fails = lambda _: False

    assert await patient.run_due(engine) == Received(applied=2)
    assert await effects(engine, "a") == [1, 2]


class Killed(BaseException):
    """The end of a process, as far as the code before it can tell."""


async def test_an_event_that_kills_its_worker_is_parked_and_its_batch_mates_are_not(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    a, b = stream_of("a", 2), stream_of("b", 2)

    def kill(e: Event) -> bool:
        if e.id == a[0].id:
            raise Killed
        return False

    ledger.fails = kill
    with pytest.raises(Killed):
        await inbox.receive(engine, [*a, *b])
    with pytest.raises(Killed):  # the redelivery tries each alone: b may go first or not
        await inbox.receive(engine, [*a, *b])
    for _ in range(4):
        async with engine.begin() as connection:
            await connection.execute(
                text("UPDATE orders.inbox_waiting SET due_at = now() WHERE due_at IS NOT NULL")
            )
        try:
            await inbox.run_due(engine)
        except Killed:
            continue

    assert await effects(engine, "a") == []
    assert await effects(engine, "b") == [1, 2]
    async with engine.connect() as connection:
        row = (
            await connection.execute(
                text("SELECT id, attempts, cause FROM orders.inbox_waiting WHERE parked_at IS NOT NULL")
            )
        ).one()
    assert row.id == a[0].id
    assert row.cause == "the process ended during each attempt"


async def test_attempts_leave_nothing_behind(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    events = stream_of("a", 4)
    ledger.fails = lambda e: e.sequence == 3
    await inbox.receive(engine, events)
    await inbox.receive(engine, stream_of("b", 4))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM orders.inbox_in_hand")) == 0


async def test_a_fork_is_parked_and_never_taken_for_a_repeat(
    engine: AsyncEngine, inbox: OrderedInbox
) -> None:
    events = stream_of("a", 3)
    await inbox.receive(engine, events)
    other = event("a", 2)  # a producer restored from a backup gives number 2 away again

    assert await inbox.receive(engine, [other]) == Received(parked=1)
    assert await inbox.receive(engine, [event("a", 4), *events]) == Received(waiting=1, repeated=3)
    assert await effects(engine, "a") == [1, 2, 3]

    async with engine.begin() as connection:
        progress = (await inbox.progress(connection, ["a"]))["a"]
        assert progress.forked is not None
        assert "number 2" in progress.forked
        assert await inbox.skip(connection, other.id, reason="the backup's history is void")
        assert await inbox.retry(connection, "a")
    assert await inbox.run_due(engine) == Received(applied=1)
    assert await effects(engine, "a") == [1, 2, 3, 4]


async def test_two_events_for_the_same_future_number_fork_the_stream(
    engine: AsyncEngine, inbox: OrderedInbox
) -> None:
    first, rival = event("a", 2), event("a", 2)
    await inbox.receive(engine, [first])
    assert await inbox.receive(engine, [event("a", 1), rival]) == Received(waiting=1, parked=1)
    async with engine.begin() as connection:
        assert await inbox.skip(connection, rival.id, reason="test")
        assert await inbox.retry(connection, "a")
    assert (await inbox.run_due(engine)).applied == 2
    assert await effects(engine, "a") == [1, 2]


async def test_concurrent_receivers_of_the_same_streams_do_not_deadlock(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    names = [f"s{n}" for n in range(12)]
    everything = {name: stream_of(name, 20) for name in names}
    batches = []
    for start in range(0, 20, 4):
        for shift in (0, 5, 9):
            order = names[shift:] + names[:shift]
            batches.append([e for name in order for e in everything[name][start : start + 4]])

    async def receive(mine: list[list[Event]]) -> Received:
        total = Received()
        for batch in mine:
            total.add(await inbox.receive(engine, batch))
        return total

    totals = await asyncio.gather(*(receive(batches[n::4]) for n in range(4)))
    for _ in range(3):
        await inbox.run_due(engine, limit=1000)

    for name in names:
        assert await effects(engine, name) == list(range(1, 21))
    assert sum(total.failed + total.parked for total in totals) == 0


async def test_a_second_copy_waits_until_the_first_is_committed(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    entered: asyncio.Queue[None] = asyncio.Queue()
    go_on = asyncio.Event()

    class Slow(Ledger):
        async def __call__(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
            await super().__call__(connection, events)
            entered.put_nowait(None)
            await go_on.wait()

    async def second_is_blocked() -> None:
        blocked = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with engine.connect() as connection:
            while not await connection.scalar(blocked):
                await asyncio.sleep(0.005)
                await connection.rollback()  # what pg_stat_activity shows stands still in a transaction

    events = stream_of("a", 4)
    await inbox.receive(engine, events[:1])  # the stream's row exists: only its lock can hold a copy back
    slow = OrderedInbox("orders", "orders", Slow())
    first = asyncio.create_task(slow.receive(engine, events))
    await entered.get()
    second = asyncio.create_task(slow.receive(engine, events))
    await second_is_blocked()
    assert entered.empty()
    go_on.set()

    assert await first == Received(applied=3, repeated=1)
    assert await second == Received(repeated=4)
    assert await effects(engine, "a") == [1, 2, 3, 4]


async def test_missing_and_progress_tell_a_producer_what_to_send_again(
    engine: AsyncEngine, inbox: OrderedInbox, connection: AsyncConnection
) -> None:
    events = stream_of("a", 5)
    await inbox.receive(engine, [events[0], events[1], events[3]])
    stranger = event("a", 2)
    asked = [e.key for e in (*events, stranger, *stream_of("new", 1))]

    answer = await inbox.compare(connection, asked)
    progress = await inbox.progress(connection, ["a", "new"])

    assert answer.applied == {"a": 2}
    assert answer.missing == {events[2].id, events[4].id, stranger.id, asked[-1].id}
    assert (progress["a"].applied, progress["a"].waiting) == (2, {4: events[3].id})
    assert (progress["new"].applied, progress["new"].waiting) == (0, {})


async def test_a_killed_backend_costs_the_batch_nothing(
    engine: AsyncEngine, inbox: OrderedInbox, ledger: Ledger
) -> None:
    killed = False

    class KillOnce(Ledger):
        async def __call__(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
            nonlocal killed
            await super().__call__(connection, events)
            if not killed:
                killed = True
                pid = await connection.scalar(text("SELECT pg_backend_pid()"))
                async with engine.connect() as other:
                    await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    fragile = OrderedInbox("orders", "orders", KillOnce(), retry=RetryPolicy(first_seconds=0.0))
    received = await fragile.receive(engine, [*stream_of("a", 3), *stream_of("b", 3)])

    assert received.applied == 6
    assert await effects(engine, "a") == [1, 2, 3]
    assert await effects(engine, "b") == [1, 2, 3]
