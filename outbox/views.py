"""Consumers whose database the producer's process can reach, as anti-entropy sees them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.database import BY_INDEX, transaction
from outbox.event import EventKey
from outbox.inbox import Comparison


class Inbox(Protocol):
    """What OrderedInbox and UnorderedInbox have in common here."""

    @property
    def consumer(self) -> str: ...

    async def compare(self, connection: AsyncConnection, keys: Sequence[EventKey], /) -> Comparison: ...

    async def park_forked(self, connection: AsyncConnection, streams: Mapping[str, str], /) -> None: ...


class InboxView:
    """An inbox in a database of this process's own."""

    def __init__(self, engine: AsyncEngine, inbox: Inbox, topic: str) -> None:
        self.name = inbox.consumer
        self.topic = topic
        self._engine = engine
        self._inbox = inbox

    async def compare(self, events: Sequence[EventKey]) -> Comparison:
        async with transaction(self._engine, **BY_INDEX) as connection:
            return await self._inbox.compare(connection, events)

    async def park_forked(self, streams: Mapping[str, str]) -> None:
        async with transaction(self._engine) as connection:
            await self._inbox.park_forked(connection, streams)
