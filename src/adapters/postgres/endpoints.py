"""Webhook endpoints and their deliveries in the order side's database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from adapters.postgres import tables
from adapters.postgres.sealed_columns import DELIVERIES, ENDPOINTS
from adapters.postgres.sealed_rows import SealedRows
from adapters.postgres.sealing import Vault
from adapters.postgres.transaction import Transaction, alone
from domain.orders.webhooks.delivery import Delivery, DeliveryStatus
from domain.orders.webhooks.endpoint import WebhookEndpoint
from domain.orders.webhooks.ports import DeliveryCounts

_ENDPOINTS = SealedRows(WebhookEndpoint, tables.webhook_endpoint, ENDPOINTS)
_DELIVERIES = SealedRows(Delivery, tables.webhook_delivery, DELIVERIES)


@dataclass(frozen=True, slots=True)
class PostgresEndpoints:
    transaction: Transaction

    async def add(self, endpoint: WebhookEndpoint) -> None:
        values = _ENDPOINTS.sealed(endpoint, self.transaction.vault)
        await self._execute(f"{alone(_ENDPOINTS.insert())} ON CONFLICT (endpoint_id) DO NOTHING", *values)

    async def get(self, endpoint_id: str) -> WebhookEndpoint | None:
        return await self._one(_GET_ENDPOINT, endpoint_id)

    async def lock(self, endpoint_id: str) -> WebhookEndpoint | None:
        return await self._one(f"{_GET_ENDPOINT} FOR UPDATE", endpoint_id)

    async def save(self, endpoint: WebhookEndpoint) -> None:
        values = _ENDPOINTS.sealed(endpoint, self.transaction.vault)
        await self._execute(alone(_ENDPOINTS.update_one("endpoint_id")), *values)

    async def all(self) -> Sequence[WebhookEndpoint]:
        rows = await (await self.transaction.locking()).fetch(_ALL_ENDPOINTS)
        return [_ENDPOINTS.opened(row, self.transaction.vault) for row in rows]

    async def remove_deleted(self) -> None:
        await self._execute(_REMOVE_DELETED)

    async def _one(self, query: str, endpoint_id: str) -> WebhookEndpoint | None:
        row = await (await self.transaction.locking()).fetchrow(query, endpoint_id)
        return _ENDPOINTS.opened(row, self.transaction.vault) if row else None

    async def _execute(self, statement: str, *values: object) -> None:
        await (await self.transaction.locking()).execute(statement, *values)


_GET_ENDPOINT = f"{_ENDPOINTS.select()} WHERE endpoint_id = $1 AND deleted_at IS NULL"
_ALL_ENDPOINTS = f"{_ENDPOINTS.select()} WHERE deleted_at IS NULL ORDER BY endpoint_id"
_REMOVE_DELETED = """
    DELETE FROM orders.webhook_endpoint AS e WHERE e.deleted_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM orders.webhook_delivery AS d WHERE d.endpoint_id = e.endpoint_id)
"""


@dataclass(frozen=True, slots=True)
class PostgresDeliveries:
    transaction: Transaction

    async def add(self, deliveries: Sequence[Delivery]) -> int:
        columns = zip(*(_inserted(one, self.transaction.vault) for one in deliveries), strict=True)
        return await self._count(_ADD, *(list(column) for column in columns))

    async def get(self, delivery_id: str) -> Delivery | None:
        row = await (await self.transaction.locking()).fetchrow(_GET_DELIVERY, delivery_id)
        return _DELIVERIES.opened(row, self.transaction.vault) if row else None

    async def claim(
        self, *, busy: Mapping[str, int], per_endpoint: int, limit: int, now: datetime, until: datetime
    ) -> Sequence[Delivery]:
        driver = await self.transaction.locking()
        rows = await driver.fetch(
            _CLAIM, list(busy.keys()), list(busy.values()), per_endpoint, limit, now, until
        )
        return [_DELIVERIES.opened(row, self.transaction.vault) for row in rows]

    async def conclude(self, delivery: Delivery, lease: datetime) -> bool:
        attempts = msgspec.json.encode(delivery.attempts).decode()
        return bool(
            await self._count(
                _CONCLUDE,
                *(delivery.delivery_id, lease, delivery.status, delivery.due_at),
                *(delivery.tries, attempts, delivery.finished_at),
            )
        )

    async def list(
        self, *, endpoint_id: str, status: DeliveryStatus | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        rows = await (await self.transaction.locking()).fetch(_LIST, endpoint_id, status, after, limit)
        return [_DELIVERIES.opened(row, self.transaction.vault) for row in rows]

    async def replay(self, delivery_ids: Collection[str], now: datetime) -> int:
        return await self._count(_REPLAY, list(delivery_ids), now)

    async def finished_between(
        self,
        *,
        endpoint_id: str,
        statuses: Collection[DeliveryStatus],
        since: datetime,
        until: datetime,
        finished_before: datetime,
        limit: int,
    ) -> Sequence[str]:
        rows = await (await self.transaction.locking()).fetch(
            _FINISHED, endpoint_id, [*statuses], since, until, finished_before, limit
        )
        return [row["delivery_id"] for row in rows]

    async def forget(self, *, finished_before: datetime, limit: int) -> int:
        return await self._count(_FORGET, finished_before, limit)

    async def counts(self, now: datetime) -> DeliveryCounts:
        row = await (await self.transaction.locking()).fetchrow(_COUNTS, now)
        assert row is not None, "a row of aggregates is always there"
        return DeliveryCounts(**dict(row))

    async def _count(self, statement: str, *values: object) -> int:
        done: str = await (await self.transaction.locking()).execute(statement, *values)
        return int(done.rpartition(" ")[2])


def _inserted(delivery: Delivery, vault: Vault) -> tuple[object, ...]:
    """The values of `_ADD`: a new one has no others."""
    row = {"delivery_id": delivery.delivery_id}
    body = DELIVERIES.seal(vault, "body", row, delivery.body)
    return (
        *(delivery.delivery_id, delivery.endpoint_id, delivery.event_id, delivery.event_type),
        *(delivery.order_id, body, delivery.created_at, delivery.due_at),
    )


_GET_DELIVERY = f"{_DELIVERIES.select()} WHERE delivery_id = $1"
_LIST = f"""
    {_DELIVERIES.select()} WHERE endpoint_id = $1 AND ($2::text IS NULL OR status = $2)
        AND ($3::text IS NULL OR delivery_id < $3)
    ORDER BY delivery_id DESC LIMIT $4
"""
_ADD = """
    INSERT INTO orders.webhook_delivery (delivery_id, endpoint_id, event_id, event_type, order_id, body,
        created_at, due_at, status, tries, attempts)
    SELECT *, 'PENDING', 0, '[]'::jsonb FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
    ON CONFLICT (endpoint_id, event_id) DO NOTHING
"""
# A few of each endpoint, by its own index, so that one with a backlog keeps nobody else's from being found;
# first of those that have least in hand, and of these by chance, so that nobody is always the last.
_CLAIM = f"""
    WITH due AS (
        SELECT d.delivery_id FROM orders.webhook_endpoint AS e
        LEFT JOIN unnest($1::text[], $2::integer[]) AS busy (endpoint_id, count) USING (endpoint_id)
        CROSS JOIN LATERAL (
            SELECT delivery_id FROM orders.webhook_delivery AS one
            WHERE one.endpoint_id = e.endpoint_id AND one.status = 'PENDING' AND one.due_at <= $5
            ORDER BY one.due_at
            LIMIT greatest($3 - coalesce(busy.count, 0), 0)
            FOR UPDATE SKIP LOCKED
        ) AS d
        WHERE e.disabled_at IS NULL AND e.deleted_at IS NULL
            AND (e.paused_until IS NULL OR e.paused_until <= $5)
        ORDER BY coalesce(busy.count, 0), random() LIMIT $4
    ), taken AS (
        UPDATE orders.webhook_delivery SET due_at = $6
        WHERE delivery_id IN (SELECT delivery_id FROM due) RETURNING *
    )
    {_DELIVERIES.select().replace(tables.webhook_delivery.fullname, "taken")} ORDER BY delivery_id
"""
_CONCLUDE = """
    UPDATE orders.webhook_delivery
    SET status = $3, due_at = $4, tries = $5, attempts = $6::text::jsonb, finished_at = $7
    WHERE delivery_id = $1 AND status = 'PENDING' AND due_at = $2
"""
_REPLAY = """
    UPDATE orders.webhook_delivery SET status = 'PENDING', due_at = $2, tries = 0, finished_at = NULL
    WHERE delivery_id = ANY ($1::text[]) AND status <> 'PENDING'
"""
_FINISHED = """
    SELECT delivery_id FROM orders.webhook_delivery
    WHERE endpoint_id = $1 AND status = ANY ($2::text[]) AND created_at >= $3 AND created_at < $4
        AND finished_at < $5
    ORDER BY created_at LIMIT $6
"""
# Locked where they are found: one that is replayed meanwhile is not finished any more.
_FORGET = """
    WITH finished AS (
        SELECT delivery_id FROM orders.webhook_delivery WHERE finished_at < $1
        ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ), left_over AS (
        SELECT d.delivery_id FROM orders.webhook_endpoint AS e
        JOIN orders.webhook_delivery AS d USING (endpoint_id)
        WHERE e.deleted_at IS NOT NULL OR (e.disabled_at < $1 AND d.status = 'PENDING' AND d.created_at < $1)
        LIMIT $2 FOR UPDATE OF d SKIP LOCKED
    ), chosen AS (
        SELECT delivery_id FROM finished UNION SELECT delivery_id FROM left_over LIMIT $2
    )
    DELETE FROM orders.webhook_delivery WHERE delivery_id IN (SELECT delivery_id FROM chosen)
"""
_UP_TO = 1000
_COUNTS = f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM orders.webhook_delivery WHERE status = 'PENDING' LIMIT {_UP_TO}) AS p) AS pending,
        (SELECT count(*) FROM (
            SELECT FROM orders.webhook_delivery WHERE status = 'FAILED' LIMIT {_UP_TO}) AS f) AS failed,
        (SELECT count(*) FROM orders.webhook_endpoint
            WHERE disabled_reason IN ('GONE', 'FAILING') AND deleted_at IS NULL) AS disabled_endpoints,
        coalesce(extract(epoch FROM $1 - (
            SELECT min(first.due_at) FROM orders.webhook_endpoint AS e
            CROSS JOIN LATERAL (
                SELECT due_at FROM orders.webhook_delivery AS d
                WHERE d.endpoint_id = e.endpoint_id AND d.status = 'PENDING' AND d.due_at <= $1
                ORDER BY d.due_at LIMIT 1
            ) AS first
            WHERE e.disabled_at IS NULL AND e.deleted_at IS NULL
                AND (e.paused_until IS NULL OR e.paused_until <= $1)
        ))::double precision, 0) AS oldest_overdue_seconds
"""
