"""The order side's repositories and unit of work."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import history, tables
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.endpoints import PostgresDeliveries, PostgresEndpoints
from adapters.postgres.erasure import PostgresOrderPersons
from adapters.postgres.history import PostgresHistory
from adapters.postgres.rows import to_row
from adapters.postgres.sealed_columns import ATTEMPTS, DATA_KEY, ORDERS
from adapters.postgres.sealed_rows import SealedRows, make_key, note_key
from adapters.postgres.stock import PostgresStock, move_stock
from adapters.postgres.transaction import Transaction, Write, appended
from adapters.postgres.unit_of_work import UnitOfWork
from domain.orders.attempt import Attempt
from domain.orders.effects import Effect
from domain.orders.history import Entry
from domain.orders.order import Order
from domain.orders.ports import OrderKept
from outbox import Event, Outbox

EffectEncoder = Callable[[Effect], Event]


@dataclass(slots=True)
class PostgresOrders:
    """In the transaction of a unit of work, or of an inbox."""

    transaction: Transaction
    outbox: Outbox
    encode: EffectEncoder
    personal: bool = True
    """False where orders only follow their payments: their customer and metadata are then not opened."""
    wrote_events: bool = False

    async def add(self, order: Order) -> None:
        values, keys = self._sealed(order)
        await self.transaction.write(
            Write(order.order_id, _INSERT, values, {"orders_pkey": OrderKept}),
            *keys,
            *history.written(_noted([order])),
        )

    async def get(self, order_id: str) -> Order | None:
        row = await (await self.transaction.reading()).fetchrow(_GET, order_id)
        return self._opened(row) if row else None

    def _sealed(self, order: Order) -> tuple[tuple[Any, ...], list[Write]]:
        """All columns, and what keeps the order's data key where it has none yet, or none any more."""
        key, keys = self.transaction.record_keys.get(order.order_id), []
        if key is None:
            key, kept = make_key(self.transaction, ORDERS.schema, order.order_id)
            keys.append(kept)
        values = _HOT.sealed(order, self.transaction.vault, key)
        return (*values, *_derived(order).values()), keys

    def _opened(self, row: "asyncpg.Record") -> Order:
        if not self.personal:
            return _HOT.unopened(row)
        note_key(self.transaction, ORDERS.schema, row["order_id"], row[DATA_KEY])
        return _HOT.opened(row, self.transaction.vault)

    async def lock(self, order_ids: Sequence[str]) -> dict[str, Order]:
        driver = await self.transaction.locking()
        one, many = (_LOCK_ONE, _LOCK) if self.personal else (_FOLLOW_ONE, _FOLLOW)
        if len(order_ids) == 1:
            rows = await driver.fetch(one, order_ids[0])
        else:
            rows = await driver.fetch(many, order_ids)
        return {row["order_id"]: self._opened(row) for row in rows}

    async def save(self, orders: Sequence[Order]) -> None:
        if not orders:
            return
        for order in orders:
            order.version += 1
        changes = [change for order in orders for change in order.take_stock_changes()]
        attempts = [attempt for order in orders for attempt in order.take_attempts()]
        effects = [self.encode(effect) for order in orders for effect in order.take_effects()]
        await move_stock(self.transaction, changes, max(order.updated_at for order in orders))
        row = " ".join(order.order_id for order in orders)
        columns = list(zip(*map(_changing, orders), strict=True))
        await self.transaction.write(
            Write(row, _UPDATE, columns),
            *history.written(_noted(orders)),
            *(_put(attempt, self.transaction) for attempt in attempts),
            *appended(self.outbox, effects),
        )
        self.wrote_events = self.wrote_events or bool(effects)

    async def save_draft(self, order: Order) -> None:
        assert self.personal, "what was not opened cannot be written"
        order.version += 1
        values, keys = self._sealed(order)
        await self.transaction.write(
            Write(order.order_id, _UPDATE_DRAFT, values), *keys, *history.written(_noted([order]))
        )

    async def take_abandoned(self, *, before: datetime, limit: int) -> Sequence[Order]:
        rows = await (await self.transaction.locking()).fetch(_TAKE_ABANDONED, before, limit)
        return [self._opened(row) for row in rows]

    async def list(
        self,
        *,
        status: str | None,
        user_id: str | None,
        order_id: str | None,
        after: str | None,
        limit: int,
        with_attention: bool = False,
    ) -> Sequence[Order]:
        columns = tables.orders.c
        wanted = _HOT.select_mapping().order_by(columns.order_id.desc()).limit(limit)
        for column, value in (
            (columns.status, status),
            (columns.user_id, user_id),
            (columns.order_id, order_id),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        if after is not None:
            wanted = wanted.where(columns.order_id < after)
        if with_attention:
            wanted = wanted.where(columns.attention.is_not(None))
        rows = (await (await self.transaction.sqlalchemy()).execute(wanted)).mappings()
        return [_HOT.opened_mapping(row, self.transaction.vault) for row in rows]


def row_of(order: Order) -> dict[str, Any]:
    """An order's columns; what is derived is stored beside it for those who query the table."""
    return to_row(order) | _derived(order)


def _derived(order: Order) -> dict[str, Any]:
    return {
        "attention": order.attention,
        "total_amount": order.total_amount,
        "amount_paid": order.amount_paid,
        "amount_refunded": order.amount_refunded,
    }


_HOT = SealedRows(Order, tables.orders, ORDERS)
_GET = f"{_HOT.select()} WHERE order_id = $1"
_TAKE_ABANDONED = f"""
    {_HOT.select()}
    WHERE cancellation IS NULL AND status IN ('PENDING_PAYMENT', 'AWAITING_USER_PAYMENT_ACTION', 'PAYMENT_FAILED')
    AND updated_at <= $1 AND NOT EXISTS (
        SELECT FROM orders.attempt AS open WHERE open.order_id = orders.orders.order_id
        AND open.status = 'STARTED' AND open.kind IN ('CREATE', 'CONFIRM')
    )
    ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_DERIVED = ("attention", "total_amount", "amount_paid", "amount_refunded")
_INSERT = _HOT.insert(*_DERIVED)
# One by itself: PostgreSQL plans anew for each array, and that takes longer than the look-up.
_ONE = "WHERE order_id = $1 FOR UPDATE"
_MANY = "WHERE order_id = ANY ($1::text[]) ORDER BY order_id FOR UPDATE"
_LOCK_ONE, _LOCK = f"{_HOT.select()} {_ONE}", f"{_HOT.select()} {_MANY}"
_FOLLOW_ONE, _FOLLOW = f"{_HOT.select_unopened()} {_ONE}", f"{_HOT.select_unopened()} {_MANY}"
_CHANGING = (
    *(
        "status",
        "attention",
        "attentions",
        "payments",
        "confirmed_at",
        "accepted_at",
        "fulfilled_at",
        "updated_at",
    ),
    *("version", "cancellation", "refunds"),
    *("amount_paid", "amount_refunded", "reserved"),
)
_UPDATE_DRAFT = _HOT.update_one("order_id", *_DERIVED)
_UPDATE = _HOT.update("order_id", *_CHANGING)


def _noted(orders: Sequence[Order]) -> Iterator[tuple[str, Entry]]:
    for order in orders:
        for entry in order.take_history():
            yield order.order_id, entry


def _changing(order: Order) -> tuple[Any, ...]:
    """The values of `_UPDATE`: what may change once the order is confirmed."""
    return (
        *(order.order_id, order.status, order.attention, _json(order.attentions), _json(order.payments)),
        *(order.confirmed_at, order.accepted_at, order.fulfilled_at, order.updated_at),
        *(order.version, _json(order.cancellation), _json(order.refunds)),
        *(order.amount_paid, order.amount_refunded),
        _json(order.reserved),
    )


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


@dataclass(frozen=True, slots=True)
class PostgresAttempts:
    transaction: Transaction

    async def get(self, attempt_id: str) -> Attempt | None:
        return await self._one(_GET_ATTEMPT, attempt_id)

    async def lock(self, attempt_id: str) -> tuple[Order, Attempt] | None:
        row = await (await self.transaction.locking()).fetchrow(_LOCK_ATTEMPT, attempt_id)
        if row is None:
            return None
        vault = self.transaction.vault
        return _HOT.opened(row, vault), _ATTEMPTS.opened(row, vault, _HOT.width)

    async def begun(self, attempt_id: str, order_id: str) -> tuple[Attempt | None, Attempt | None]:
        rows = await (await self.transaction.reading()).fetch(_BEGUN, attempt_id, order_id)
        found = {row["which"]: _ATTEMPTS.opened(row, self.transaction.vault) for row in rows}
        return found.get("this"), found.get("open")

    async def open_of(self, order_id: str) -> Attempt | None:
        return await self._one(_OPEN_ATTEMPT, order_id)

    async def put(self, attempt: Attempt) -> None:
        await self.transaction.write(_put(attempt, self.transaction))

    async def _one(self, query: str, value: str) -> Attempt | None:
        row = await (await self.transaction.reading()).fetchrow(query, value)
        return _ATTEMPTS.opened(row, self.transaction.vault) if row else None

    async def take_due(self, *, now: datetime, until: datetime, limit: int) -> Sequence[Attempt]:
        table = tables.attempt
        due = (
            select(table.c.attempt_id)
            .where(table.c.status == "STARTED", table.c.next_check_at <= now)
            .order_by(table.c.next_check_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = await (await self.transaction.sqlalchemy()).execute(
            update(table).where(table.c.attempt_id.in_(due)).values(next_check_at=until).returning(*table.c)
        )
        return [_ATTEMPTS.opened_mapping(row, self.transaction.vault) for row in rows.mappings()]


_ATTEMPTS = SealedRows(Attempt, tables.attempt, ATTEMPTS)
_GET_ATTEMPT = f"{_ATTEMPTS.select()} WHERE attempt_id = $1"
_IS_OPEN = "status = 'STARTED' AND kind IN ('CREATE', 'CONFIRM')"
_OPEN_ATTEMPT = f"{_ATTEMPTS.select()} WHERE order_id = $1 AND {_IS_OPEN}"
_BEGUN = f"""
    SELECT {_ATTEMPTS.columns()}, 'this' AS which FROM {tables.attempt.fullname} WHERE attempt_id = $1
    UNION ALL
    SELECT {_ATTEMPTS.columns()}, 'open' FROM {tables.attempt.fullname} WHERE order_id = $2 AND {_IS_OPEN}
"""
# Both rows are locked, the order first, so that each is the newest, whoever was waited for.
_LOCK_ATTEMPT = f"""
    SELECT {_HOT.columns("o")}, {_ATTEMPTS.columns("a")}, {_HOT.data_key("o")}
    FROM {tables.orders.fullname} AS o JOIN {tables.attempt.fullname} AS a USING (order_id)
    WHERE a.attempt_id = $1 FOR UPDATE OF o, a
"""
_PUT_ATTEMPT = _ATTEMPTS.put("attempt_id")


def _put(attempt: Attempt, transaction: Transaction) -> Write:
    return Write(attempt.attempt_id, _PUT_ATTEMPT, _ATTEMPTS.sealed(attempt, transaction.vault))


class PostgresOrdersUnitOfWork(UnitOfWork):
    """The order side's transaction."""

    orders: PostgresOrders
    stock: PostgresStock
    attempts: PostgresAttempts
    history: PostgresHistory
    endpoints: PostgresEndpoints
    deliveries: PostgresDeliveries
    personal: PostgresOrderPersons

    def __init__(
        self, engine: AsyncEngine, outbox: Outbox, encode: EffectEncoder, after_commit: Callable[[], None]
    ) -> None:
        super().__init__(engine, after_commit)
        self._outbox = outbox
        self._encode = encode

    def _open(self, transaction: Transaction) -> None:
        self.orders = PostgresOrders(transaction, self._outbox, self._encode)
        self.stock = PostgresStock(transaction)
        self.attempts = PostgresAttempts(transaction)
        self.history = PostgresHistory(transaction)
        self.endpoints = PostgresEndpoints(transaction)
        self.deliveries = PostgresDeliveries(transaction)
        self.personal = PostgresOrderPersons(transaction)
        self.audit = PostgresAudit(transaction, self._outbox.schema)

    def _wrote_events(self) -> bool:
        return self.orders.wrote_events
