"""The log is listed by page, and replayed with the same ids."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import (
    Operations,
    OrderedInbox,
    Outbox,
    Relay,
    Selection,
)
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.events import event, stream_of
from tests.integration.outbox.ledger import effects
from tests.integration.outbox.operations.conftest import Append, age


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
