"""Refunds, what of them counts towards limits, and the tokens that have approved one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from adapters.postgres import tables
from adapters.postgres.rows import from_row, to_row
from adapters.postgres.transaction import Transaction
from domain.payments.errors import TokenUsed
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import Usage

_table = tables.refund
_of_payment = _table.join(tables.payment, tables.payment.c.payment_id == _table.c.payment_id)


def _is(*statuses: RefundStatus) -> ColumnElement[bool]:
    """As text, not as parameters: these are the conditions of the indexes."""
    return _table.c.status.in_([literal_column(f"'{status.value}'") for status in statuses])


_counts = _is(RefundStatus.PENDING, RefundStatus.SUCCEEDED)
_waits = _table.c.status == literal_column("'PENDING_APPROVAL'")


@dataclass(frozen=True, slots=True)
class PostgresRefunds:
    transaction: Transaction

    async def add(self, refund: Refund) -> None:
        await (await self.transaction.sqlalchemy()).execute(insert(_table).values(to_row(refund)))

    async def get(self, refund_id: str) -> Refund | None:
        return await self._one(_table.c.refund_id == refund_id)

    async def find_by_gateway_id(self, gateway_refund_id: str) -> Refund | None:
        return await self._one(_table.c.gateway_refund_id == gateway_refund_id)

    async def save(self, refund: Refund) -> None:
        refund.version += 1
        values = to_row(refund)
        await (await self.transaction.sqlalchemy()).execute(
            update(_table).where(_table.c.refund_id == values.pop("refund_id")).values(values)
        )

    async def lock_limits(self, subject: str, currency: str, order_id: str) -> None:
        connection = await self.transaction.sqlalchemy()
        for name in (f"refund limits {currency} {subject}", f"refund limits {currency} of order {order_id}"):
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
            )

    async def used(self, subject: str, currency: str, order_id: str, *, since: datetime) -> Usage:
        row = (
            await (await self.transaction.sqlalchemy()).execute(
                select(
                    _sum_of(_table)
                    .where(
                        _counts,
                        _table.c.decided_by == subject,
                        _table.c.currency == currency,
                        _table.c.decided_at > since,
                    )
                    .scalar_subquery()
                    .label("of_day"),
                    _sum_of(_of_payment)
                    .where(_counts, tables.payment.c.order_id == order_id, _table.c.currency == currency)
                    .scalar_subquery()
                    .label("of_order"),
                )
            )
        ).one()
        return Usage(of_day=int(row.of_day), of_order=int(row.of_order))

    async def waiting_amount(self, payment_id: str) -> int:
        wanted = _sum_of(_table).where(_waits, _table.c.payment_id == payment_id)
        return int(await (await self.transaction.sqlalchemy()).scalar(wanted) or 0)

    async def list(
        self,
        *,
        status: RefundStatus | None,
        payment_id: str | None,
        order_id: str | None,
        user_id: str | None,
        after: str | None,
        limit: int,
    ) -> Sequence[Refund]:
        conditions: list[ColumnElement[bool]] = []
        if status is not None:
            conditions.append(_table.c.status == literal_column(f"'{status.value}'"))
        if payment_id is not None:
            conditions.append(_table.c.payment_id == payment_id)
        if order_id is not None:
            conditions.append(tables.payment.c.order_id == order_id)
        if user_id is not None:
            conditions.append(tables.payment.c.user_id == user_id)
        if after is not None:
            conditions.append(_table.c.refund_id < after)
        wanted = select(_table).select_from(_of_payment).where(*conditions)
        return await self._all(wanted.order_by(_table.c.refund_id.desc()).limit(limit))

    async def waiting_since(self, *, before: datetime, limit: int) -> Sequence[Refund]:
        wanted = select(_table).where(_waits, _table.c.updated_at <= before)
        return await self._all(wanted.order_by(_table.c.updated_at).limit(limit))

    async def count_waiting(self) -> tuple[int, datetime | None]:
        counted = select(func.count().label("number"), func.min(_table.c.updated_at).label("since"))
        row = (await (await self.transaction.sqlalchemy()).execute(counted.where(_waits))).one()
        return row.number, row.since

    async def _one(self, condition: ColumnElement[bool]) -> Refund | None:
        found = await self._all(select(_table).where(condition))
        return found[0] if found else None

    async def _all(self, wanted: "Select[Any]") -> Sequence[Refund]:
        rows = (await (await self.transaction.sqlalchemy()).execute(wanted)).mappings()
        return [from_row(Refund, row) for row in rows]


def _sum_of(source: Any) -> "Select[tuple[int]]":
    return select(func.coalesce(func.sum(_table.c.amount), 0)).select_from(source)


@dataclass(frozen=True, slots=True)
class PostgresApprovalTokens:
    transaction: Transaction

    async def use(self, subject: str, token_id: str, refund_id: str, expires_at: datetime) -> None:
        table = tables.approval_token
        used = await (await self.transaction.sqlalchemy()).execute(
            upsert(table)
            .values(subject=subject, token_id=token_id, refund_id=refund_id, expires_at=expires_at)
            .on_conflict_do_nothing()
        )
        if used.rowcount == 0:
            raise TokenUsed

    async def forget(self, *, expired_before: datetime) -> int:
        table = tables.approval_token
        forgotten = await (await self.transaction.sqlalchemy()).execute(
            delete(table).where(table.c.expires_at < expired_before)
        )
        return forgotten.rowcount
