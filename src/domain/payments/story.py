"""What the payment side has to tell of an order's payments: calls to the gateway, its reports, refunds,
disputes, and the events that were committed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.payments.dispute import Dispute
from domain.payments.ledger import Account, LedgerEntry
from domain.payments.operation import Operation, OperationKind, OperationStatus
from domain.payments.payment import Payment
from domain.payments.refund import Refund, RefundStatus
from domain.payments.webhook import StoredWebhook, WebhookOutcome
from domain.shared.audit import AuditEntry
from domain.shared.payment_events import DisputeOpened
from domain.shared.timeline import TimelineEntry, TimelineKind, ids_of, known, stamp

InWords = Callable[[int, str], str]
"""An amount in minor units of a currency, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedEvent:
    """A payment event in the log."""

    event_id: UUID
    type: str
    sequence: int
    committed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentStory:
    """Everything that is kept of one payment; what is listed is oldest first."""

    payment: Payment
    operations: Sequence[Operation]
    refunds: Sequence[Refund]
    disputes: Sequence[Dispute]
    webhooks: Sequence[StoredWebhook]
    """Without their bodies."""
    events: Sequence[CommittedEvent]
    audit: Sequence[AuditEntry]
    """Of the payment and its refunds."""
    entries: Sequence[LedgerEntry] = ()


def tell(story: PaymentStory, in_words: InWords) -> Iterator[TimelineEntry]:
    """The entries of one payment, each source's in its own order."""
    payment = story.payment
    for operation in story.operations:
        yield _operation(operation, payment, in_words)
    for webhook in story.webhooks:
        yield _webhook(webhook)
    for refund in story.refunds:
        yield _refund(refund, in_words)
    # The gateway says when it opened a dispute by its own clock, in whole seconds; we heard of it later.
    heard = (event.committed_at for event in story.events if event.type == DisputeOpened.type)
    for dispute in story.disputes:
        yield _dispute(dispute, next(heard, dispute.opened_at), in_words)
    for event in story.events:
        yield _event(event, payment)
    for posted in story.entries:
        yield _entry(posted, in_words)
    for entry in story.audit:
        yield _audited(entry, payment)


def _audited(entry: AuditEntry, payment: Payment) -> TimelineEntry:
    refund_id = entry.object_id if entry.object_type == "refund" else None
    return TimelineEntry(
        at=entry.at,
        kind=TimelineKind.AUDIT,
        title=f"{entry.subject} did {entry.action}.",
        reason=entry.reason,
        ids=ids_of(paymentId=payment.payment_id, refundId=refund_id),
        details=known(
            action=entry.action,
            subject=entry.subject,
            actor=entry.actor,
            httpRequestId=entry.request_id,
            **{f"{name}Before": value for name, value in entry.before.items()},
            **{f"{name}After": value for name, value in entry.after.items()},
        ),
    )


_VERBS: Mapping[OperationKind, str] = {
    OperationKind.CREATE: "make the payment",
    OperationKind.UPDATE: "change the payment's amount",
    OperationKind.CONFIRM: "confirm the payment",
    OperationKind.CAPTURE: "capture held funds",
    OperationKind.RELEASE: "release what is left of the held funds",
    OperationKind.CANCEL: "cancel the payment",
    OperationKind.REFUND: "refund money",
}
_OUTCOMES: Mapping[OperationStatus, str] = {
    OperationStatus.STARTED: "its answer is awaited",
    OperationStatus.UNKNOWN: "nobody knows yet whether it did, and it is being looked up",
    OperationStatus.SUCCEEDED: "done",
    OperationStatus.FAILED: "refused, and nothing was done",
}


def _operation(operation: Operation, payment: Payment, in_words: InWords) -> TimelineEntry:
    about = ""
    if operation.kind is OperationKind.CREATE:
        about = f" of {in_words(payment.amount, payment.currency)}"
    elif operation.kind in (OperationKind.CAPTURE, OperationKind.UPDATE) and operation.target_amount:
        about = f" (to {in_words(operation.target_amount, payment.currency)})"
    verb, outcome = _VERBS[operation.kind], _OUTCOMES[operation.status]
    return TimelineEntry(
        at=operation.created_at,
        kind=TimelineKind.OPERATION,
        title=f"Asked {operation.gateway} to {verb}{about}: {outcome}.",
        reason=operation.error,
        ids=ids_of(
            operationId=operation.operation_id,
            requestId=operation.operation_id.partition("-")[0],
            paymentId=operation.payment_id,
            gatewayPaymentIntentId=payment.intent_id,
            refundId=operation.refund_id,
        ),
        details=known(
            status=operation.status.value,
            requestedBy=operation.requested_by,
            actor=operation.actor,
            finishedAt=stamp(operation.finished_at),
            lookUps=operation.checks or None,
            nextLookUpAt=stamp(operation.next_check_at) if operation.open else None,
        ),
    )


_BECAME: Mapping[WebhookOutcome | None, str] = {
    WebhookOutcome.APPLIED: "it was news, and is recorded",
    WebhookOutcome.NOTHING_NEW: "the payment knew of it",
    WebhookOutcome.WAITING: "it waits for its payment to be known",
    WebhookOutcome.IGNORED: "payments do not follow such reports",
    WebhookOutcome.UNREADABLE: "this version cannot read it",
}


def _webhook(webhook: StoredWebhook) -> TimelineEntry:
    return TimelineEntry(
        at=webhook.received_at,
        kind=TimelineKind.WEBHOOK,
        title=f"{webhook.gateway} reported {webhook.type}.",
        reason=_BECAME.get(webhook.outcome),
        ids=ids_of(
            gatewayEventId=webhook.event_id,
            gatewayPaymentIntentId=webhook.intent_id,
            paymentId=webhook.payment_id,
        ),
        details=known(outcome=webhook.outcome, madeAt=stamp(webhook.created_at)),
    )


_REFUND_IS: Mapping[RefundStatus, str] = {
    RefundStatus.PENDING_APPROVAL: "waits for approval",
    RefundStatus.PENDING: "is with the gateway",
    RefundStatus.SUCCEEDED: "was given back",
    RefundStatus.FAILED: "failed",
    RefundStatus.REJECTED: "was rejected",
    RefundStatus.CANCELED: "was canceled",
}


def _refund(refund: Refund, in_words: InWords) -> TimelineEntry:
    return TimelineEntry(
        at=refund.created_at,
        kind=TimelineKind.REFUND,
        title=f"A refund of {in_words(refund.amount, refund.currency)} {_REFUND_IS[refund.status]}.",
        reason=refund.failure_reason,
        ids=ids_of(
            refundId=refund.refund_id,
            gatewayRefundId=refund.gateway_refund_id,
            paymentId=refund.payment_id,
        ),
        details=known(
            status=refund.status.value,
            amount=refund.amount,
            requestedBy=refund.requested_by,
            actor=refund.actor,
            retriedBy=refund.retried_by,
            attempt=refund.attempt,
            policyRule=refund.policy_rule,
            changedAt=stamp(refund.updated_at),
            operation="UNKNOWN" if refund.operation_unknown else None,
        ),
    )


def _dispute(dispute: Dispute, at: datetime, in_words: InWords) -> TimelineEntry:
    return TimelineEntry(
        at=at,
        kind=TimelineKind.DISPUTE,
        title=f"The customer's bank disputes {in_words(dispute.amount, dispute.currency)}: {dispute.status}.",
        reason=dispute.reason,
        ids={"gatewayDisputeId": dispute.gateway_dispute_id, "paymentId": dispute.payment_id},
        details=known(
            status=dispute.status.value,
            amount=dispute.amount,
            amountWithdrawn=dispute.amount_withdrawn,
            openedAt=stamp(dispute.opened_at),
            evidenceDueBy=stamp(dispute.evidence_due_by),
            changedAt=stamp(dispute.updated_at),
        ),
    )


def _event(event: CommittedEvent, payment: Payment) -> TimelineEntry:
    return TimelineEntry(
        at=event.committed_at,
        kind=TimelineKind.EVENT,
        title=f"{event.type} was committed, and the order has not followed it yet.",
        ids=ids_of(
            eventId=str(event.event_id),
            paymentId=payment.payment_id,
            gatewayPaymentIntentId=payment.intent_id,
        ),
        details={"type": event.type, "sequence": event.sequence, "committedAt": stamp(event.committed_at)},
    )


def _entry(entry: LedgerEntry, in_words: InWords) -> TimelineEntry:
    moved = ", ".join(
        f"{account.value} {in_words(amount, currency)}"
        for account in Account
        for currency, amount in entry.on(account).items()
        if amount
    )
    return TimelineEntry(
        at=entry.posted_at,
        kind=TimelineKind.LEDGER,
        title=f"The ledger posted {entry.kind}: {moved}.",
        ids=ids_of(
            ledgerEntryId=str(entry.entry_id),
            paymentId=entry.payment_id,
            gatewayObjectId=entry.gateway_object,
        ),
        details=known(entryKind=entry.kind.value, source=entry.source, gateway=entry.gateway),
    )
