"""The actor of one consumer: hands batches of events to its inbox."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import dramatiq
from dramatiq import Broker

from adapters.dramatiq.publisher import actor_name
from adapters.dramatiq.wire import decode_batch
from outbox import Event

logger = logging.getLogger(__name__)

# Longer than any statement of the inbox may take: past it the actor stops waiting, and a
# statement still running then could commit unseen.
BATCH_SECONDS = 60.0


def declare_actor(
    broker: Broker, consumer: str, receive: Callable[[Sequence[Event]], Awaitable[object]]
) -> None:
    """Let the broker's worker call `receive` with each batch for this consumer.

    A message is acknowledged whether or not `receive` raises. It raises only where it could not even
    store the events, and anti-entropy then sends them again, with backoff.
    """

    async def apply_events(batch: str) -> None:
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                await receive(decode_batch(batch))
        except Exception as error:  # noqa: BLE001 - retried: sent again; Dramatiq would log the whole batch
            logger.warning("%s: a batch could not be stored, its events come again: %r", consumer, error)

    dramatiq.actor(broker=broker, actor_name=actor_name(consumer), queue_name=consumer)(apply_events)
