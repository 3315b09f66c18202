"""The log of payments as what endpoints are sent: one more publisher, whose broker is a table.

The table is durable, so that it owns delivery from the moment its transaction commits, and no anti-entropy
asks it what it has. A page that is published twice is known by its events' ids.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from domain.orders.webhooks.ports import EventToSend
from outbox import Event, PublishFailed

PUBLISHER = "webhooks"


class _Envelope(msgspec.Struct):
    partitionkey: str = ""


class WebhookPublisher:
    """Makes a delivery of each event for each endpoint that wants it."""

    name = PUBLISHER

    def __init__(self, queue: Callable[[Sequence[EventToSend]], Awaitable[object]]) -> None:
        self._queue = queue

    async def publish(self, events: Sequence[Event]) -> None:
        """Raises PublishFailed where the order side, or its database, is away."""
        try:
            await self._queue([_to_send(event) for event in events])
        except Exception as error:  # answered: the relay's cursor stays, and the page comes again
            raise PublishFailed(f"deliveries were not stored: {error!r}") from error

    async def marker(self) -> str | None:
        """None: a table does not lose what it has."""
        return None

    async def delay_seconds(self) -> float:
        return 0.0


def _to_send(event: Event) -> EventToSend:
    return EventToSend(
        event_id=str(event.id),
        event_type=event.type,
        order_id=msgspec.json.decode(event.payload, type=_Envelope).partitionkey,
        body=event.payload.decode(),
    )
