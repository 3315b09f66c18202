"""The gateway's balance transactions as they were imported."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres import tables
from adapters.postgres.ledger import PostgresLedger
from adapters.postgres.transaction import Transaction
from domain.payments.balance import BalanceTransaction, ObjectBooks, explains_itself
from domain.payments.ledger import LedgerEntry

_TABLE = tables.balance_transaction
_CURSOR = tables.balance_cursor
_NAMES = tuple(field.name for field in fields(BalanceTransaction))
_COLUMNS = [_TABLE.c[name] for name in _NAMES]


_NEVER = datetime.fromtimestamp(0, UTC)


def _read(row: Mapping[Any, Any]) -> BalanceTransaction:
    return msgspec.convert({str(name): row[name] for name in _NAMES}, BalanceTransaction)


@dataclass(frozen=True, slots=True)
class PostgresBalanceTransactions:
    transaction: Transaction

    async def created_until(self, gateway: str) -> datetime | None:
        wanted = select(_CURSOR.c.created_until).where(_CURSOR.c.gateway == gateway)
        found: datetime | None = await (await self.transaction.sqlalchemy()).scalar(wanted)
        return found

    async def move(self, gateway: str, created_until: datetime) -> None:
        statement = insert(_CURSOR).values(gateway=gateway, created_until=created_until)
        newest = func.greatest(_CURSOR.c.created_until, statement.excluded.created_until)
        await (await self.transaction.sqlalchemy()).execute(
            statement.on_conflict_do_update(index_elements=["gateway"], set_={"created_until": newest})
        )

    async def oldest_payment(self, gateway: str) -> datetime | None:
        payment = tables.payment.c
        wanted = select(func.min(payment.created_at)).where(payment.gateway == gateway)
        found: datetime | None = await (await self.transaction.sqlalchemy()).scalar(wanted)
        return found

    async def add(
        self, gateway: str, transactions: Sequence[BalanceTransaction]
    ) -> Sequence[BalanceTransaction]:
        if not transactions:
            return []
        # In one order, so that two that import the same wait for one another and neither for both.
        ordered = sorted(transactions, key=lambda one: one.transaction_id)
        rows = [
            {
                **{name: getattr(one, name) for name in _NAMES},
                "gateway": gateway,
                "checked_at": _NEVER,
                "explained": explains_itself(one),
            }
            for one in ordered
        ]
        inserted = await (await self.transaction.sqlalchemy()).execute(
            insert(_TABLE).values(rows).on_conflict_do_nothing().returning(_TABLE.c.transaction_id)
        )
        new = set(inserted.scalars())
        return [one for one in ordered if one.transaction_id in new]

    async def explained_ids(self, gateway: str, ids: Collection[str]) -> Collection[str]:
        wanted = select(_TABLE.c.transaction_id).where(
            _TABLE.c.gateway == gateway, _TABLE.c.transaction_id.in_(ids), _TABLE.c.explained
        )
        return set((await (await self.transaction.sqlalchemy()).execute(wanted)).scalars())

    async def take_unexplained(self, gateway: str, *, now: datetime, limit: int) -> Sequence[ObjectBooks]:
        connection = await self.transaction.sqlalchemy()
        own = _TABLE.c.gateway == gateway
        due = (
            select(_TABLE.c.transaction_id)
            .where(own, ~_TABLE.c.explained, _TABLE.c.source_id.is_not(None), _TABLE.c.checked_at < now)
            .order_by(_TABLE.c.checked_at, _TABLE.c.transaction_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = await connection.execute(
            update(_TABLE)
            .where(own, _TABLE.c.transaction_id.in_(due))
            .values(checked_at=now)
            .returning(_TABLE.c.source_id)
        )
        objects = sorted({str(source) for source in taken.scalars()})
        of_objects = select(*_COLUMNS).where(own, _TABLE.c.source_id.in_(objects))
        found = await connection.execute(of_objects.order_by(_TABLE.c.created_at, _TABLE.c.transaction_id))
        transactions = defaultdict(list)
        for row in found.mappings():
            transactions[row["source_id"]].append(_read(row))
        entries: defaultdict[str | None, list[LedgerEntry]] = defaultdict(list)
        for entry in await PostgresLedger(self.transaction).of_objects(gateway, objects):
            entries[entry.gateway_object].append(entry)
        return [
            ObjectBooks(
                gateway=gateway,
                gateway_object=name,
                transactions=transactions[name],
                entries=entries[name],
            )
            for name in objects
        ]

    async def explained(self, books: Sequence[ObjectBooks]) -> None:
        for one in books:
            ids = [transaction.transaction_id for transaction in one.transactions]
            await (await self.transaction.sqlalchemy()).execute(
                update(_TABLE)
                .where(_TABLE.c.gateway == one.gateway, _TABLE.c.transaction_id.in_(ids), ~_TABLE.c.explained)
                .values(explained=True)
            )

    async def unexplained(
        self, gateway: str, *, after: str | None, limit: int
    ) -> Sequence[BalanceTransaction]:
        wanted = select(*_COLUMNS).where(_TABLE.c.gateway == gateway, ~_TABLE.c.explained)
        if after is not None:
            wanted = wanted.where(_TABLE.c.transaction_id > after)
        found = await (await self.transaction.sqlalchemy()).execute(
            wanted.order_by(_TABLE.c.transaction_id).limit(limit)
        )
        return [_read(row) for row in found.mappings()]
