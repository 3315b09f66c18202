"""Wakes relays after a commit: one NOTIFY however many commits.

A NOTIFY inside each business transaction would halve the commit rate, since commits that notify
queue behind one lock of the whole cluster.
"""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from outbox.database import execute_alone
from outbox.log import Outbox
from outbox.signals import wait_any

logger = logging.getLogger(__name__)

PAUSE_AFTER_FAILURE_SECONDS = 1.0


class Waker:
    """Call `wake` after each commit that appended events; `run` sends the notifications."""

    def __init__(self, engine: AsyncEngine, outbox: Outbox) -> None:
        self._engine = engine
        self._notify = f"NOTIFY {outbox.channel}"
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """Ask for a notification; cheap, and any number of calls before it is sent make one.

        To be called from the event loop that `run` runs in.
        """
        self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is asked for until `stop`. A lost notification costs one long poll of the relay."""
        while not stop.is_set():
            await wait_any(stop, self._wanted)
            if self._wanted.is_set():
                self._wanted.clear()
                await self._send(stop)

    async def _send(self, stop: asyncio.Event) -> None:
        try:
            await execute_alone(self._engine, self._notify)
        except Exception as error:  # noqa: BLE001 - relays poll; asyncpg's errors know no bounds
            logger.warning("relays were not woken: %s", error)
            await wait_any(stop, seconds=PAUSE_AFTER_FAILURE_SECONDS)
