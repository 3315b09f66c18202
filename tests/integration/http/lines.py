"""The lines of the log as they are written, and a wait for some of them."""

import asyncio

from structlog.typing import EventDict, WrappedLogger

NOTIFICATIONS_OF_A_SALE = 2  # the warehouse's and the customer's
LONGEST_WAIT_SECONDS = 30.0


class Lines:
    """The lines of the log with what is bound to them, and a wait for some of them."""

    def __init__(self) -> None:
        self.all: list[EventDict] = []
        self._came = asyncio.Event()

    def watch(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        self.all.append(dict(line))
        self._came.set()
        return line

    def named(self, name: str) -> list[EventDict]:
        return [line for line in self.all if line["event"] == name]

    async def wait_for(self, name: str, count: int) -> list[EventDict]:
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            while len(self.named(name)) < count:
                self._came.clear()
                await self._came.wait()
        return self.named(name)
