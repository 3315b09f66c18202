"""Several relays at once: they share lanes, and one that was stopped and wakes up late harms nothing."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import Event, Outbox, Relay
from outbox.cursor import READING
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.events import numbers, stream_of

STREAMS = [f"s{n}" for n in range(20)]


class GatedPublisher(InMemoryPublisher):
    """Stops before each publication until the gate opens, like a process that is paused there."""

    def __init__(self, shared: InMemoryPublisher) -> None:
        super().__init__()
        self.events = shared.events
        self.gate = asyncio.Event()
        self.reached = asyncio.Event()
        self.pass_first = 0

    async def publish(self, events: Sequence[Event]) -> None:
        if self.pass_first > 0:
            self.pass_first -= 1
        else:
            self.reached.set()
            await self.gate.wait()
        await super().publish(events)


async def append(engine: AsyncEngine, outbox: Outbox, count: int, first: int = 1) -> None:
    async with engine.begin() as connection:
        for stream in STREAMS:
            await outbox.append(connection, stream_of(stream, count, first=first))


async def test_two_relays_share_a_backlog(engine: AsyncEngine, outbox: Outbox) -> None:
    second = InMemoryPublisher()
    first = GatedPublisher(second)
    first.pass_first = 1
    await append(engine, outbox, 20)
    slow = asyncio.create_task(Relay(engine, outbox, first, page=5).drain())
    await first.reached.wait()  # it has found that there is much to do, and holds half of the lanes

    assert await Relay(engine, outbox, second, page=5).drain() > 0
    first.gate.set()
    await slow

    assert len(second.events) == 400
    for stream in STREAMS:
        assert numbers(second.events, stream) == list(range(1, 21))


async def test_a_relay_that_was_stopped_keeps_no_lane_and_its_cursor_does_not_count(
    engine: AsyncEngine, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READING, "idle_in_transaction_session_timeout", "200ms")
    second = InMemoryPublisher()
    stopped = GatedPublisher(second)
    await append(engine, outbox, 3)
    zombie = asyncio.create_task(Relay(engine, outbox, stopped).drain())
    await stopped.reached.wait()
    other = Relay(engine, outbox, second)
    while await other.drain() == 0:  # noqa: ASYNC110 - nothing tells us when PostgreSQL ends the session
        await asyncio.sleep(0.02)
    await append(engine, outbox, 3, first=4)
    await other.drain()

    stopped.gate.set()
    with pytest.raises(Exception, match=r"idle-in-transaction|closed|terminat"):
        await zombie

    published = second.events
    for stream in STREAMS:
        assert list(dict.fromkeys(numbers(published, stream))) == [1, 2, 3, 4, 5, 6]
        assert numbers(published, stream)[6:] == [1, 2, 3]  # the late repeats, known by their numbers
    assert await other.drain() == 0
