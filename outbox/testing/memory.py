"""A broker in memory that passes the same contract as the real ones."""

import asyncio
from collections.abc import Sequence

from outbox.event import Event
from outbox.publisher import PublishFailed


class InMemoryPublisher:
    """Keeps what it accepts in `events`, in the order it came.

    `accept` bounds how many events are accepted before it is unreachable (None: all);
    `forget` is a restart that loses everything.
    """

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.events: list[Event] = []
        self.accept: int | None = None
        self.published = asyncio.Event()
        self._lives = 1

    async def publish(self, events: Sequence[Event]) -> None:
        taken = list(events) if self.accept is None else list(events[: self.accept])
        self.events.extend(taken)
        if self.accept is not None:
            self.accept -= len(taken)
        if taken:
            self.published.set()
        if len(taken) < len(events):
            raise PublishFailed("the broker is not reachable")

    async def marker(self) -> str | None:
        return str(self._lives)

    async def delay_seconds(self) -> float:
        return 0.0

    def forget(self) -> None:
        self.events.clear()
        self._lives += 1


class InMemoryBroker:
    """An InMemoryPublisher as the contract of publishers sees a broker; a model for those of real ones."""

    def __init__(self) -> None:
        self.publisher = InMemoryPublisher()

    async def received(self) -> Sequence[Event]:
        return self.publisher.events

    async def forget(self) -> None:
        self.publisher.forget()

    async def go_away(self) -> None:
        self.publisher.accept = 0
