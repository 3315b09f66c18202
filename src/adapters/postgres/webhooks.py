"""Webhooks as they came, for a while with their bodies."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_, update

from adapters.postgres import tables
from adapters.postgres.rows import from_row
from adapters.postgres.sealed_columns import PAYMENTS, WEBHOOKS
from adapters.postgres.sealed_rows import SealedRows
from adapters.postgres.transaction import Transaction, Write
from domain.payments.payment import Payment
from domain.payments.webhook import (
    StoredWebhook,
    WebhookFilter,
    WebhookKept,
    WebhookOutcome,
    WebhookTypeCount,
)

_table = tables.webhook_event
_waiting = _table.c.payment_id.is_(None) & _table.c.intent_id.is_not(None) & _table.c.body.is_not(None)


def _is(gateway: str, event_id: str) -> ColumnElement[bool]:
    return and_(_table.c.gateway == gateway, _table.c.event_id == event_id)


_ROWS = SealedRows(StoredWebhook, _table, WEBHOOKS)
# What the gateway tells later of a payment whose customer was erased is processed, and not kept.
_INSERT = _ROWS.insert_with(
    "body",
    "CASE WHEN NOT EXISTS (SELECT FROM payments.data_key WHERE record = {payment_id} AND wrapped IS NULL)"
    " THEN {body} END",
)
_PAYMENTS = SealedRows(Payment, tables.payment, PAYMENTS)
_LOOK = f"""
    SELECT {_PAYMENTS.columns("p")}, kept.is_kept
    FROM (SELECT EXISTS (SELECT FROM {_table.fullname} WHERE gateway = $1 AND event_id = $2) AS is_kept) AS kept
    LEFT JOIN {tables.payment.fullname} AS p ON p.payment_id = $3
"""
# In hexadecimal, so that no name can be taken for SQL: it has no parameters, and begins the transaction.
_LOCK_INTENT = "SELECT pg_advisory_xact_lock(hashtextextended(convert_from(decode('{}', 'hex'), 'UTF8'), 0))"
_HAS_WAITING = f"""
    SELECT 1 FROM {_table.fullname}
    WHERE gateway = $1 AND intent_id = $2 AND payment_id IS NULL AND intent_id IS NOT NULL AND body IS NOT NULL
    LIMIT 1
"""

# The oldest, found by index and changed by their addresses; those that another process has in hand are left out.
_OLDEST = f"""
    SELECT ctid FROM {_table.fullname} WHERE received_at < $1 AND body IS {{}}
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_DROP_BODIES = f"""
    UPDATE {_table.fullname} SET body = NULL WHERE ctid = ANY (ARRAY({_OLDEST.format("NOT NULL")}))
"""
_FORGET = f"DELETE FROM {_table.fullname} WHERE ctid = ANY (ARRAY({_OLDEST.format('NULL')}))"


@dataclass(frozen=True, slots=True)
class PostgresWebhooks:
    transaction: Transaction

    async def insert(self, webhook: StoredWebhook) -> None:
        row = f"{webhook.gateway} {webhook.event_id}"
        values = _ROWS.sealed(webhook, self.transaction.vault)
        await self.transaction.write(Write(row, _INSERT, values, {"webhook_event_pkey": WebhookKept}))

    async def look(self, gateway: str, event_id: str, payment_id: str | None) -> tuple[bool, Payment | None]:
        row = await (await self.transaction.reading()).fetchrow(_LOOK, gateway, event_id, payment_id)
        assert row is not None, "the first of its tables has one row"
        payment = _PAYMENTS.opened(row, self.transaction.vault) if row["payment_id"] is not None else None
        return row["is_kept"], payment

    async def get(self, gateway: str, event_id: str) -> StoredWebhook | None:
        found = await self._all(select(_table).where(_is(gateway, event_id)))
        return found[0] if found else None

    async def find(
        self, wanted: WebhookFilter, *, newest_first: bool, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[StoredWebhook]:
        place = tuple_(_table.c.received_at, _table.c.event_id)
        order = (_table.c.received_at, _table.c.event_id)
        query = select(_table).order_by(*(one.desc() if newest_first else one for one in order)).limit(limit)
        for column, value in (
            (_table.c.type, wanted.type),
            (_table.c.outcome, wanted.outcome),
            (_table.c.payment_id, wanted.payment_id),
            (_table.c.is_known, wanted.is_known),
        ):
            if value is not None:
                query = query.where(column == value)
        if wanted.begin is not None:
            query = query.where(_table.c.received_at >= wanted.begin)
        if wanted.end is not None:
            query = query.where(_table.c.received_at < wanted.end)
        if after is not None:
            query = query.where(place < after if newest_first else place > after)
        return await self._all(query)

    async def count_types(self, *, begin: datetime) -> Sequence[WebhookTypeCount]:
        counted = await (await self.transaction.sqlalchemy()).execute(
            select(
                _table.c.type,
                func.coalesce(_table.c.is_known, True).label("is_known"),
                func.count().label("count"),
                func.max(_table.c.received_at).label("last_received_at"),
            )
            .where(_table.c.received_at >= begin)
            .group_by(_table.c.type, "is_known")
            .order_by("is_known", _table.c.type)
        )
        return [from_row(WebhookTypeCount, row) for row in counted.mappings()]

    async def decide(
        self, gateway: str, event_id: str, outcome: WebhookOutcome, payment_id: str | None
    ) -> None:
        undecided = or_(_table.c.outcome.is_(None), _table.c.outcome != WebhookOutcome.APPLIED)
        await (await self.transaction.sqlalchemy()).execute(
            update(_table)
            .where(_is(gateway, event_id), undecided)
            .values(outcome=outcome, payment_id=func.coalesce(payment_id, _table.c.payment_id))
        )

    async def lock_intent(self, gateway: str, intent_id: str) -> None:
        name = f"{gateway} {intent_id}"
        await self.transaction.locking(_LOCK_INTENT.format(name.encode().hex()))

    async def has_waiting(self, gateway: str, intent_id: str) -> bool:
        driver = await self.transaction.reading()
        return await driver.fetchval(_HAS_WAITING, gateway, intent_id) is not None

    async def take_waiting(self, gateway: str, intent_id: str, payment_id: str) -> Sequence[StoredWebhook]:
        taken = await self._all(
            update(_table)
            .where(_table.c.gateway == gateway, _table.c.intent_id == intent_id, _waiting)
            .values(payment_id=payment_id)
            .returning(*_table.c)
        )
        return sorted(taken, key=lambda webhook: webhook.created_at)

    async def waiting_for_known_payments(self, *, limit: int, besides: Collection[str] = ()) -> Sequence[str]:
        wanted = (
            select(tables.payment.c.payment_id)
            .distinct()
            .join(
                _table,
                and_(
                    _table.c.gateway == tables.payment.c.gateway,
                    _table.c.intent_id == tables.payment.c.intent_id,
                ),
            )
            .where(_waiting, _table.c.gateway.not_in(besides))
            .limit(limit)
        )
        return list((await (await self.transaction.sqlalchemy()).scalars(wanted)).all())

    async def drop_bodies(self, *, received_before: datetime, limit: int) -> int:
        return await self._removed(_DROP_BODIES, received_before, limit)

    async def forget(self, *, received_before: datetime, limit: int) -> int:
        return await self._removed(_FORGET, received_before, limit)

    async def _removed(self, statement: str, received_before: datetime, limit: int) -> int:
        done: str = await (await self.transaction.locking()).execute(statement, received_before, limit)
        return int(done.rpartition(" ")[2])

    async def _all(self, query: Any) -> list[StoredWebhook]:
        rows = (await (await self.transaction.sqlalchemy()).execute(query)).mappings()
        # Rows of a former version have neither outcome nor type known; it knew the types that it followed.
        return [
            _ROWS.opened_mapping({**row, "is_known": row["is_known"] is not False}, self.transaction.vault)
            for row in rows
        ]
