"""The loop that sends our webhooks: several endpoints side by side, so that a slow one holds nobody up."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog
from structlog.contextvars import bound_contextvars

from domain.orders.use_cases.deliver_webhooks import Claimed, Delivered
from entrypoints.worker.periodic import LONGEST_PAUSE_SECONDS
from outbox.signals import wait_any

logger = structlog.stdlib.get_logger(__name__)

AT_ONCE = 200
"""Attempts under way in one process."""
POLL_SECONDS = 0.5


class Deliver(Protocol):
    """The use case: DeliverWebhooksHandler says what each does."""

    async def claim(self, busy: Mapping[str, int], limit: int) -> Sequence[Claimed]: ...

    async def deliver(self, claimed: Claimed) -> Delivered: ...


class DeliveryLoop:
    """Any number of these may run: a claimed delivery is nobody else's until its lease ends."""

    def __init__(
        self, deliver: Deliver, *, at_once: int = AT_ONCE, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._deliver = deliver
        self._at_once = at_once
        self._poll_seconds = poll_seconds
        self._busy: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        """An attempt has ended, so that its endpoint may have another."""

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until `stop`, then let the attempts under way end."""
        failures = 0
        while not stop.is_set():
            self._ended.clear()
            pause = self._poll_seconds
            try:
                await self._claim()
                failures = 0
            except Exception as error:  # noqa: BLE001 - retried: what is due stands in the database
                failures += 1
                pause = min(self._poll_seconds * 2**failures, LONGEST_PAUSE_SECONDS)
                logger.warning("webhooks_not_claimed", error=repr(error), failures=failures)
            await wait_any(*((stop,) if failures else (stop, self._ended)), seconds=pause)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _claim(self) -> None:
        free = self._at_once - len(self._tasks)
        if free <= 0:
            return
        for claimed in await self._deliver.claim(dict(self._busy), free):
            endpoint_id = claimed.endpoint.endpoint_id
            self._busy[endpoint_id] += 1
            task = asyncio.create_task(self._send(claimed))
            self._tasks.add(task)
            task.add_done_callback(partial(self._end, endpoint_id))

    def _end(self, endpoint_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._busy[endpoint_id] -= 1
        if not self._busy[endpoint_id]:
            del self._busy[endpoint_id]
        self._ended.set()

    async def _send(self, claimed: Claimed) -> None:
        delivery = claimed.delivery
        with bound_contextvars(
            delivery_id=delivery.delivery_id, endpoint_id=delivery.endpoint_id, event_id=delivery.event_id
        ):
            try:
                done = await self._deliver.deliver(claimed)
            except Exception as error:  # noqa: BLE001 - retried: its lease ends, and it is sent again
                logger.warning("webhook_outcome_not_noted", error=repr(error))
                return
            if not done.result.is_accepted:
                logger.info(
                    "webhook_failed",
                    status=done.result.status,
                    error=done.result.error,
                    tries=delivery.tries,
                    given_up=delivery.due_at is None,
                )
            if done.disabled and done.endpoint is not None:
                logger.error("webhook_endpoint_disabled", reason=done.endpoint.disabled_reason)
