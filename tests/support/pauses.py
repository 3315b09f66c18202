"""Pauses that a test ends."""

import asyncio


class Pauses:
    """Stands in for `asyncio.sleep`: each pause lasts until the test ends it."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[float] = asyncio.Queue()
        """How long each was to be, in seconds."""
        self._ended: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.begun.put_nowait(seconds)
        await self._ended.get()

    def end(self) -> None:
        self._ended.put_nowait(None)
