"""Anti-entropy: whatever the broker loses, every event reaches its consumer."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import (
    AntiEntropy,
    Event,
    InboxView,
    OrderedInbox,
    Outbox,
    Pace,
    PublishFailed,
    Received,
    Relay,
    UnorderedInbox,
)
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.conftest import create
from tests.integration.outbox.events import event, stream_of
from tests.integration.outbox.ledger import effects

AT_ONCE = Pace(grace_seconds=0.0)


async def append(engine: AsyncEngine, outbox: Outbox, *events: Event) -> None:
    async with engine.begin() as connection:
        await outbox.append(connection, events)


async def deliver(engine: AsyncEngine, publisher: InMemoryPublisher, inbox: OrderedInbox) -> Received:
    """What a worker does: takes everything out of the broker."""
    events, publisher.events = publisher.events, []
    return await inbox.receive(engine, events)


@pytest.fixture
def publisher() -> InMemoryPublisher:
    return InMemoryPublisher()


def anti_entropy(
    engine: AsyncEngine,
    outbox: Outbox,
    publisher: InMemoryPublisher,
    inbox: OrderedInbox | UnorderedInbox,
    pace: Pace = AT_ONCE,
) -> AntiEntropy:
    return AntiEntropy(engine, outbox, publisher, [InboxView(engine, inbox, "facts")], pace=pace)


async def test_what_the_broker_lost_is_published_again(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    await append(engine, outbox, *stream_of("a", 5), *stream_of("b", 5))
    await Relay(engine, outbox, publisher).drain()
    await inbox.receive(engine, publisher.events[:4])
    publisher.forget()

    report = await anti_entropy(engine, outbox, publisher, inbox).run_once()
    await deliver(engine, publisher, inbox)

    assert (report.compared, report.missing, report.published) == (10, 6, 6)
    assert await effects(engine, "a") == [1, 2, 3, 4, 5]
    assert await effects(engine, "b") == [1, 2, 3, 4, 5]


async def test_gaps_close_when_the_consumer_has_the_events(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    sweeper = anti_entropy(engine, outbox, publisher, inbox)
    await append(engine, outbox, *stream_of("a", 3))
    assert (await sweeper.run_once()).published == 3
    assert (await sweeper.run_once()).compared == 0  # the window has passed them
    await deliver(engine, publisher, inbox)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE shop.outbox_gap SET due_at = now()"))

    report = await sweeper.run_once()

    assert (report.closed, report.published) == (3, 0)


async def test_events_on_their_way_are_not_sent_again(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    sweeper = anti_entropy(engine, outbox, publisher, inbox, Pace(grace_seconds=3600))
    await sweeper.run_once()  # learns the broker's marker
    await append(engine, outbox, *stream_of("a", 3))
    await Relay(engine, outbox, publisher).drain()

    report = await sweeper.run_once()

    assert (report.compared, report.published) == (0, 0)


async def test_a_broker_that_restarted_empty_makes_everything_due(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    sweeper = anti_entropy(engine, outbox, publisher, inbox, Pace(grace_seconds=3600))
    await sweeper.run_once()
    await append(engine, outbox, *stream_of("a", 3))
    await Relay(engine, outbox, publisher).drain()
    await sweeper.run_once()
    await append(engine, outbox, *stream_of("b", 3))
    await Relay(engine, outbox, publisher).drain()
    publisher.forget()

    assert (await sweeper.run_once()).published == 6
    # The same gaps again, if the broker forgets again.
    publisher.forget()
    assert (await sweeper.run_once()).published == 6
    assert (await sweeper.run_once()).published == 0
    await deliver(engine, publisher, inbox)
    assert await effects(engine, "a") == [1, 2, 3]


async def test_the_interval_between_publications_grows(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    sweeper = anti_entropy(engine, outbox, publisher, inbox, Pace(grace_seconds=10))
    await sweeper.run_once()
    await append(engine, outbox, event("a", 1))
    publisher.forget()
    waits = []
    for _ in range(7):
        await sweeper.run_once()
        async with engine.begin() as connection:
            waits.append(
                await connection.scalar(
                    text("SELECT extract(epoch FROM due_at - now()) FROM shop.outbox_gap")
                )
            )
            await connection.execute(text("UPDATE shop.outbox_gap SET due_at = now()"))
    assert [round(wait) for wait in waits] == [10, 20, 40, 80, 160, 300, 300]


async def test_a_late_commit_is_not_behind_the_window(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    sweeper = anti_entropy(engine, outbox, publisher, inbox)
    async with engine.connect() as slow:
        await outbox.append(slow, [event("slow", 1)])
        await append(engine, outbox, event("quick", 1))
        await sweeper.run_once()
        await append(engine, outbox, event("quick", 2))
        await sweeper.run_once()
        await slow.commit()

    await sweeper.run_once()
    await deliver(engine, publisher, inbox)

    assert await effects(engine, "slow") == [1]


async def test_the_window_waits_while_too_many_gaps_are_open_and_a_round_is_capped(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    pace = Pace(grace_seconds=0.0, gaps=10, published=4, page=5)
    sweeper = anti_entropy(engine, outbox, publisher, inbox, pace)
    await append(engine, outbox, *stream_of("a", 50))

    first = await sweeper.run_once()
    assert (first.missing, first.published) == (10, 4)
    for _ in range(100):
        if await effects(engine, "a") == list(range(1, 51)):
            break
        await deliver(engine, publisher, inbox)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE shop.outbox_gap SET due_at = now()"))
        report = await sweeper.run_once()
        assert report.published <= 4

    assert await effects(engine, "a") == list(range(1, 51))


async def test_what_the_consumer_holds_parked_is_not_missing(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    one, two, three = stream_of("a", 3)
    await append(engine, outbox, one, two, three)
    await inbox.receive(engine, [two, three])

    report = await anti_entropy(engine, outbox, publisher, inbox).run_once()

    assert [e.id for e in publisher.events] == [one.id]
    assert report.missing == 1


async def test_a_consumer_ahead_of_the_log_is_parked_as_forked(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    events = stream_of("a", 3)
    await inbox.receive(engine, events)
    await append(engine, outbox, *events[:2])  # the producer came back from a backup

    report = await anti_entropy(engine, outbox, publisher, inbox).run_once()

    assert report.forked == 1
    async with engine.connect() as connection:
        progress = (await inbox.progress(connection, ["a"]))["a"]
    assert progress.forked == "forked: 3 applied, but only 2 in the producer's log"


async def test_the_sweep_finds_what_the_window_has_passed(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    await append(engine, outbox, *stream_of("a", 3))
    await anti_entropy(engine, outbox, publisher, inbox).run_once()
    await deliver(engine, publisher, inbox)
    async with engine.begin() as connection:  # the consumer came back from a backup
        await connection.execute(text("UPDATE shop.outbox_gap SET due_at = now()"))
        await connection.execute(
            text("UPDATE orders.inbox_stream SET applied = 1, recent_ids = recent_ids[1:1]")
        )
        await connection.execute(text("DELETE FROM effect WHERE sequence > 1"))
    pace = Pace(grace_seconds=0.0, sweep_seconds=0.0)

    await anti_entropy(engine, outbox, publisher, inbox, pace).run_once()
    await deliver(engine, publisher, inbox)

    assert await effects(engine, "a") == [1, 2, 3]


async def test_unordered_consumers_answer_by_event_ids(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher
) -> None:
    done = []

    async def effect(event: Event) -> None:
        done.append(event.id)

    warehouse = UnorderedInbox("orders", "warehouse", effect)
    await create(engine, "orders", warehouse.ddl())
    events = [event("o", None) for _ in range(5)]
    await append(engine, outbox, *events, event("o", None, topic="other"))
    await warehouse.receive(engine, events[:2])

    await anti_entropy(engine, outbox, publisher, warehouse).run_once()
    await warehouse.receive(engine, publisher.events)

    assert {e.id for e in publisher.events} == {e.id for e in events[2:]}
    assert sorted(done) == sorted(e.id for e in events)


async def test_a_failed_publication_loses_no_gap(
    engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher, inbox: OrderedInbox
) -> None:
    await append(engine, outbox, *stream_of("a", 5))
    publisher.accept = 2
    sweeper = anti_entropy(engine, outbox, publisher, inbox)
    with pytest.raises(PublishFailed):
        await sweeper.run_once()
    publisher.accept = None
    await sweeper.run_once()
    await deliver(engine, publisher, inbox)
    assert await effects(engine, "a") == [1, 2, 3, 4, 5]
