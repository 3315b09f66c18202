"""What the payment side needs from outside, besides the gateway.

A unit of work is one database transaction. Repositories that it offers read and write inside it;
`save` also appends the payment's events to the outbox, so that a state and its events cannot part.
Lock order, everywhere: the limits of a subject, those of an order, the payment, then its refunds, disputes and operations.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from domain.payments.dispute import Dispute
from domain.payments.ledger_ports import BalanceTransactions, Ledger
from domain.payments.operation import Operation
from domain.payments.payment import Payment
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import Usage
from domain.payments.story import PaymentStory
from domain.payments.webhook import StoredWebhook, WebhookFilter, WebhookOutcome, WebhookTypeCount
from domain.shared.audit import AuditLog
from domain.shared.callers import Caller


class Payments(Protocol):
    async def add(self, payment: Payment) -> None:
        """Insert a new payment.

        Raises, here or at the commit, PaymentInProgress where its order has a live one, and OperationInFlight
        where the same request is running twice.
        """
        ...

    async def get(self, payment_id: str) -> Payment | None: ...

    async def lock(self, payment_id: str) -> Payment | None:
        """The payment, locked until the end of this unit of work."""
        ...

    async def find_by_intent(self, gateway: str, intent_id: str) -> str | None:
        """The id of the payment of this intent at this account."""
        ...

    async def save(self, payment: Payment) -> None:
        """Write the payment, one version on, append its events to the outbox and its entries to the ledger."""
        ...

    async def forget(self, payment: Payment) -> None:
        """Delete a payment and its operations: nothing of them has left us, and nobody was told."""
        ...

    async def count_attentions(self) -> Mapping[str, int]:
        """How many payments have which attention."""
        ...

    async def begin_look_up(self, payment_id: str, *, now: datetime, not_since: datetime) -> bool:
        """Write that the payment is looked up now; False, and nothing, where it was since `not_since`."""
        ...

    async def take_expiring(self, *, before: datetime, limit: int) -> Sequence[Payment]:
        """Authorizations that lapse before that time and were not warned of, locked; others' are left out."""
        ...

    async def take_due(self, *, now: datetime, limit: int) -> Sequence[Payment]:
        """Payments to be looked up by their `check_at`, locked; what others have locked is left out."""
        ...

    async def put_off(self, payment_id: str, check_at: datetime | None) -> None:
        """Write only when to look next; the version stays, since no fact was recorded."""
        ...

    async def mark_operation_unknown(self, payment: Payment) -> None:
        """Write only that an operation's outcome is not known, and the attention it calls for.

        The version stays, since no fact was recorded.
        """
        ...

    async def list(
        self, *, order_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> Sequence[Payment]:
        """Newest first; `after` is the id of the last one already seen."""
        ...


class Refunds(Protocol):
    async def add(self, refund: Refund) -> None: ...
    async def get(self, refund_id: str) -> Refund | None: ...
    async def find_by_gateway_id(self, gateway_refund_id: str) -> Refund | None: ...
    async def save(self, refund: Refund) -> None: ...

    async def lock_limits(self, subject: str, currency: str, order_id: str) -> None:
        """Serialize with everybody whose refunds count towards the same limits, until this unit of work ends.

        Taken before any payment is locked, or two could wait for one another.
        """
        ...

    async def used(self, subject: str, currency: str, order_id: str, *, since: datetime) -> Usage:
        """What counts towards the limits: PENDING and SUCCEEDED refunds in this currency."""
        ...

    async def waiting_amount(self, payment_id: str) -> int:
        """What refunds of this payment ask for that wait for approval."""
        ...

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
        """Newest first; `order_id` and `user_id` are the payment's, `after` the id of the last one already seen."""
        ...

    async def waiting_since(self, *, before: datetime, limit: int) -> Sequence[Refund]:
        """Those that have waited for approval since before that time, the oldest first."""
        ...

    async def count_waiting(self) -> tuple[int, datetime | None]:
        """How many wait for approval, and since when the first of them does."""
        ...


class ApprovalTokens(Protocol):
    """The tokens that have approved a refund."""

    async def use(self, subject: str, token_id: str, refund_id: str, expires_at: datetime) -> None:
        """Remember this one until it expires. Raises TokenUsed where it has approved another refund."""
        ...

    async def forget(self, *, expired_before: datetime) -> int:
        """Remove those that no verification lets in any more; how many there were."""
        ...


class Disputes(Protocol):
    async def get(self, gateway_dispute_id: str) -> Dispute | None: ...

    async def put(self, dispute: Dispute) -> None:
        """Insert or update it."""
        ...

    async def of_payment(self, payment_id: str) -> Sequence[Dispute]:
        """Oldest first."""
        ...

    async def due_for_evidence(self, *, before: datetime, limit: int) -> Sequence[Dispute]:
        """Those whose evidence is due before that time, and of which nobody was reminded yet."""
        ...


class Operations(Protocol):
    async def add(self, operation: Operation) -> None: ...
    async def get(self, operation_id: str) -> Operation | None: ...

    async def lock(self, operation_id: str) -> tuple[Payment, Operation] | None:
        """The operation and its payment, both locked until the end of this unit of work."""
        ...

    async def save(self, operation: Operation) -> None: ...

    async def has_open(self, payment_id: str, refund_id: str) -> bool:
        """Whether the outcome of an operation of this refund is still to be found out."""
        ...

    async def take_due(
        self, *, now: datetime, until: datetime, limit: int, besides: Collection[str] = ()
    ) -> Sequence[Operation]:
        """Open operations due for a check, but for those of the accounts `besides`; each is put off to `until`, so that one process at a time has it."""
        ...


class Customers(Protocol):
    async def find(self, gateway: str, user_id: str) -> str | None:
        """The gateway's customer of this user."""
        ...

    async def user_of(self, gateway: str, gateway_customer_id: str) -> str | None:
        """The user whose customer this is at the gateway."""
        ...

    async def put(self, gateway: str, user_id: str, gateway_customer_id: str) -> str:
        """Keep the gateway's customer of this user; the first one kept wins and is returned."""
        ...

    async def forget(self, gateway: str, user_id: str, gateway_customer_id: str) -> bool:
        """Forget that customer of this user, whom the gateway no longer has; False where it was not kept."""
        ...


class Webhooks(Protocol):
    async def insert(self, webhook: StoredWebhook) -> None:
        """Keep a webhook. Raises WebhookKept, here or at the commit, where this event id of its account was before."""
        ...

    async def look(self, gateway: str, event_id: str, payment_id: str | None) -> tuple[bool, Payment | None]:
        """Whether this event id of its account was kept before; and that payment as it stands, not locked."""
        ...

    async def get(self, gateway: str, event_id: str) -> StoredWebhook | None: ...

    async def find(
        self, wanted: WebhookFilter, *, newest_first: bool, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[StoredWebhook]:
        """In the order of receipt and id or against it; `after` are those of the last one already seen."""
        ...

    async def count_types(self, *, begin: datetime) -> Sequence[WebhookTypeCount]:
        """The types received since then, the unknown ones first."""
        ...

    async def decide(
        self, gateway: str, event_id: str, outcome: WebhookOutcome, payment_id: str | None
    ) -> None:
        """Write what became of a kept webhook after all; APPLIED stays, since that happened."""
        ...

    async def drop_bodies(self, *, received_before: datetime, limit: int) -> int:
        """Remove the oldest bodies, at most so many at once; how many were."""
        ...

    async def forget(self, *, received_before: datetime, limit: int) -> int:
        """Remove the oldest rows whose bodies are gone, at most so many at once; how many were."""
        ...

    async def lock_intent(self, gateway: str, intent_id: str) -> None:
        """Serialize with everybody who binds this gateway intent to a payment, until this unit of work ends."""
        ...

    async def has_waiting(self, gateway: str, intent_id: str) -> bool:
        """Whether webhooks of this intent wait for its payment."""
        ...

    async def take_waiting(self, gateway: str, intent_id: str, payment_id: str) -> Sequence[StoredWebhook]:
        """Give the webhooks that waited for this intent to its payment: these, in the order of their making.

        What became of them is for the caller to `decide`.
        """
        ...

    async def waiting_for_known_payments(self, *, limit: int, besides: Collection[str] = ()) -> Sequence[str]:
        """Ids of payments that exist now and for which webhooks still wait, but for those of the accounts `besides`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event of the log: `cursor` is its place in it, `envelope` the CloudEvent as published."""

    cursor: str
    envelope: dict[str, Any]


class EventLog(Protocol):
    async def list(
        self, *, after: str | None, type: str | None, order_id: str | None, limit: int
    ) -> Sequence[LoggedEvent]:
        """Payment events behind the cursor `after`; nothing is ever committed before a place once passed.

        Raises Malformed for an `after` that is no cursor.
        """
        ...


class Stories(Protocol):
    async def of_order(self, order_id: str) -> Sequence[PaymentStory]:
        """What is kept of each payment of this order, the oldest payment first; of each list the newest 500."""
        ...


class PaymentsUnitOfWork(Protocol):
    """`async with` opens the transaction; leaving without `commit` undoes it."""

    @property
    def payments(self) -> Payments: ...

    @property
    def refunds(self) -> Refunds: ...

    @property
    def approval_tokens(self) -> ApprovalTokens: ...

    @property
    def disputes(self) -> Disputes: ...

    @property
    def operations(self) -> Operations: ...

    @property
    def customers(self) -> Customers: ...

    @property
    def webhooks(self) -> Webhooks: ...

    @property
    def events(self) -> EventLog: ...

    @property
    def stories(self) -> Stories: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def balance_transactions(self) -> BalanceTransactions: ...

    @property
    def audit(self) -> AuditLog: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def commit(self) -> None: ...


UnitOfWorkFactory = Callable[[], PaymentsUnitOfWork]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """What the order side says may be paid for an order. Amount in minor units."""

    order_id: str
    version: int
    amount: int
    currency: str
    payable: bool


class OrderTermsSource(Protocol):
    async def get(self, order_id: str, caller: Caller) -> OrderTerms | None:
        """The terms of an order that this caller may pay, else None. Raises OrdersUnavailable."""
        ...


class SnapshotReader(Protocol):
    async def __call__(self, snapshot: str, /) -> OrderTerms:
        """The terms that the order side has signed. Raises OrderSnapshotInvalid, and OrdersUnavailable where its keys
        cannot be had."""
        ...
