"""The payment side's repositories and unit of work."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import tables
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.balance import PostgresBalanceTransactions
from adapters.postgres.erasure import PostgresPaymentPersons
from adapters.postgres.ledger import PostgresLedger, posted
from adapters.postgres.refunds import PostgresApprovalTokens, PostgresRefunds
from adapters.postgres.rows import from_row, to_row
from adapters.postgres.sealed_columns import DATA_KEY, OPERATIONS, PAYMENTS
from adapters.postgres.sealed_rows import SealedRows, make_key, note_key
from adapters.postgres.stories import PostgresStories
from adapters.postgres.transaction import Transaction, Write, appended
from adapters.postgres.unit_of_work import UnitOfWork
from adapters.postgres.webhooks import PostgresWebhooks
from domain.payments.dispute import Dispute
from domain.payments.dispute_status import DisputeStatus
from domain.payments.errors import OperationInFlight, PaymentInProgress
from domain.payments.operation import Operation
from domain.payments.payment import Payment
from domain.payments.ports import LoggedEvent
from domain.shared.errors import Malformed
from domain.shared.payment_events import PaymentEvent
from outbox import Event, Outbox

EventEncoder = Callable[[PaymentEvent], Event]


@dataclass(slots=True)
class PostgresPayments:
    transaction: Transaction
    outbox: Outbox
    encode: EventEncoder
    wrote_events: bool = False

    async def add(self, payment: Payment) -> None:
        refusals = {"payment_live_order": PaymentInProgress, "payment_pkey": OperationInFlight}
        _, key = make_key(self.transaction, PAYMENTS.schema, payment.payment_id)
        values = _PAYMENTS.sealed(payment, self.transaction.vault)
        await self.transaction.write(Write(payment.payment_id, _INSERT_PAYMENT, values, refusals), key)

    async def get(self, payment_id: str) -> Payment | None:
        row = await (await self.transaction.reading()).fetchrow(_GET_PAYMENT, payment_id)
        return _PAYMENTS.opened(row, self.transaction.vault) if row else None

    async def lock(self, payment_id: str) -> Payment | None:
        row = await (await self.transaction.locking()).fetchrow(_LOCK_PAYMENT, payment_id)
        return _PAYMENTS.opened(row, self.transaction.vault) if row else None

    async def find_by_intent(self, gateway: str, intent_id: str) -> str | None:
        driver = await self.transaction.reading()
        found: str | None = await driver.fetchval(_FIND_PAYMENT, gateway, intent_id)
        return found

    async def save(self, payment: Payment) -> None:
        payment.version += 1
        events = [self.encode(event) for event in payment.take_events()]
        await self.transaction.write(
            Write(payment.payment_id, _UPDATE_PAYMENT, _PAYMENTS.sealed(payment, self.transaction.vault)),
            *appended(self.outbox, events),
            *posted(payment.take_entries()),
        )
        self.wrote_events = self.wrote_events or bool(events)

    async def forget(self, payment: Payment) -> None:
        for table in (tables.operation, tables.payment):
            await (await self.transaction.sqlalchemy()).execute(
                delete(table).where(table.c.payment_id == payment.payment_id)
            )
        await (await self.transaction.sqlalchemy()).execute(
            delete(tables.payment_key).where(tables.payment_key.c.record == payment.payment_id)
        )

    async def count_attentions(self) -> Mapping[str, int]:
        table = tables.payment
        rows = await (await self.transaction.sqlalchemy()).execute(
            select(table.c.attention, func.count().label("payments"))
            .where(table.c.attention.is_not(None))
            .group_by(table.c.attention)
        )
        return {row.attention: row.payments for row in rows}

    async def begin_look_up(self, payment_id: str, *, now: datetime, not_since: datetime) -> bool:
        table = tables.payment
        begun = await (await self.transaction.sqlalchemy()).scalar(
            update(table)
            .where(
                table.c.payment_id == payment_id,
                or_(table.c.looked_up_at.is_(None), table.c.looked_up_at <= not_since),
            )
            .values(looked_up_at=now)
            .returning(table.c.payment_id)
        )
        return begun is not None

    async def take_expiring(self, *, before: datetime, limit: int) -> Sequence[Payment]:
        table = tables.payment
        # The first two conditions are the index's own: as parameters they would not find it.
        return await self._take(
            select(table)
            .where(
                text("status = 'REQUIRES_CAPTURE'"),
                text("NOT authorization_warned"),
                table.c.capture_before <= before,
            )
            .order_by(table.c.capture_before),
            limit,
        )

    async def take_due(self, *, now: datetime, limit: int) -> Sequence[Payment]:
        table = tables.payment
        return await self._take(
            select(table).where(table.c.check_at <= now).order_by(table.c.check_at), limit
        )

    async def _take(self, wanted: "Select[Any]", limit: int) -> Sequence[Payment]:
        """Lock rows that nobody else has in hand."""
        rows = await (await self.transaction.sqlalchemy()).execute(
            wanted.limit(limit).with_for_update(skip_locked=True)
        )
        return [_PAYMENTS.opened_mapping(row, self.transaction.vault) for row in rows.mappings()]

    async def put_off(self, payment_id: str, check_at: datetime | None) -> None:
        await (await self.transaction.sqlalchemy()).execute(
            update(tables.payment).where(tables.payment.c.payment_id == payment_id).values(check_at=check_at)
        )

    async def mark_operation_unknown(self, payment: Payment) -> None:
        await (await self.transaction.sqlalchemy()).execute(
            update(tables.payment)
            .where(tables.payment.c.payment_id == payment.payment_id)
            .values(operation_unknown=payment.operation_unknown, attention=payment.attention)
        )

    async def list(
        self, *, order_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> Sequence[Payment]:
        wanted = select(tables.payment).order_by(tables.payment.c.payment_id.desc()).limit(limit)
        if order_id is not None:
            wanted = wanted.where(tables.payment.c.order_id == order_id)
        if user_id is not None:
            wanted = wanted.where(tables.payment.c.user_id == user_id)
        if after is not None:
            wanted = wanted.where(tables.payment.c.payment_id < after)
        rows = (await (await self.transaction.sqlalchemy()).execute(wanted)).mappings()
        return [_PAYMENTS.opened_mapping(row, self.transaction.vault) for row in rows]


_PAYMENTS = SealedRows(Payment, tables.payment, PAYMENTS)
_INSERT_PAYMENT = _PAYMENTS.insert()
_UPDATE_PAYMENT = _PAYMENTS.update_one("payment_id")
_GET_PAYMENT = f"{_PAYMENTS.select()} WHERE payment_id = $1"
_LOCK_PAYMENT = f"{_GET_PAYMENT} FOR UPDATE"
_FIND_PAYMENT = f"SELECT payment_id FROM {tables.payment.fullname} WHERE gateway = $1 AND intent_id = $2"


@dataclass(frozen=True, slots=True)
class PostgresDisputes:
    transaction: Transaction

    async def get(self, gateway_dispute_id: str) -> Dispute | None:
        wanted = select(tables.dispute).where(tables.dispute.c.gateway_dispute_id == gateway_dispute_id)
        row = (await (await self.transaction.sqlalchemy()).execute(wanted)).mappings().one_or_none()
        return from_row(Dispute, row) if row else None

    async def put(self, dispute: Dispute) -> None:
        values = {**to_row(dispute), "closed": dispute.status.closed}
        await (await self.transaction.sqlalchemy()).execute(
            upsert(tables.dispute)
            .values(values)
            .on_conflict_do_update(index_elements=["gateway_dispute_id"], set_=values)
        )

    async def of_payment(self, payment_id: str) -> Sequence[Dispute]:
        table = tables.dispute
        return await self._all(
            select(table)
            .where(table.c.payment_id == payment_id)
            .order_by(table.c.opened_at, table.c.gateway_dispute_id)
        )

    async def due_for_evidence(self, *, before: datetime, limit: int) -> Sequence[Dispute]:
        table = tables.dispute
        awaiting = [status.value for status in DisputeStatus if status.awaits_evidence]
        return await self._all(
            select(table)
            .where(~table.c.closed, ~table.c.reminded, table.c.evidence_due_by < before)
            .where(table.c.status.in_(awaiting))
            .order_by(table.c.evidence_due_by)
            .limit(limit)
        )

    async def _all(self, wanted: "Select[Any]") -> Sequence[Dispute]:
        rows = (await (await self.transaction.sqlalchemy()).execute(wanted)).mappings()
        return [from_row(Dispute, row) for row in rows]


@dataclass(frozen=True, slots=True)
class PostgresOperations:
    transaction: Transaction

    async def add(self, operation: Operation) -> None:
        await self._write(_INSERT_OPERATION, operation)

    async def get(self, operation_id: str) -> Operation | None:
        row = await (await self.transaction.reading()).fetchrow(_GET_OPERATION, operation_id)
        return _OPERATIONS.opened(row, self.transaction.vault) if row else None

    async def lock(self, operation_id: str) -> tuple[Payment, Operation] | None:
        row = await (await self.transaction.locking()).fetchrow(_LOCK_OPERATION, operation_id)
        if row is None:
            return None
        note_key(self.transaction, PAYMENTS.schema, row["payment_id"], row[DATA_KEY])
        vault = self.transaction.vault
        return _PAYMENTS.opened(row, vault), _OPERATIONS.opened(row, vault, _PAYMENTS.width)

    async def save(self, operation: Operation) -> None:
        await self._write(_UPDATE_OPERATION, operation)

    async def _write(self, statement: str, operation: Operation) -> None:
        key = self.transaction.record_keys.get(operation.payment_id)
        values = _OPERATIONS.sealed(operation, self.transaction.vault, key)
        await self.transaction.write(Write(operation.operation_id, statement, values))

    async def has_open(self, payment_id: str, refund_id: str) -> bool:
        table = tables.operation
        open_one = select(table.c.operation_id).where(
            table.c.payment_id == payment_id,
            table.c.refund_id == refund_id,
            table.c.status.in_(("STARTED", "UNKNOWN")),
        )
        return await (await self.transaction.sqlalchemy()).scalar(open_one.limit(1)) is not None

    async def take_due(
        self, *, now: datetime, until: datetime, limit: int, besides: Collection[str] = ()
    ) -> Sequence[Operation]:
        due = (
            select(tables.operation.c.operation_id)
            .where(
                tables.operation.c.status.in_(("STARTED", "UNKNOWN")),
                tables.operation.c.next_check_at <= now,
                tables.operation.c.gateway.not_in(besides),
            )
            .order_by(tables.operation.c.next_check_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = await (await self.transaction.sqlalchemy()).execute(
            update(tables.operation)
            .where(tables.operation.c.operation_id.in_(due))
            .values(next_check_at=until)
            .returning(*tables.operation.c, _OPERATIONS.data_key_column())
        )
        return [_OPERATIONS.opened_mapping(row, self.transaction.vault) for row in rows.mappings()]


_OPERATIONS = SealedRows(Operation, tables.operation, OPERATIONS)
_INSERT_OPERATION = _OPERATIONS.insert()
_UPDATE_OPERATION = _OPERATIONS.update_one("operation_id")
_GET_OPERATION = f"{_OPERATIONS.select()} WHERE operation_id = $1"
# Both rows are locked, the payment first, so that each is the newest, whoever was waited for.
_LOCK_OPERATION = f"""
    SELECT {_PAYMENTS.columns("p")}, {_OPERATIONS.columns("o")}, {_OPERATIONS.data_key("o")}
    FROM {tables.payment.fullname} AS p JOIN {tables.operation.fullname} AS o USING (payment_id)
    WHERE o.operation_id = $1 FOR UPDATE OF p, o
"""


_FIND_CUSTOMER = f"""
    SELECT gateway_customer_id FROM {tables.customer.fullname} WHERE gateway = $1 AND user_id = $2
"""


@dataclass(frozen=True, slots=True)
class PostgresCustomers:
    transaction: Transaction

    async def find(self, gateway: str, user_id: str) -> str | None:
        driver = await self.transaction.reading()
        found: str | None = await driver.fetchval(_FIND_CUSTOMER, gateway, user_id)
        return found

    async def user_of(self, gateway: str, gateway_customer_id: str) -> str | None:
        table = tables.customer
        wanted = select(table.c.user_id).where(
            table.c.gateway == gateway, table.c.gateway_customer_id == gateway_customer_id
        )
        return await (await self.transaction.sqlalchemy()).scalar(wanted.limit(1))

    async def put(self, gateway: str, user_id: str, gateway_customer_id: str) -> str:
        await (await self.transaction.sqlalchemy()).execute(
            upsert(tables.customer)
            .values(gateway=gateway, user_id=user_id, gateway_customer_id=gateway_customer_id)
            .on_conflict_do_nothing()
        )
        return await self.find(gateway, user_id) or gateway_customer_id

    async def forget(self, gateway: str, user_id: str, gateway_customer_id: str) -> bool:
        kept = tables.customer.c
        forgotten = await (await self.transaction.sqlalchemy()).execute(
            delete(tables.customer).where(
                kept.gateway == gateway,
                kept.user_id == user_id,
                kept.gateway_customer_id == gateway_customer_id,
            )
        )
        return forgotten.rowcount == 1


@dataclass(frozen=True, slots=True)
class PostgresEventLog:
    transaction: Transaction
    schema: str

    async def list(
        self, *, after: str | None, type: str | None, order_id: str | None, limit: int
    ) -> Sequence[LoggedEvent]:
        # By transaction, not by position: positions commit out of order. Below the oldest running
        # transaction everything is decided, so what a reader has passed stays complete.
        xid, position = _parse_cursor(after)
        rows = await (await self.transaction.sqlalchemy()).execute(
            text(
                f"""
                SELECT xid::text AS xid, position, payload FROM {self.schema}.outbox_event
                WHERE (xid, position) > (CAST(CAST(:xid AS text) AS xid8), CAST(:position AS bigint))
                  AND xid < pg_snapshot_xmin(pg_current_snapshot())
                  AND topic = 'payment.events'
                  AND (CAST(:type AS text) IS NULL OR type = :type)
                  AND (CAST(:order_id AS text) IS NULL OR payload ->> 'partitionkey' = :order_id)
                ORDER BY outbox_event.xid, position LIMIT :limit
                """
            ),
            {"xid": xid, "position": position, "type": type, "order_id": order_id, "limit": limit},
        )
        return [LoggedEvent(cursor=f"{row.xid}-{row.position}", envelope=row.payload) for row in rows]


def _parse_cursor(cursor: str | None) -> tuple[str, int]:
    match = _CURSOR.fullmatch(cursor or "0-0")
    if match is None:
        raise Malformed("this is not a cursor that the event log gave", pointer="/after")
    return match[1], int(match[2])


_CURSOR = re.compile(r"([0-9]{1,19})-([0-9]{1,18})")


class PostgresPaymentsUnitOfWork(UnitOfWork):
    """The payment side's transaction."""

    payments: PostgresPayments
    refunds: PostgresRefunds
    approval_tokens: PostgresApprovalTokens
    disputes: PostgresDisputes
    operations: PostgresOperations
    customers: PostgresCustomers
    webhooks: PostgresWebhooks
    events: PostgresEventLog
    stories: PostgresStories
    personal: PostgresPaymentPersons
    ledger: PostgresLedger
    balance_transactions: PostgresBalanceTransactions

    def __init__(
        self, engine: AsyncEngine, outbox: Outbox, encode: EventEncoder, after_commit: Callable[[], None]
    ) -> None:
        super().__init__(engine, after_commit)
        self._outbox = outbox
        self._encode = encode

    def _open(self, transaction: Transaction) -> None:
        self.payments = PostgresPayments(transaction, self._outbox, self._encode)
        self.refunds = PostgresRefunds(transaction)
        self.approval_tokens = PostgresApprovalTokens(transaction)
        self.disputes = PostgresDisputes(transaction)
        self.operations = PostgresOperations(transaction)
        self.customers = PostgresCustomers(transaction)
        self.webhooks = PostgresWebhooks(transaction)
        self.events = PostgresEventLog(transaction, self._outbox.schema)
        self.stories = PostgresStories(transaction, self._outbox.schema)
        self.personal = PostgresPaymentPersons(transaction)
        self.ledger = PostgresLedger(transaction)
        self.balance_transactions = PostgresBalanceTransactions(transaction)
        self.audit = PostgresAudit(transaction, self._outbox.schema)

    def _wrote_events(self) -> bool:
        return self.payments.wrote_events
