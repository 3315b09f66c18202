"""Wakes relays after a commit."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from outbox.log import Outbox


class Waker:
    def __init__(self, engine: AsyncEngine, outbox: Outbox) -> None: ...

    def wake(self) -> None:
        raise NotImplementedError

    async def run(self, stop: asyncio.Event) -> None:
        raise NotImplementedError
