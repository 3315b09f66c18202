"""Units of work in memory for both services; `tests/contract/repositories` holds them to the ports.

They keep what PostgreSQL keeps: reads give copies of what is committed (or of the transaction's own
writes), a written or locked row belongs to its transaction until the end, and two transactions that
want the same unique value wait for one another.
"""

import asyncio
import json
import pickle
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from adapters.cloudevents import payment_events
from domain.orders.attempt import CHECKOUT_KINDS, Attempt, AttemptStatus
from domain.orders.effects import Effect
from domain.orders.history import Entry, Recorded
from domain.orders.order import Order
from domain.orders.ports import OrderKept
from domain.orders.progress import DeliveryProgress, EffectProgress, EventProgress
from domain.orders.states import ORDER_TRANSITIONS
from domain.orders.stock import Shelf, StockChange, StockItem, summed
from domain.payments.dispute import Dispute
from domain.payments.errors import OperationInFlight, PaymentInProgress, TokenUsed
from domain.payments.gateway import IntentStatus
from domain.payments.ledger_ports import EntryFilter
from domain.payments.operation import Operation, OperationKind, OperationStatus
from domain.payments.payment import Payment
from domain.payments.ports import LoggedEvent
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import Usage
from domain.payments.states import INTENT_TRANSITIONS, OPERATION_TRANSITIONS, REFUND_TRANSITIONS
from domain.payments.story import CommittedEvent, PaymentStory
from domain.payments.webhook import (
    StoredWebhook,
    WebhookFilter,
    WebhookKept,
    WebhookOutcome,
    WebhookTypeCount,
)
from domain.shared.audit import AuditRecord
from domain.shared.errors import Malformed
from domain.shared.payment_events import PaymentEvent
from domain.shared.states import Transitions, reachable
from tests.support.memory_audit import MemoryAudit
from tests.support.memory_ledger import MemoryBalanceTransactions, MemoryLedger
from tests.support.memory_webhooks import MemoryDeliveries, MemoryEndpoints

Row = TypeVar("Row")
# One change of an order may fold several events.
_ORDER_AHEAD = {
    before: dict.fromkeys(ahead, "in several steps") for before, ahead in reachable(ORDER_TRANSITIONS).items()
}
_DELETED = object()
"""What a transaction has written where it has deleted a row."""
_CURSOR = re.compile(r"0-([0-9]{1,18})")


def _copied(row: Row) -> Row:
    """A copy that shares nothing which can change; four times as fast as `copy.deepcopy`."""
    copied: Row = pickle.loads(pickle.dumps(row, pickle.HIGHEST_PROTOCOL))
    return copied


class ConstraintViolated(Exception):
    """PostgreSQL would refuse this row."""


@dataclass
class Database:
    """What is committed. `log` holds payment events, `effects` those of orders, in order of commit."""

    rows: defaultdict[str, dict[Any, Any]] = field(default_factory=lambda: defaultdict(dict))
    log: list[PaymentEvent] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    history: list[Recorded] = field(default_factory=list)
    audit: list[AuditRecord] = field(default_factory=list)
    now: Callable[[], datetime] = lambda: datetime(2026, 3, 1, 12, tzinfo=UTC)
    """The database's clock."""
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))


class Transaction:
    """The writes of one unit of work, and the locks that it holds until its end."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.events: list[PaymentEvent] = []
        self.effects: list[Effect] = []
        self.entries: list[tuple[str, Entry]] = []
        self._writes: defaultdict[str, dict[Any, Any]] = defaultdict(dict)
        self._held: set[str] = set()

    async def lock(self, name: str) -> None:
        await asyncio.sleep(0)  # a round trip: others may run
        if name not in self._held:
            await self.database.locks[name].acquire()
            self._held.add(name)

    async def lock_free(self, name: str) -> bool:
        """Lock this unless another transaction has it (SKIP LOCKED)."""
        if name not in self._held and self.database.locks[name].locked():
            return False
        await self.lock(name)
        return True

    async def read(self, table: str, key: object) -> Any:
        await asyncio.sleep(0)
        found = self._writes[table].get(key, self.database.rows[table].get(key))
        return None if found is _DELETED else _copied(found)

    async def read_all(self, table: str) -> list[Any]:
        await asyncio.sleep(0)
        rows = {**self.database.rows[table], **self._writes[table]}.values()
        return _copied([row for row in rows if row is not _DELETED])

    async def insert(self, table: str, key: object, row: object) -> None:
        await self.lock(f"{table} {key}")
        if await self.read(table, key) is not None:
            raise ConstraintViolated(f"{table} {key} exists")
        self._writes[table][key] = _copied(row)

    async def update(self, table: str, key: object, row: object) -> None:
        await self.lock(f"{table} {key}")
        self._writes[table][key] = _copied(row)

    async def delete(self, table: str, key: object) -> None:
        await self.lock(f"{table} {key}")
        self._writes[table][key] = _DELETED

    def commit(self) -> None:
        for table, rows in self._writes.items():
            for key, row in rows.items():
                if row is _DELETED:
                    self.database.rows[table].pop(key, None)
                else:
                    self.database.rows[table][key] = row
        self.database.log.extend(self.events)
        self.database.effects.extend(self.effects)
        for position, (order_id, entry) in enumerate(self.entries, len(self.database.history) + 1):
            recorded = Recorded(order_id=order_id, position=position, at=self.database.now(), entry=entry)
            self.database.history.append(recorded)
        self.end()

    def end(self) -> None:
        """Forget what was not committed, and let the locks go."""
        self._writes.clear()
        self.events, self.effects, self.entries = [], [], []
        for name in self._held:
            self.database.locks[name].release()
        self._held.clear()


class _UnitOfWork:
    def __init__(self, database: Database) -> None:
        self._transaction = Transaction(database)
        self.audit = MemoryAudit(database.audit)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transaction.end()
        self.audit.end()

    async def commit(self) -> None:
        await asyncio.sleep(0)
        self._transaction.commit()
        self.audit.commit()


def _newest(rows: Sequence[Row], key: Callable[[Row], str], after: str | None, limit: int) -> list[Row]:
    newest = sorted(rows, key=key, reverse=True)
    return list(islice((row for row in newest if after is None or key(row) < after), limit))


@dataclass(slots=True)
class MemoryPayments:
    transaction: Transaction

    async def add(self, payment: Payment) -> None:
        await self.transaction.lock(f"live payment of {payment.order_id}")
        try:
            await self.transaction.insert("payment", payment.payment_id, payment)
        except ConstraintViolated as error:
            raise OperationInFlight from error
        others = await self._others(payment)
        if any(other.order_id == payment.order_id and _live(other) for other in others):
            raise PaymentInProgress

    async def get(self, payment_id: str) -> Payment | None:
        found: Payment | None = await self.transaction.read("payment", payment_id)
        return found

    async def lock(self, payment_id: str) -> Payment | None:
        await self.transaction.lock(f"payment {payment_id}")
        return await self.get(payment_id)

    async def find_by_intent(self, gateway: str, intent_id: str) -> str | None:
        payments: list[Payment] = await self.transaction.read_all("payment")
        wanted = (gateway, intent_id)
        return next((row.payment_id for row in payments if (row.gateway, row.intent_id) == wanted), None)

    async def save(self, payment: Payment) -> None:
        payment.version += 1
        self.transaction.events.extend(payment.take_events())
        await MemoryLedger(self.transaction).post(payment.take_entries())
        _check_payment(payment)
        _check_step("payment", await self.get(payment.payment_id), payment, INTENT_TRANSITIONS)
        if any(
            payment.intent_id is not None
            and (other.gateway, other.intent_id) == (payment.gateway, payment.intent_id)
            for other in await self._others(payment)
        ):
            raise ConstraintViolated("payment_intent")
        await self.transaction.update("payment", payment.payment_id, payment)

    async def forget(self, payment: Payment) -> None:
        for operation in await self.transaction.read_all("operation"):
            if operation.payment_id == payment.payment_id:
                await self.transaction.delete("operation", operation.operation_id)
        await self.transaction.delete("payment", payment.payment_id)

    async def count_attentions(self) -> Mapping[str, int]:
        payments: list[Payment] = await self.transaction.read_all("payment")
        return Counter(payment.attention for payment in payments if payment.attention is not None)

    async def begin_look_up(self, payment_id: str, *, now: datetime, not_since: datetime) -> bool:
        await self.transaction.lock(f"payment {payment_id}")
        looked_up_at: datetime | None = await self.transaction.read("look-up", payment_id)
        if looked_up_at is not None and looked_up_at > not_since:
            return False
        await self.transaction.update("look-up", payment_id, now)
        return True

    async def take_expiring(self, *, before: datetime, limit: int) -> Sequence[Payment]:
        return await self._take(
            lambda payment: (
                None
                if payment.status is not IntentStatus.REQUIRES_CAPTURE or payment.authorization_warned
                else payment.capture_before
            ),
            before,
            limit,
        )

    async def take_due(self, *, now: datetime, limit: int) -> Sequence[Payment]:
        return await self._take(lambda payment: payment.check_at, now, limit)

    async def _take(
        self, due_at: Callable[[Payment], datetime | None], until: datetime, limit: int
    ) -> Sequence[Payment]:
        payments: list[Payment] = await self.transaction.read_all("payment")
        due = [(at, payment.payment_id) for payment in payments if (at := due_at(payment)) and at <= until]
        taken: list[Payment] = []
        for _, payment_id in sorted(due):
            if len(taken) < limit and await self.transaction.lock_free(f"payment {payment_id}"):
                fresh = await self.get(payment_id)
                if fresh is not None and (at := due_at(fresh)) and at <= until:
                    taken.append(fresh)
        return taken

    async def put_off(self, payment_id: str, check_at: datetime | None) -> None:
        saved = await self.get(payment_id)
        if saved is not None:
            saved.check_at = check_at
            await self.transaction.update("payment", payment_id, saved)

    async def mark_operation_unknown(self, payment: Payment) -> None:
        saved = await self.get(payment.payment_id)
        if saved is not None:
            saved.operation_unknown, saved.attention = payment.operation_unknown, payment.attention
            await self.transaction.update("payment", payment.payment_id, saved)

    async def list(
        self, *, order_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> Sequence[Payment]:
        payments: list[Payment] = await self.transaction.read_all("payment")
        chosen = [
            payment
            for payment in payments
            if order_id in (None, payment.order_id) and user_id in (None, payment.user_id)
        ]
        return _newest(chosen, lambda payment: payment.payment_id, after, limit)

    async def _others(self, payment: Payment) -> "Sequence[Payment]":
        payments: Sequence[Payment] = await self.transaction.read_all("payment")
        return [other for other in payments if other.payment_id != payment.payment_id]


def _live(payment: Payment) -> bool:
    return payment.status is not IntentStatus.CANCELED


def _check_payment(payment: Payment) -> None:
    """The table's CHECK constraints."""
    amounts = (payment.amount_capturable, payment.amount_captured)
    if min(*amounts, payment.amount_refunded, payment.amount_refunding) < 0:
        raise ConstraintViolated("a negative amount")
    if payment.attention is not None or payment.acknowledged:
        return
    if payment.amount_refunded + payment.amount_refunding > payment.amount_captured:
        raise ConstraintViolated("payment_refunds_within_captured")
    if sum(amounts) > payment.amount:
        raise ConstraintViolated("payment_captures_within_amount")


def _check_step(machine: str, before: Any, after: Any, transitions: Transitions[Any]) -> None:
    """The database's table of transitions."""
    if before is not None and after.status not in (before.status, *transitions[before.status]):
        raise ConstraintViolated(f"{machine}_transition from {before.status} to {after.status}")


@dataclass(slots=True)
class MemoryRefunds:
    transaction: Transaction

    async def add(self, refund: Refund) -> None:
        await self.transaction.insert("refund", refund.refund_id, refund)

    async def get(self, refund_id: str) -> Refund | None:
        found: Refund | None = await self.transaction.read("refund", refund_id)
        return found

    async def find_by_gateway_id(self, gateway_refund_id: str) -> Refund | None:
        refunds: list[Refund] = await self.transaction.read_all("refund")
        return next((refund for refund in refunds if refund.gateway_refund_id == gateway_refund_id), None)

    async def save(self, refund: Refund) -> None:
        refund.version += 1
        before = await self.get(refund.refund_id)
        if before and before.status is RefundStatus.FAILED and refund.status is not RefundStatus.FAILED:
            _check_taken_up(before, refund)
        else:
            _check_step("refund", before, refund, REFUND_TRANSITIONS)
        await self.transaction.update("refund", refund.refund_id, refund)

    async def lock_limits(self, subject: str, currency: str, order_id: str) -> None:
        await self.transaction.lock(f"refund limits {currency} {subject}")
        await self.transaction.lock(f"refund limits {currency} of order {order_id}")

    async def used(self, subject: str, currency: str, order_id: str, *, since: datetime) -> Usage:
        counted: list[tuple[Refund, Payment]] = [
            (refund, payment)
            for refund, payment in await self._with_payments()
            if refund.currency == currency and refund.status in (RefundStatus.PENDING, RefundStatus.SUCCEEDED)
        ]
        return Usage(
            of_day=sum(
                refund.amount
                for refund, _ in counted
                if refund.decided_by == subject and refund.decided_at and refund.decided_at > since
            ),
            of_order=sum(refund.amount for refund, payment in counted if payment.order_id == order_id),
        )

    async def waiting_amount(self, payment_id: str) -> int:
        return sum(refund.amount for refund in await self._waiting() if refund.payment_id == payment_id)

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
        chosen = [
            refund
            for refund, payment in await self._with_payments()
            if status in (None, refund.status)
            and payment_id in (None, refund.payment_id)
            and order_id in (None, payment.order_id)
            and user_id in (None, payment.user_id)
        ]
        return _newest(chosen, lambda refund: refund.refund_id, after, limit)

    async def waiting_since(self, *, before: datetime, limit: int) -> Sequence[Refund]:
        waiting = [refund for refund in await self._waiting() if refund.updated_at <= before]
        return sorted(waiting, key=lambda refund: refund.updated_at)[:limit]

    async def count_waiting(self) -> tuple[int, datetime | None]:
        times = [refund.updated_at for refund in await self._waiting()]
        return len(times), min(times, default=None)

    async def _waiting(self) -> "Sequence[Refund]":
        refunds: Sequence[Refund] = await self.transaction.read_all("refund")
        return [refund for refund in refunds if refund.status is RefundStatus.PENDING_APPROVAL]

    async def _with_payments(self) -> "Sequence[tuple[Refund, Payment]]":
        payments = {payment.payment_id: payment for payment in await self.transaction.read_all("payment")}
        return [(refund, payments[refund.payment_id]) for refund in await self.transaction.read_all("refund")]


def _check_taken_up(before: Refund, after: Refund) -> None:
    """A refund leaves FAILED by a new attempt of ours, or because the gateway has the one that was given up."""
    begun = after.attempt == before.attempt + 1 and after.gateway_refund_id is None
    found = after.attempt == before.attempt and before.gateway_refund_id is None
    if not begun and not (found and after.gateway_refund_id is not None):
        raise ConstraintViolated("refund_transition")
    if begun and after.status not in REFUND_TRANSITIONS[before.status]:
        raise ConstraintViolated("refund_transition")


@dataclass(slots=True)
class MemoryApprovalTokens:
    transaction: Transaction

    async def use(self, subject: str, token_id: str, refund_id: str, expires_at: datetime) -> None:
        key = (subject, token_id)
        await self.transaction.lock(f"approval token {key}")
        if await self.transaction.read("approval token", key) is not None:
            raise TokenUsed
        await self.transaction.update("approval token", key, (refund_id, expires_at, key))

    async def forget(self, *, expired_before: datetime) -> int:
        expired = [
            key
            for _, expires_at, key in await self.transaction.read_all("approval token")
            if expires_at < expired_before
        ]
        for key in expired:
            await self.transaction.delete("approval token", key)
        return len(expired)


@dataclass(slots=True)
class MemoryDisputes:
    transaction: Transaction

    async def get(self, gateway_dispute_id: str) -> Dispute | None:
        found: Dispute | None = await self.transaction.read("dispute", gateway_dispute_id)
        return found

    async def put(self, dispute: Dispute) -> None:
        await self.transaction.update("dispute", dispute.gateway_dispute_id, dispute)

    async def of_payment(self, payment_id: str) -> Sequence[Dispute]:
        disputes: list[Dispute] = await self.transaction.read_all("dispute")
        chosen = [dispute for dispute in disputes if dispute.payment_id == payment_id]
        return sorted(chosen, key=lambda dispute: (dispute.opened_at, dispute.gateway_dispute_id))

    async def due_for_evidence(self, *, before: datetime, limit: int) -> Sequence[Dispute]:
        disputes: list[Dispute] = await self.transaction.read_all("dispute")
        due = [
            (dispute.evidence_due_by, dispute)
            for dispute in disputes
            if dispute.evidence_due_by is not None
            and dispute.evidence_due_by < before
            and dispute.status.awaits_evidence
            and not dispute.reminded
        ]
        return [dispute for _, dispute in sorted(due, key=lambda one: one[0])][:limit]


async def _take_due(
    transaction: Transaction,
    table: str,
    key: str,
    now: datetime,
    until: datetime,
    limit: int,
    besides: Collection[str] = (),
) -> list[Any]:
    taken: list[Any] = []
    for row in sorted(await transaction.read_all(table), key=lambda row: row.next_check_at):
        if len(taken) == limit:
            break
        if isinstance(row, Operation) and row.gateway in besides:
            continue
        if _is_open(row) and row.next_check_at <= now:
            name = getattr(row, key)
            if not await transaction.lock_free(f"{table} {name}"):
                continue
            fresh = await transaction.read(table, name)
            if _is_open(fresh) and fresh.next_check_at <= now:
                fresh.next_check_at = until
                await transaction.update(table, name, fresh)
                taken.append(fresh)
    return taken


def _is_open(row: Operation | Attempt) -> bool:
    return row.open if isinstance(row, Operation) else row.status is AttemptStatus.STARTED


@dataclass(slots=True)
class MemoryOperations:
    transaction: Transaction

    async def add(self, operation: Operation) -> None:
        if operation.kind is not OperationKind.REFUND:
            saved: list[Operation] = await self.transaction.read_all("operation")
            if any(
                one.payment_id == operation.payment_id
                and one.kind is not OperationKind.REFUND
                and one.status is OperationStatus.STARTED
                for one in saved
            ):
                raise ConstraintViolated("operation_in_flight")
        await self.transaction.insert("operation", operation.operation_id, operation)

    async def get(self, operation_id: str) -> Operation | None:
        found: Operation | None = await self.transaction.read("operation", operation_id)
        return found

    async def lock(self, operation_id: str) -> tuple[Payment, Operation] | None:
        found = await self.get(operation_id)
        if found is None:
            return None
        await self.transaction.lock(f"payment {found.payment_id}")
        await self.transaction.lock(f"operation {operation_id}")
        payment = await self.transaction.read("payment", found.payment_id)
        operation = await self.transaction.read("operation", operation_id)
        return None if payment is None or operation is None else (payment, operation)

    async def save(self, operation: Operation) -> None:
        _check_step("operation", await self.get(operation.operation_id), operation, OPERATION_TRANSITIONS)
        await self.transaction.update("operation", operation.operation_id, operation)

    async def has_open(self, payment_id: str, refund_id: str) -> bool:
        return any(
            one.open and one.refund_id == refund_id for one in await self.transaction.read_all("operation")
        )

    async def take_due(
        self, *, now: datetime, until: datetime, limit: int, besides: Collection[str] = ()
    ) -> Sequence[Operation]:
        return await _take_due(self.transaction, "operation", "operation_id", now, until, limit, besides)


@dataclass(slots=True)
class MemoryCustomers:
    transaction: Transaction

    async def find(self, gateway: str, user_id: str) -> str | None:
        found: str | None = await self.transaction.read("customer", (gateway, user_id))
        return found

    async def user_of(self, gateway: str, gateway_customer_id: str) -> str | None:
        await asyncio.sleep(0)
        customers: dict[tuple[str, str], str] = self.transaction.database.rows["customer"]
        owners = [
            user
            for (account, user), customer in customers.items()
            if (account, customer) == (gateway, gateway_customer_id)
        ]
        return owners[0] if owners else None

    async def put(self, gateway: str, user_id: str, gateway_customer_id: str) -> str:
        await self.transaction.lock(f"customer {(gateway, user_id)}")
        kept = await self.find(gateway, user_id)
        if kept is None:
            await self.transaction.update("customer", (gateway, user_id), gateway_customer_id)
        return kept or gateway_customer_id

    async def forget(self, gateway: str, user_id: str, gateway_customer_id: str) -> bool:
        await self.transaction.lock(f"customer {(gateway, user_id)}")
        if await self.find(gateway, user_id) != gateway_customer_id:
            return False
        await self.transaction.update("customer", (gateway, user_id), None)
        return True


@dataclass(slots=True)
class MemoryWebhooks:
    transaction: Transaction

    async def insert(self, webhook: StoredWebhook) -> None:
        try:
            await self.transaction.insert("webhook", (webhook.gateway, webhook.event_id), webhook)
        except ConstraintViolated as error:
            raise WebhookKept from error

    async def look(self, gateway: str, event_id: str, payment_id: str | None) -> tuple[bool, Payment | None]:
        is_kept = await self.transaction.read("webhook", (gateway, event_id)) is not None
        return is_kept, await self.transaction.read("payment", payment_id)

    async def get(self, gateway: str, event_id: str) -> StoredWebhook | None:
        found: StoredWebhook | None = await self.transaction.read("webhook", (gateway, event_id))
        return found

    async def find(
        self, wanted: WebhookFilter, *, newest_first: bool, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[StoredWebhook]:
        chosen = [webhook for webhook in await self._kept() if _is_wanted(webhook, wanted)]
        ordered = sorted(chosen, key=_place, reverse=newest_first)
        if after is not None:
            ordered = [
                one for one in ordered if (_place(one) < after if newest_first else _place(one) > after)
            ]
        return ordered[:limit]

    async def count_types(self, *, begin: datetime) -> Sequence[WebhookTypeCount]:
        types: defaultdict[tuple[bool, str], list[datetime]] = defaultdict(list)
        for webhook in await self._kept():
            if webhook.received_at >= begin:
                types[webhook.is_known, webhook.type].append(webhook.received_at)
        return [
            WebhookTypeCount(type=type, is_known=is_known, count=len(times), last_received_at=max(times))
            for (is_known, type), times in sorted(types.items())
        ]

    async def decide(
        self, gateway: str, event_id: str, outcome: WebhookOutcome, payment_id: str | None
    ) -> None:
        kept = await self.get(gateway, event_id)
        if kept is not None and kept.outcome is not WebhookOutcome.APPLIED:
            decided = replace(kept, outcome=outcome, payment_id=payment_id or kept.payment_id)
            await self.transaction.update("webhook", (gateway, event_id), decided)

    async def drop_bodies(self, *, received_before: datetime, limit: int) -> int:
        oldest = [webhook for webhook in await self._oldest(received_before) if webhook.body is not None]
        for webhook in oldest[:limit]:
            await self.transaction.update(
                "webhook", (webhook.gateway, webhook.event_id), replace(webhook, body=None)
            )
        return len(oldest[:limit])

    async def forget(self, *, received_before: datetime, limit: int) -> int:
        oldest = [webhook for webhook in await self._oldest(received_before) if webhook.body is None]
        for webhook in oldest[:limit]:
            await self.transaction.update("webhook", (webhook.gateway, webhook.event_id), None)
        return len(oldest[:limit])

    async def _kept(self) -> list[StoredWebhook]:
        kept: list[StoredWebhook | None] = await self.transaction.read_all("webhook")
        return [webhook for webhook in kept if webhook is not None]

    async def _oldest(self, received_before: datetime) -> list[StoredWebhook]:
        kept = [webhook for webhook in await self._kept() if webhook.received_at < received_before]
        return sorted(kept, key=_place)

    async def lock_intent(self, gateway: str, intent_id: str) -> None:
        await self.transaction.lock(f"intent {gateway} {intent_id}")

    async def has_waiting(self, gateway: str, intent_id: str) -> bool:
        return any((row.gateway, row.intent_id) == (gateway, intent_id) for row in await self._waiting())

    async def take_waiting(self, gateway: str, intent_id: str, payment_id: str) -> Sequence[StoredWebhook]:
        wanted = (gateway, intent_id)
        waiting = [row for row in await self._waiting() if (row.gateway, row.intent_id) == wanted]
        taken = [replace(webhook, payment_id=payment_id) for webhook in waiting]
        for webhook in taken:
            await self.transaction.update("webhook", (webhook.gateway, webhook.event_id), webhook)
        return sorted(taken, key=lambda webhook: webhook.created_at)

    async def waiting_for_known_payments(self, *, limit: int, besides: Collection[str] = ()) -> Sequence[str]:
        intents = {(webhook.gateway, webhook.intent_id) for webhook in await self._waiting()}
        payments: list[Payment] = await self.transaction.read_all("payment")
        wanted = {(gateway, intent_id) for gateway, intent_id in intents if gateway not in besides}
        return [row.payment_id for row in payments if (row.gateway, row.intent_id) in wanted][:limit]

    async def _waiting(self) -> list[StoredWebhook]:
        return [
            webhook
            for webhook in await self._kept()
            if webhook.payment_id is None and webhook.intent_id is not None and webhook.body is not None
        ]


def _place(webhook: StoredWebhook) -> tuple[datetime, str]:
    return webhook.received_at, webhook.event_id


def _is_wanted(webhook: StoredWebhook, wanted: WebhookFilter) -> bool:
    return (
        wanted.type in (None, webhook.type)
        and wanted.outcome in (None, webhook.outcome)
        and wanted.payment_id in (None, webhook.payment_id)
        and wanted.is_known in (None, webhook.is_known)
        and (wanted.begin is None or webhook.received_at >= wanted.begin)
        and (wanted.end is None or webhook.received_at < wanted.end)
    )


@dataclass(slots=True)
class MemoryEventLog:
    transaction: Transaction

    async def list(
        self, *, after: str | None, type: str | None, order_id: str | None, limit: int
    ) -> Sequence[LoggedEvent]:
        match = _CURSOR.fullmatch(after or "0-0")
        if match is None:
            raise Malformed("this is not a cursor that the event log gave", pointer="/after")
        return list(islice(self._behind(int(match[1]), type, order_id), limit))

    def _behind(self, place: int, type: str | None, order_id: str | None) -> Iterator[LoggedEvent]:
        for number, event in enumerate(self.transaction.database.log[place:], place + 1):
            if type in (None, event.type) and order_id in (None, event.order_id):
                envelope = json.loads(payment_events.encode(event, lambda: None).payload)
                yield LoggedEvent(cursor=f"0-{number}", envelope=envelope)


@dataclass(slots=True)
class MemoryStories:
    transaction: Transaction

    async def of_order(self, order_id: str) -> Sequence[PaymentStory]:
        payments = [row for row in await self.transaction.read_all("payment") if row.order_id == order_id]
        ordered = sorted(payments, key=lambda payment: payment.payment_id)
        return [await self._story(payment) for payment in ordered]

    async def _story(self, payment: Payment) -> PaymentStory:
        async def parts(table: str, time: str) -> list[Any]:
            rows = await self.transaction.read_all(table)
            own = [row for row in rows if row.payment_id == payment.payment_id]
            return sorted(own, key=lambda row: getattr(row, time))

        refunds = await parts("refund", "created_at")
        return PaymentStory(
            payment=payment,
            operations=await parts("operation", "created_at"),
            refunds=refunds,
            disputes=await parts("dispute", "opened_at"),
            webhooks=[replace(row, body=None) for row in await parts("webhook", "received_at")],
            events=[
                CommittedEvent(
                    event_id=event.event_id,
                    type=event.type,
                    sequence=event.sequence,
                    committed_at=event.occurred_at,
                )
                for event in self.transaction.database.log
                if event.payment_id == payment.payment_id
            ],
            audit=[
                record.entry
                for record in self.transaction.database.audit
                if record.entry.object_id in {payment.payment_id, *(one.refund_id for one in refunds)}
            ],
            entries=await MemoryLedger(self.transaction).find(
                EntryFilter(payment_id=payment.payment_id), after=None, limit=500
            ),
        )


class MemoryPaymentsUnitOfWork(_UnitOfWork):
    """The payment side's transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.payments = MemoryPayments(self._transaction)
        self.refunds = MemoryRefunds(self._transaction)
        self.approval_tokens = MemoryApprovalTokens(self._transaction)
        self.disputes = MemoryDisputes(self._transaction)
        self.operations = MemoryOperations(self._transaction)
        self.customers = MemoryCustomers(self._transaction)
        self.webhooks = MemoryWebhooks(self._transaction)
        self.events = MemoryEventLog(self._transaction)
        self.stories = MemoryStories(self._transaction)
        self.ledger = MemoryLedger(self._transaction)
        self.balance_transactions = MemoryBalanceTransactions(self._transaction)


@dataclass(slots=True)
class MemoryOrders:
    transaction: Transaction

    async def add(self, order: Order) -> None:
        self._note(order)
        try:
            await self.transaction.insert("order", order.order_id, order)
        except ConstraintViolated as error:
            raise OrderKept from error

    async def get(self, order_id: str) -> Order | None:
        found: Order | None = await self.transaction.read("order", order_id)
        return found

    async def lock(self, order_ids: Sequence[str]) -> dict[str, Order]:
        for order_id in sorted(set(order_ids)):
            await self.transaction.lock(f"order {order_id}")
        found = {order_id: await self.get(order_id) for order_id in order_ids}
        return {order_id: order for order_id, order in found.items() if order is not None}

    async def save(self, orders: Sequence[Order]) -> None:
        changes: list[StockChange] = []
        for order in orders:
            order.version += 1
            _check_step("order", await self.get(order.order_id), order, _ORDER_AHEAD)
            self._note(order)
            self.transaction.effects.extend(order.take_effects())
            changes += order.take_stock_changes()
            for attempt in order.take_attempts():
                await self.transaction.update("attempt", attempt.attempt_id, attempt)
            await self.transaction.update("order", order.order_id, order)
        for change in summed(changes):
            await self._move(change, max(order.updated_at for order in orders))

    async def _move(self, change: StockChange, now: datetime) -> None:
        await self.transaction.lock(f"stock {change.sku}")
        item: StockItem | None = await self.transaction.read("stock", change.sku)
        if item is not None:
            item.on_hand += change.on_hand
            item.reserved += change.reserved
            item.version, item.updated_at = item.version + 1, max(item.updated_at, now)
            _check_stock(item)
            await self.transaction.update("stock", change.sku, item)

    async def take_abandoned(self, *, before: datetime, limit: int) -> Sequence[Order]:
        attempts: list[Attempt] = await self.transaction.read_all("attempt")
        busy = {attempt.order_id for attempt in attempts if _is_open_checkout(attempt)}
        taken: list[Order] = []
        for order in sorted(await self.transaction.read_all("order"), key=lambda one: one.updated_at):
            due = order.updated_at <= before and order.cancellation is None and order.order_id not in busy
            unpaid = order.status in ("PENDING_PAYMENT", "AWAITING_USER_PAYMENT_ACTION", "PAYMENT_FAILED")
            wanted = due and unpaid and len(taken) < limit
            if wanted and await self.transaction.lock_free(f"order {order.order_id}"):
                taken.append(order)
        return taken

    async def save_draft(self, order: Order) -> None:
        await self.save([order])

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
        orders: list[Order] = await self.transaction.read_all("order")
        chosen = [
            order
            for order in orders
            if status in (None, order.status)
            and user_id in (None, order.user_id)
            and order_id in (None, order.order_id)
            and (order.attention is not None or not with_attention)
        ]
        return _newest(chosen, lambda order: order.order_id, after, limit)

    def _note(self, order: Order) -> None:
        self.transaction.entries.extend((order.order_id, entry) for entry in order.take_history())


@dataclass(slots=True)
class MemoryHistory:
    transaction: Transaction

    async def append(self, order_id: str, entry: Entry) -> None:
        await self.transaction.lock(f"order {order_id}")
        if await self.transaction.read("order", order_id) is not None:
            self.transaction.entries.append((order_id, entry))

    async def of(self, order_id: str, *, after: int = 0, limit: int) -> Sequence[Recorded]:
        await asyncio.sleep(0)
        kept = self.transaction.database.history
        return [row for row in kept if row.order_id == order_id and row.position > after][:limit]

    async def behind(self, positions: Mapping[str, int], *, limit: int) -> Sequence[Recorded]:
        return [
            row
            for order_id, after in positions.items()
            for row in await self.of(order_id, after=after, limit=limit)
        ]


def _check_stock(item: StockItem) -> None:
    """The table's CHECK constraint."""
    if not 0 <= item.reserved <= item.on_hand:
        raise ConstraintViolated(f"inventory_reserved: {item.reserved} of {item.on_hand}")


@dataclass(slots=True)
class MemoryStock:
    transaction: Transaction

    async def get(self, sku: str) -> StockItem | None:
        found: StockItem | None = await self.transaction.read("stock", sku)
        return found

    async def lock(self, skus: Collection[str]) -> Shelf:
        for sku in sorted(set(skus)):
            await self.transaction.lock(f"stock {sku}")
        found = {sku: await self.get(sku) for sku in skus}
        return Shelf({sku: item for sku, item in found.items() if item is not None})

    async def add(self, item: StockItem) -> bool:
        try:
            await self.transaction.insert("stock", item.sku, item)
        except ConstraintViolated:
            return False
        return True

    async def save(self, item: StockItem) -> None:
        item.version += 1
        _check_stock(item)
        await self.transaction.update("stock", item.sku, item)

    async def note_restock(
        self, refund_id: str, order_id: str, goods: Mapping[str, int], now: datetime
    ) -> bool:
        try:
            await self.transaction.insert("restock", refund_id, (order_id, dict(goods), now))
        except ConstraintViolated:
            return False
        return True

    async def list(self, *, after: str | None, limit: int) -> Sequence[StockItem]:
        items: list[StockItem] = await self.transaction.read_all("stock")
        return sorted(
            (item for item in items if after is None or item.sku > after), key=lambda item: item.sku
        )[:limit]


def _is_open_checkout(attempt: Attempt) -> bool:
    return attempt.kind in CHECKOUT_KINDS and _is_open(attempt)


@dataclass(slots=True)
class MemoryAttempts:
    transaction: Transaction

    async def get(self, attempt_id: str) -> Attempt | None:
        found: Attempt | None = await self.transaction.read("attempt", attempt_id)
        return found

    async def lock(self, attempt_id: str) -> tuple[Order, Attempt] | None:
        found = await self.get(attempt_id)
        if found is None:
            return None
        await self.transaction.lock(f"order {found.order_id}")
        await self.transaction.lock(f"attempt {attempt_id}")
        return await self.transaction.read("order", found.order_id), await self.get(attempt_id) or found

    async def begun(self, attempt_id: str, order_id: str) -> tuple[Attempt | None, Attempt | None]:
        return await self.get(attempt_id), await self.open_of(order_id)

    async def open_of(self, order_id: str) -> Attempt | None:
        attempts: list[Attempt] = await self.transaction.read_all("attempt")
        return next((row for row in attempts if row.order_id == order_id and _is_open_checkout(row)), None)

    async def put(self, attempt: Attempt) -> None:
        if _is_open_checkout(attempt):
            await self.transaction.lock(f"open attempt of {attempt.order_id}")
            other = await self.open_of(attempt.order_id)
            if other is not None and other.attempt_id != attempt.attempt_id:
                raise ConstraintViolated("attempt_open_checkout")
        await self.transaction.update("attempt", attempt.attempt_id, attempt)

    async def take_due(self, *, now: datetime, until: datetime, limit: int) -> Sequence[Attempt]:
        return await _take_due(self.transaction, "attempt", "attempt_id", now, until, limit)


@dataclass(frozen=True, slots=True)
class MemoryProgress:
    """Every effect is on its way, and no event is held."""

    database: Database

    async def of_effects(self, order_id: str) -> Sequence[EffectProgress]:
        return [
            EffectProgress(
                effect_id=UUID(int=number),
                type=effect.type,
                about=effect.about,
                caused_by=effect.caused_by,
                consumer=effect.type,
                asked_at=self.database.now(),
            )
            for number, effect in enumerate(self.database.effects)
            if effect.order_id == order_id
        ]

    async def of_events(self, payment_ids: Sequence[str]) -> Sequence[EventProgress]:
        return []

    async def of_deliveries(self, order_id: str) -> Sequence[DeliveryProgress]:
        return []

    async def of_attempts(self, order_id: str) -> Sequence[Attempt]:
        attempts: list[Attempt] = list(self.database.rows["attempt"].values())
        return [attempt for attempt in attempts if attempt.order_id == order_id and _is_open(attempt)]


class MemoryOrdersUnitOfWork(_UnitOfWork):
    """The order side's transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.orders = MemoryOrders(self._transaction)
        self.stock = MemoryStock(self._transaction)
        self.attempts = MemoryAttempts(self._transaction)
        self.history = MemoryHistory(self._transaction)
        self.endpoints = MemoryEndpoints(self._transaction)
        self.deliveries = MemoryDeliveries(self._transaction)
