"""What is kept of the payments of an order, read for `explain`: each part by its index on the payment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Table, select, text

from adapters.postgres import tables
from adapters.postgres.ledger import PostgresLedger
from adapters.postgres.rows import from_row
from adapters.postgres.sealed_columns import OPERATIONS, PAYMENTS
from adapters.postgres.sealed_rows import SealedRows
from adapters.postgres.transaction import Transaction
from domain.payments.dispute import Dispute
from domain.payments.ledger_ports import EntryFilter
from domain.payments.operation import Operation
from domain.payments.payment import Payment
from domain.payments.refund import Refund
from domain.payments.story import CommittedEvent, PaymentStory
from domain.payments.webhook import StoredWebhook
from domain.shared.audit import AuditEntry, entry_of

T = TypeVar("T")

NEWEST = 500
_PAYMENTS = SealedRows(Payment, tables.payment, PAYMENTS)
_OPERATIONS = SealedRows(Operation, tables.operation, OPERATIONS)


@dataclass(frozen=True, slots=True)
class PostgresStories:
    transaction: Transaction
    schema: str

    async def of_order(self, order_id: str) -> Sequence[PaymentStory]:
        payments = await self._sealed_parts(_PAYMENTS, tables.payment, "order_id", order_id, "payment_id")
        return [await self._story(payment) for payment in payments]

    async def _story(self, payment: Payment) -> PaymentStory:
        own = ("payment_id", payment.payment_id)
        refunds = await self._parts(Refund, tables.refund, *own, "created_at")
        return PaymentStory(
            payment=payment,
            operations=await self._sealed_parts(_OPERATIONS, tables.operation, *own, "created_at"),
            refunds=refunds,
            disputes=await self._parts(Dispute, tables.dispute, *own, "opened_at"),
            webhooks=await self._parts(StoredWebhook, tables.webhook_event, *own, "received_at", body=None),
            events=await self._events(payment.payment_id),
            audit=await self._audit([payment.payment_id, *(refund.refund_id for refund in refunds)]),
            entries=await PostgresLedger(self.transaction).find(
                EntryFilter(payment_id=payment.payment_id), after=None, limit=NEWEST
            ),
        )

    async def _audit(self, object_ids: Sequence[str]) -> list[AuditEntry]:
        found = await (await self.transaction.sqlalchemy()).execute(
            text(
                f"""
                SELECT entry::text AS text FROM {self.schema}.audit WHERE entry ->> 'object_id' = ANY (:ids)
                ORDER BY position DESC LIMIT {NEWEST}
                """
            ),
            {"ids": list(object_ids)},
        )
        return [entry_of(row.text) for row in found][::-1]

    async def _parts(
        self, kind: type[T], table: Table, key: str, value: str, order: str, **instead: Any
    ) -> list[T]:
        """The newest rows of this key, the oldest of them first; what is given `instead` is not read."""
        wanted = select(*(column for column in table.c if column.name not in instead))
        found = await (await self.transaction.sqlalchemy()).execute(
            wanted.where(table.c[key] == value).order_by(table.c[order].desc()).limit(NEWEST)
        )
        return [from_row(kind, {**row, **instead}) for row in found.mappings()][::-1]

    async def _sealed_parts(
        self, rows: SealedRows[T], table: Table, key: str, value: str, order: str
    ) -> list[T]:
        """The newest rows of this key, the oldest of them first."""
        wanted = rows.select_mapping().where(table.c[key] == value)
        found = await (await self.transaction.sqlalchemy()).execute(
            wanted.order_by(table.c[order].desc()).limit(NEWEST)
        )
        return [rows.opened_mapping(row, self.transaction.vault) for row in found.mappings()][::-1]

    async def _events(self, payment_id: str) -> list[CommittedEvent]:
        found = await (await self.transaction.sqlalchemy()).execute(
            text(
                f"""
                SELECT id AS event_id, type, sequence, created_at AS committed_at
                FROM {self.schema}.outbox_event
                WHERE topic = 'payment.events' AND stream = :payment_id
                ORDER BY sequence DESC LIMIT {NEWEST}
                """
            ),
            {"payment_id": payment_id},
        )
        return [from_row(CommittedEvent, row) for row in found.mappings()][::-1]
