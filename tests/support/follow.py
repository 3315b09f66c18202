"""Lets the order side follow the log of payments, as relay and worker would, without either."""

import json

from sqlalchemy import text

from entrypoints.bootstrap import Container
from entrypoints.worker.consumers import payment_events_inbox
from outbox import Event


async def follow_payments(container: Container) -> None:
    """Hand every event of the log to the inbox of orders, which knows those that it has."""
    async with container.payments.engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT id, topic, stream, sequence, type, payload::text, headers::text"
                " FROM payments.outbox_event ORDER BY position"
            )
        )
        events = [
            Event(
                row.id,
                row.topic,
                row.stream,
                row.sequence,
                row.type,
                row.payload.encode(),
                json.loads(row.headers),
            )
            for row in rows
        ]
    await payment_events_inbox(container).receive(container.orders.engine, events)
