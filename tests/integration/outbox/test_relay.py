"""The relay against a real log: what it publishes, when, and after which failures."""

import asyncio
import json

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox import Event, Outbox, PublishFailed, Relay, Waker
from outbox.database import driver_of
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.events import event, numbers, stream_of


async def append(engine: AsyncEngine, outbox: Outbox, *events: Event) -> None:
    async with engine.begin() as connection:
        await outbox.append(connection, events)


async def test_an_event_arrives_as_it_was_written(engine: AsyncEngine, outbox: Outbox) -> None:
    written = event("a", 1, amount=5, name="Zoë")
    await append(engine, outbox, written)
    publisher = InMemoryPublisher()

    assert await Relay(engine, outbox, publisher).drain() == 1
    (read,) = publisher.events

    assert json.loads(read.payload) == json.loads(written.payload)
    assert (read.id, read.topic, read.stream, read.sequence, read.type, read.headers) == (
        written.id,
        "facts",
        "a",
        1,
        "Happened",
        {"traceparent": "00-1"},
    )


async def test_events_are_published_once_in_the_order_of_their_stream(
    engine: AsyncEngine, outbox: Outbox
) -> None:
    publisher = InMemoryPublisher()
    relay = Relay(engine, outbox, publisher, page=7)
    for first in (1, 21, 41):
        for name in "abcdef":
            await append(engine, outbox, *stream_of(name, 20, first=first))
        await relay.drain()

    for name in "abcdef":
        assert numbers(publisher.events, name) == list(range(1, 61))


@pytest.mark.parametrize("count", [1, 3])
async def test_events_travel_in_a_statement_of_the_business(
    engine: AsyncEngine, outbox: Outbox, count: int
) -> None:
    publisher = InMemoryPublisher()

    async def rename(connection: AsyncConnection, name: str, stream: str, wanted: str) -> None:
        insertion, parameters = outbox.insertion(stream_of(stream, count), condition=wanted)
        business = f"UPDATE business SET name = '{name}', amount = amount + 2"
        driver = await driver_of(connection)
        await driver.execute(f"WITH business AS ({business}) {insertion}", *parameters)

    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE business (name text, amount integer)"))
        await connection.execute(text("INSERT INTO business VALUES ('before', 1)"))
        savepoint = await connection.begin_nested()
        await rename(connection, "never", "gone", "true")
        await savepoint.rollback()
        await rename(connection, "after", "a", "true")
        await rename(connection, "after", "unwanted", "false")
    async with engine.connect() as connection:
        row = (await connection.execute(text("SELECT name, amount FROM business"))).one()

    await Relay(engine, outbox, publisher).drain()
    assert tuple(row) == ("after", 5)
    assert {event.stream for event in publisher.events} == {"a"}
    assert numbers(publisher.events, "a") == list(range(1, count + 1))


async def test_what_is_rolled_back_is_not_published(engine: AsyncEngine, outbox: Outbox) -> None:
    publisher = InMemoryPublisher()
    async with engine.connect() as connection:
        await outbox.append(connection, [event("a", 1)])
        await connection.rollback()
        await outbox.append(connection, [event("b", 1)])
        savepoint = await connection.begin_nested()
        await outbox.append(connection, [event("c", 1)])
        await savepoint.rollback()
        await connection.commit()

    await Relay(engine, outbox, publisher).drain()

    assert [e.stream for e in publisher.events] == ["b"]


async def test_a_transaction_that_commits_late_is_neither_lost_nor_waited_for(
    engine: AsyncEngine, outbox: Outbox
) -> None:
    publisher = InMemoryPublisher()
    relay = Relay(engine, outbox, publisher)
    async with engine.connect() as slow:
        await outbox.append(slow, [event("slow", 1)])
        await append(engine, outbox, event("quick", 1))
        await relay.drain()
        assert [e.stream for e in publisher.events] == ["quick"]
        await slow.commit()

    await relay.drain()

    assert [e.stream for e in publisher.events] == ["quick", "slow"]
    assert await relay.drain() == 0


async def test_a_page_that_failed_half_way_comes_again_whole(engine: AsyncEngine, outbox: Outbox) -> None:
    publisher = InMemoryPublisher()
    relay = Relay(engine, outbox, publisher, page=10)
    await append(engine, outbox, *stream_of("a", 35))
    publisher.accept = 25
    with pytest.raises(PublishFailed):
        await relay.drain()
    assert numbers(publisher.events, "a") == list(range(1, 26))
    publisher.accept = None

    await Relay(engine, outbox, publisher, page=10).drain()

    # The two whole pages are done; the third, accepted in part, is repeated from its beginning.
    assert numbers(publisher.events, "a")[25:] == list(range(21, 36))


async def test_a_target_is_finished_before_newer_events(engine: AsyncEngine, outbox: Outbox) -> None:
    publisher = InMemoryPublisher()
    await append(engine, outbox, *stream_of("a", 15))
    async with engine.connect() as slow:
        await outbox.append(slow, [event("b", 1)])
        publisher.accept = 10
        with pytest.raises(PublishFailed):
            await Relay(engine, outbox, publisher, page=10).drain()
        await slow.commit()
    await append(engine, outbox, *stream_of("a", 5, first=16))
    publisher.accept = None

    await Relay(engine, outbox, publisher, page=10).drain()

    assert numbers(publisher.events, "a") == list(range(1, 21))
    assert numbers(publisher.events, "b") == [1]


async def test_an_idle_relay_writes_nothing(engine: AsyncEngine, outbox: Outbox) -> None:
    relay = Relay(engine, outbox, InMemoryPublisher())
    await append(engine, outbox, event("a", 1))
    await relay.drain()
    count = text("SELECT count(*), max(entry) FROM shop.outbox_cursor")
    async with engine.connect() as connection:
        before = (await connection.execute(count)).one()
    await relay.drain()
    async with engine.connect() as connection:
        assert (await connection.execute(count)).one() == before


async def test_old_cursor_entries_are_trimmed(engine: AsyncEngine, outbox: Outbox) -> None:
    relay = Relay(engine, outbox, InMemoryPublisher())
    for n in range(1, 71):
        await append(engine, outbox, event("a", n))
        await relay.drain()
    async with engine.connect() as connection:
        kept = await connection.scalar(
            text("SELECT max(n) FROM (SELECT count(*) AS n FROM shop.outbox_cursor GROUP BY lane) AS l")
        )
    assert kept <= 65


async def test_a_running_relay_is_woken_after_the_commit(
    engine: AsyncEngine, outbox: Outbox, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Polling alone would take longer than the test may.
    monkeypatch.setattr("outbox.relay.LONG_POLL_SECONDS", 3600.0)
    publisher = InMemoryPublisher()
    relay = Relay(engine, outbox, publisher, listen_dsn=empty_database_url)
    waker = Waker(engine, outbox)
    stop = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run(stop))
        tasks.create_task(waker.run(stop))
        for n in range(1, 6):
            publisher.published.clear()
            await append(engine, outbox, event("a", n))
            waker.wake()
            await publisher.published.wait()
        stop.set()
    assert numbers(publisher.events, "a") == [1, 2, 3, 4, 5]
