"""Work that is done again and again until the process is asked to end."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

logger = structlog.stdlib.get_logger(__name__)

LONGEST_PAUSE_SECONDS = 30.0


async def periodically(
    name: str, seconds: float, work: Callable[[], Awaitable[object]], stop: asyncio.Event
) -> None:
    """Do `work`, wait `seconds`, and so on; while it fails, the pause doubles up to 30 s."""
    failures = 0
    while not stop.is_set():
        try:
            await work()
            failures = 0
        except Exception as error:  # noqa: BLE001 - retried: what it works on stands in the database
            failures += 1
            logger.warning("periodic_work_failed", work=name, error=repr(error), failures=failures)
        pause = min(seconds * 2**failures, max(seconds, LONGEST_PAUSE_SECONDS))
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            continue  # nobody asked for the end


def in_turn(turn: asyncio.Lock, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
    """The same work, while no other of this turn is done."""

    async def alone() -> object:
        async with turn:
            return await work()

    return alone
