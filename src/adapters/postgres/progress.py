"""How far effects and payment events are, read from the order side's log and inboxes by their indexes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import tables
from adapters.postgres.engine import DatabaseUnavailable, autocommitting, lost_connection, vault_of
from adapters.postgres.rows import from_row
from adapters.postgres.sealed_columns import ATTEMPTS
from adapters.postgres.sealed_rows import SealedRows
from domain.orders.attempt import Attempt
from domain.orders.progress import DeliveryProgress, EffectProgress, EventProgress

_EFFECTS = text(
    """
    SELECT e.id AS effect_id, e.type, e.payload ->> 'about' AS about,
        CAST(e.payload ->> 'caused_by' AS uuid) AS caused_by, s.consumer, e.created_at AS asked_at,
        i.received_at, coalesce(i.attempts, 0) AS attempts, i.due_at, i.done_at, i.parked_at, i.cause, i.skip_reason
    FROM unnest(CAST(:topics AS text[]), CAST(:consumers AS text[])) AS s (topic, consumer)
    JOIN orders.outbox_event AS e ON e.topic = s.topic AND e.stream = :order_id
    LEFT JOIN orders.inbox_event AS i ON i.consumer = s.consumer AND i.id = e.id
    ORDER BY e.position
    """
)
_EVENTS = text(
    """
    SELECT id AS event_id, attempts, due_at, parked_at, cause FROM orders.inbox_waiting
    WHERE consumer = :consumer AND stream = ANY(:streams) ORDER BY stream, sequence
    """
)


_DELIVERIES = text(
    """
    SELECT delivery_id, endpoint_id, event_id, event_type, status, tries, created_at, due_at, finished_at,
        CAST(attempts -> -1 ->> 'status' AS integer) AS http_status, attempts -> -1 ->> 'error' AS error
    FROM orders.webhook_delivery WHERE order_id = :order_id ORDER BY created_at, delivery_id
    """
)
_attempt = tables.attempt
_ATTEMPT_ROWS = SealedRows(Attempt, _attempt, ATTEMPTS)
# Few attempts are open at a time, and all of them are in one index.
_ATTEMPTS = select(_attempt).where(text("status = 'STARTED'")).order_by(_attempt.c.created_at)


@dataclass(frozen=True, slots=True)
class PostgresProgress:
    """`consumers` carry out effects, by the effect's topic; `follower` applies payment events."""

    engine: AsyncEngine
    consumers: Mapping[str, str]
    follower: str

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        """Raises DatabaseUnavailable."""
        try:
            async with autocommitting(self.engine).connect() as connection:
                yield connection
        except Exception as error:
            if lost_connection(error):
                raise DatabaseUnavailable from error
            raise

    async def of_effects(self, order_id: str) -> Sequence[EffectProgress]:
        asked = {
            "order_id": order_id,
            "topics": list(self.consumers),
            "consumers": list(self.consumers.values()),
        }
        async with self._reading() as connection:
            rows = (await connection.execute(_EFFECTS, asked)).mappings()
            return [from_row(EffectProgress, row) for row in rows]

    async def of_events(self, payment_ids: Sequence[str]) -> Sequence[EventProgress]:
        asked = {"consumer": self.follower, "streams": list(payment_ids)}
        async with self._reading() as connection:
            rows = (await connection.execute(_EVENTS, asked)).mappings()
            return [from_row(EventProgress, row) for row in rows]

    async def of_deliveries(self, order_id: str) -> Sequence[DeliveryProgress]:
        async with self._reading() as connection:
            rows = (await connection.execute(_DELIVERIES, {"order_id": order_id})).mappings()
            return [from_row(DeliveryProgress, row) for row in rows]

    async def of_attempts(self, order_id: str) -> Sequence[Attempt]:
        wanted = _ATTEMPTS.where(_attempt.c.order_id == order_id)
        async with self._reading() as connection:
            rows = (await connection.execute(wanted)).mappings()
            return [_ATTEMPT_ROWS.opened_mapping(row, vault_of(self.engine)) for row in rows]
