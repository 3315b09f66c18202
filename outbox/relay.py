"""Publishes what is new in the log."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from outbox.log import Outbox
from outbox.publisher import Publisher


class Relay:
    def __init__(
        self,
        engine: AsyncEngine,
        outbox: Outbox,
        publisher: Publisher,
        *,
        page: int = 500,
        listen_dsn: str | None = None,
    ) -> None: ...

    async def drain(self) -> int:
        raise NotImplementedError

    async def run(self, stop: asyncio.Event) -> None:
        raise NotImplementedError
