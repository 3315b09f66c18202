"""The ordered inbox."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.event import Event
from outbox.inbox import Handler, Received, RetryPolicy, StreamProgress


class OrderedInbox:
    def __init__(
        self, schema: str, consumer: str, handler: Handler, *, retry: RetryPolicy | None = None
    ) -> None: ...

    def ddl(self) -> list[str]:
        raise NotImplementedError

    async def receive(self, engine: AsyncEngine, events: Sequence[Event]) -> Received:
        raise NotImplementedError

    async def run_due(self, engine: AsyncEngine, *, limit: int = 100) -> Received:
        raise NotImplementedError

    async def progress(
        self, connection: AsyncConnection, streams: Sequence[str]
    ) -> Mapping[str, StreamProgress]:
        raise NotImplementedError

    async def retry(self, connection: AsyncConnection, stream: str) -> bool:
        raise NotImplementedError

    async def skip(self, connection: AsyncConnection, event_id: UUID, *, reason: str) -> bool:
        raise NotImplementedError
