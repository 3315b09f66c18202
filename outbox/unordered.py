"""The unordered inbox."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.event import Event
from outbox.inbox import EffectHandler, Received, RetryPolicy


class UnorderedInbox:
    def __init__(
        self, schema: str, consumer: str, handler: EffectHandler, *, retry: RetryPolicy | None = None
    ) -> None: ...

    def ddl(self) -> list[str]:
        raise NotImplementedError

    async def receive(self, engine: AsyncEngine, events: Sequence[Event]) -> Received:
        raise NotImplementedError

    async def run_due(self, engine: AsyncEngine, *, limit: int = 100) -> Received:
        raise NotImplementedError

    async def missing(self, connection: AsyncConnection, ids: Sequence[UUID]) -> frozenset[UUID]:
        raise NotImplementedError
