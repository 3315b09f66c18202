"""Being woken by the notifications of one channel, on one connection; who listens polls besides."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

from outbox.signals import wait_any

logger = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0


@asynccontextmanager
async def listening(
    dsn: str | None, channel: str, wake: Callable[[], None], stop: asyncio.Event
) -> AsyncIterator[None]:
    """Call `wake` at each notification, and once listening has begun (anew), for what was said before.

    Without a `dsn`, which must lead to the server itself and not to a pooler, nobody is woken.
    """
    if dsn is None:
        yield
        return
    task = asyncio.create_task(_listen(dsn, channel, wake, stop))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(dsn: str, channel: str, wake: Callable[[], None], stop: asyncio.Event) -> None:
    """Keep one connection listening; while there is none, polling goes on."""
    failures = 0
    while not stop.is_set():
        lost = asyncio.Event()
        try:
            connection = await asyncpg.connect(dsn)
        except Exception as error:  # noqa: BLE001 - tried again; asyncpg's errors know no bounds
            pause = min(FIRST_BACKOFF_SECONDS * 2**failures, LONGEST_BACKOFF_SECONDS)
            failures += 1
            logger.warning("nobody listens on %s: %r", channel, error)
            await wait_any(stop, seconds=pause)
            continue
        try:
            connection.add_termination_listener(lambda _, lost=lost: lost.set())
            await connection.add_listener(channel, lambda *_: wake())
            failures = 0
            wake()
            await wait_any(stop, lost)
        except Exception as error:  # noqa: BLE001 - tried again; asyncpg's errors know no bounds
            logger.warning("nobody listens on %s any more: %r", channel, error)
            await wait_any(stop, seconds=FIRST_BACKOFF_SECONDS)
        finally:
            connection.terminate()
