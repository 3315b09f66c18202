"""The log: events appended inside the business transaction, partitioned by day."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.event import Event


class Outbox:
    def __init__(self, schema: str, *, lanes: int = 8) -> None:
        self.schema = schema
        self.lanes = lanes

    def ddl(self) -> list[str]:
        raise NotImplementedError

    async def append(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        raise NotImplementedError

    async def ensure_partitions(self, connection: AsyncConnection, *, days_ahead: int = 7) -> None:
        raise NotImplementedError
