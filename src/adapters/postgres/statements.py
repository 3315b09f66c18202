"""What each service states of its orders or payments to whoever compares the two: read by index, in bounded pages.

Nothing here locks or writes. Each side reads its own schema alone, its consumer's inbox included.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import DatabaseUnavailable, autocommitting, lost_connection
from adapters.postgres.rows import from_row
from domain.shared.errors import Malformed
from domain.shared.statements import (
    ChangedPayments,
    FollowedPayment,
    HeldEvent,
    OpenWork,
    OrderStatement,
    PaymentStatement,
)


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Raises DatabaseUnavailable."""
    try:
        async with autocommitting(engine).connect() as connection:
            yield connection
    except Exception as error:
        if lost_connection(error):
            raise DatabaseUnavailable from error
        raise


class _Known(msgspec.Struct):
    """What is read of a payment in its order's row."""

    payment_id: str
    status: str
    amount_captured: int = 0
    amount_refunded: int = 0


_payments = msgspec.json.Decoder(list[_Known]).decode
_places = msgspec.json.Decoder(dict[str, int]).decode
_attentions = msgspec.json.Decoder(tuple[str, ...]).decode

# In one statement, so of one snapshot: an order, what its history says, and its places in the streams, each
# looked up by itself: nobody knows beforehand that an order has few payments, and joined, all streams are read.
_ORDERS = """
    SELECT o.order_id, o.status, o.currency, o.total_amount, o.amount_paid, o.amount_refunded, o.created_at,
        CAST(o.attentions AS text) AS attentions, CAST(o.payments AS text) AS payments,
        (
            SELECT h.entry ->> 'after' FROM orders.history AS h
            WHERE h.order_id = o.order_id AND h.entry ->> 'after' IS NOT NULL
            ORDER BY h.position DESC LIMIT 1
        ) AS noted_status,
        (
            SELECT CAST(json_object_agg(p ->> 'payment_id', coalesce((
                SELECT s.applied FROM orders.inbox_stream AS s
                WHERE s.consumer = :follower AND s.stream = p ->> 'payment_id'
            ), 0)) AS text)
            FROM jsonb_array_elements(o.payments) AS p
        ) AS places
    FROM orders.orders AS o
"""
_ORDERS_OF = text(f"{_ORDERS} WHERE o.order_id = ANY (CAST(:order_ids AS text[]))")
_CREATED = """
    (CAST(:since AS timestamptz) IS NULL OR created_at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR created_at < :until)
"""
_ORDERS_PAGE = text(
    f"{_ORDERS} WHERE o.order_id > CAST(:after AS text) AND {_CREATED} ORDER BY o.order_id LIMIT :limit"
)
_ORDERS_NEWEST = text(f"{_ORDERS} ORDER BY o.order_id DESC LIMIT :limit")
_EXISTING = text("SELECT order_id FROM orders.orders WHERE order_id = ANY (CAST(:order_ids AS text[]))")
_PLACES = text(
    """
    SELECT stream, applied FROM orders.inbox_stream
    WHERE consumer = :follower AND stream = ANY (CAST(:payment_ids AS text[]))
    """
)
_HELD = text(
    """
    SELECT CAST(id AS text) AS event_id, stream AS payment_id, attempts, parked_at IS NOT NULL AS is_parked, cause
    FROM orders.inbox_waiting
    WHERE consumer = :follower AND stream = ANY (CAST(:payment_ids AS text[])) ORDER BY stream, sequence
    """
)
# Few attempts are open at a time, and all of them are in one index.
_OPEN_ATTEMPTS = text(
    """
    SELECT attempt_id AS work_id, kind, order_id, payment_id, created_at AS since, error
    FROM orders.attempt WHERE status = 'STARTED' AND created_at < :before ORDER BY created_at LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class PostgresOrderStatements:
    """`follower` is the consumer that lets orders follow their payments."""

    engine: AsyncEngine
    follower: str

    async def of_orders(self, order_ids: Sequence[str]) -> Sequence[OrderStatement]:
        return await self._orders(_ORDERS_OF, order_ids=list(order_ids))

    async def page(
        self, *, after: str, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[OrderStatement]:
        return await self._orders(_ORDERS_PAGE, after=after, since=since, until=until, limit=limit)

    async def existing(self, order_ids: Sequence[str]) -> Collection[str]:
        async with reading(self.engine) as connection:
            return set(await connection.scalars(_EXISTING, {"order_ids": list(order_ids)}))

    async def newest(self, limit: int) -> Sequence[OrderStatement]:
        return await self._orders(_ORDERS_NEWEST, limit=limit)

    async def _orders(self, statement: TextClause, **asked: object) -> Sequence[OrderStatement]:
        async with reading(self.engine) as connection:
            rows = await connection.execute(statement, {"follower": self.follower, **asked})
            return [_order(row) for row in rows]

    async def places(self, payment_ids: Sequence[str]) -> Mapping[str, int]:
        asked = {"follower": self.follower, "payment_ids": list(payment_ids)}
        async with reading(self.engine) as connection:
            return {row.stream: row.applied for row in await connection.execute(_PLACES, asked)}

    async def held_events(self, payment_ids: Sequence[str]) -> Sequence[HeldEvent]:
        asked = {"follower": self.follower, "payment_ids": list(payment_ids)}
        async with reading(self.engine) as connection:
            return [from_row(HeldEvent, row) for row in (await connection.execute(_HELD, asked)).mappings()]

    async def open_attempts(self, *, before: datetime, limit: int) -> Sequence[OpenWork]:
        asked = {"before": before, "limit": limit}
        async with reading(self.engine) as connection:
            rows = (await connection.execute(_OPEN_ATTEMPTS, asked)).mappings()
            return [from_row(OpenWork, row) for row in rows]


def _order(row: Row[Any]) -> OrderStatement:
    places = _places(row.places) if row.places else {}
    return OrderStatement(
        order_id=row.order_id,
        status=row.status,
        noted_status=row.noted_status,
        currency=row.currency,
        total_amount=row.total_amount,
        amount_paid=row.amount_paid,
        amount_refunded=row.amount_refunded,
        attentions=_attentions(row.attentions),
        payments={
            one.payment_id: FollowedPayment(
                status=one.status,
                amount_captured=one.amount_captured,
                amount_refunded=one.amount_refunded,
                applied=places.get(one.payment_id, 0),
            )
            for one in _payments(row.payments)
        },
        created_at=row.created_at,
    )


_PAYMENTS = """
    SELECT payment_id, order_id, status, amount, currency, amount_captured, amount_refunded, sequence,
        created_at, updated_at
    FROM payments.payment
"""
_PAYMENTS_OF = text(
    f"{_PAYMENTS} WHERE order_id = ANY (CAST(:order_ids AS text[])) ORDER BY order_id, payment_id"
)
_PAYMENTS_PAGE = text(
    f"{_PAYMENTS} WHERE payment_id > CAST(:after AS text) AND {_CREATED} ORDER BY payment_id LIMIT :limit"
)
# By transaction, not by position or time: what commits late has an early one of these. Below the oldest
# running transaction everything is decided, so nothing comes behind a place once passed. Lane by lane, as
# the index is.
_CHANGED = text(
    """
    SELECT CAST(found.xid AS text) AS xid, found.position, found.created_at < :before AS is_old, found.order_id
    FROM generate_series(0, :lanes - 1) AS of_lane (number) CROSS JOIN LATERAL (
        SELECT xid, position, created_at, payload ->> 'partitionkey' AS order_id
        FROM payments.outbox_event
        WHERE lane = CAST(of_lane.number AS smallint) AND topic = 'payment.events'
            AND xid >= CAST(CAST(:xid AS text) AS xid8)
            AND (xid, position) > (CAST(CAST(:xid AS text) AS xid8), CAST(:position AS bigint))
            AND xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY xid, position LIMIT :limit
    ) AS found
    ORDER BY found.xid, found.position LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class PostgresPaymentStatements:
    """`lanes` is how many its log has."""

    engine: AsyncEngine
    lanes: int

    async def of_orders(self, order_ids: Sequence[str]) -> Sequence[PaymentStatement]:
        return await self._payments(_PAYMENTS_OF, order_ids=list(order_ids))

    async def page(
        self, *, after: str, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[PaymentStatement]:
        return await self._payments(_PAYMENTS_PAGE, after=after, since=since, until=until, limit=limit)

    async def _payments(self, statement: TextClause, **asked: object) -> Sequence[PaymentStatement]:
        async with reading(self.engine) as connection:
            rows = (await connection.execute(statement, asked)).mappings()
            return [from_row(PaymentStatement, row) for row in rows]

    async def changed(self, *, after: str | None, before: datetime, limit: int) -> ChangedPayments:
        xid, position = _place(after)
        asked = {"xid": xid, "position": position, "before": before, "lanes": self.lanes, "limit": limit}
        async with reading(self.engine) as connection:
            rows = (await connection.execute(_CHANGED, asked)).all()
        first_young = next((number for number, row in enumerate(rows) if not row.is_old), len(rows))
        taken = rows[:first_young]
        return ChangedPayments(
            order_ids=tuple(dict.fromkeys(row.order_id for row in taken)),
            cursor=f"{taken[-1].xid}-{taken[-1].position}" if taken else after,
            is_last=len(taken) < limit,
        )


def _place(cursor: str | None) -> tuple[str, int]:
    xid, _, position = (cursor or "0-0").partition("-")
    if not (xid.isdecimal() and position.isdecimal() and len(xid) < 20 and len(position) < 19):
        raise Malformed("this is not a cursor that the changes gave", pointer="/after")
    return xid, int(position)
