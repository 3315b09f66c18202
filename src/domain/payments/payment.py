"""The payment: our record of one payment intent, and the only author of its events.

Whatever the gateway reports, and `judgement` finds worth recording, goes through `record_intent`,
`record_refund` and `record_dispute`, each of which changes the state at most once for one fact, however often and in whatever order
the fact is told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.payments.dispute import Dispute
from domain.payments.dispute_status import DisputeStatus
from domain.payments.errors import (
    AuthorizationExpired,
    CaptureExceedsAuthorized,
    CurrencyDiffers,
    MulticaptureUnavailable,
    OperationInFlight,
    PaymentStateForbids,
    RefundExceedsCaptured,
    RefundNoLongerFits,
)
from domain.payments.gateway import (
    AUTHORIZATION_EXPIRED,
    CaptureMethod,
    DisputeSnapshot,
    FutureUsage,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
)
from domain.payments.ledger import EntryKind, LedgerEntry, postings_of, told_by
from domain.payments.line_data import LineFault, LineItems
from domain.payments.operation import Operation, OperationKind
from domain.payments.refund import FROM_GATEWAY, Refund, RefundStatus
from domain.payments.states import (
    CANCELABLE,
    CONFIRMABLE,
    INTENT_TRANSITIONS,
    REFUND_TRANSITIONS,
    UPDATABLE,
)
from domain.payments.verdict import Verdict
from domain.shared.errors import AttentionNotOpen
from domain.shared.payment_events import (
    CardMethod,
    DisputeClosed,
    DisputeOpened,
    LastError,
    NextAction,
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
    RefundRejected,
)

_S = IntentStatus

_OUTCOME_UNKNOWN = "OPERATION_UNKNOWN"
_DISPUTE_ATTENTION = ("DISPUTED", "DISPUTE_EVIDENCE_DUE", "DISPUTE_LOST", "REFUNDED_AND_DISPUTE_LOST")

AUTHORIZATION_EXPIRING = "AUTHORIZATION_EXPIRING"
"""The attention of a payment whose authorization lapses soon."""
_PASSING = (None, _OUTCOME_UNKNOWN, AUTHORIZATION_EXPIRING)
"""What goes by itself, in time: every other attention takes its place."""

FIRST_LOOK = timedelta(minutes=10)
"""How long a webhook may take before we look ourselves."""
LONGEST_PAUSE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Occasion:
    """When something is recorded, and where its events take their ids from."""

    now: datetime
    event_id: Callable[[], UUID]


@dataclass(slots=True, kw_only=True)
class Payment:
    """Amounts in minor units of `currency`; `sequence` is the number of the last event it emitted."""

    payment_id: str
    order_id: str
    amount: int
    currency: str
    capture_method: CaptureMethod
    gateway: str
    created_at: datetime
    updated_at: datetime
    user_id: str | None = None
    description: str | None = None
    gateway_customer_id: str | None = None
    intent_id: str | None = None
    client_secret: str | None = None
    status: IntentStatus = IntentStatus.REQUIRES_PAYMENT_METHOD
    next_action: NextAction | None = None
    amount_capturable: int = 0
    amount_captured: int = 0
    amount_refunded: int = 0
    amount_refunding: int = 0
    """Promised to refunds that the gateway has not decided yet; counted against what may be refunded."""
    capture_before: datetime | None = None
    multicapture: bool = False
    """Whether the gateway lets this authorization be captured in parts."""
    authorization_warned: bool = False
    check_at: datetime | None = None
    """When to look it up, should no word of the gateway come before."""
    last_error: LastError | None = None
    failed_charge_id: str | None = None
    charge_id: str | None = None
    method: CardMethod | None = None
    cancellation_reason: str | None = None
    """Why it was canceled, or is to be by the operation in flight."""
    setup_future_usage: FutureUsage | None = None
    line_items: LineItems | None = None
    line_item_faults: tuple[LineFault, ...] = ()
    """Why they were left out."""
    in_flight: str | None = None
    """The operation that is with the gateway now: one at a time decides the intent's fate."""
    operation_unknown: bool = False
    attention: str | None = None
    acknowledged: tuple[str, ...] = ()
    """Attentions that a person has ended. What they tell of may stand as it was: that is no news any more."""
    sequence: int = 0
    version: int = 1
    _events: list[PaymentEvent] = field(default_factory=list, repr=False)
    _entries: list[LedgerEntry] = field(default_factory=list, repr=False)

    def take_entries(self) -> list[LedgerEntry]:
        """What the ledger is to post since the last call, in the transaction that saves this payment."""
        entries, self._entries = self._entries, []
        return entries

    def take_events(self) -> list[PaymentEvent]:
        """The events since the last call, for the transaction that saves this payment."""
        events, self._events = self._events, []
        return events

    # What we begin

    def begin(self, operation: Operation) -> None:
        """Let this operation be the one in flight. Raises OperationInFlight where there is another.

        A cancellation takes the place of one whose outcome is not known: whichever of the two the gateway
        does first decides, and the other is then refused or finds nothing left to do.
        """
        if self.in_flight not in (None, operation.operation_id):
            if operation.kind is not OperationKind.CANCEL or not self.operation_unknown:
                raise OperationInFlight
            self.operation_unknown = False
        self.in_flight = operation.operation_id

    def end(self, operation: Operation) -> None:
        """The outcome of an operation is known; it is recorded after this."""
        if self.attention == _OUTCOME_UNKNOWN:
            self.attention = None
        self.acknowledged = tuple(one for one in self.acknowledged if one != _OUTCOME_UNKNOWN)
        if self.in_flight == operation.operation_id:
            self.in_flight = None
            self.operation_unknown = False
        if operation.kind is OperationKind.CANCEL and self.status is not _S.CANCELED:
            self.cancellation_reason = None

    def note_undecided(self) -> None:
        """Nobody finds out by itself what became of an operation: a person must ask the gateway."""
        if self.attention is None and _OUTCOME_UNKNOWN not in self.acknowledged:
            self.attention = _OUTCOME_UNKNOWN

    def acknowledge(self, attention: str, disputes: Sequence[Dispute], now: datetime) -> None:
        """A person has dealt with it. What it hid, of `disputes` and of time, shows again.

        Raises AttentionNotOpen.
        """
        if self.attention is None or self.attention != attention:
            raise AttentionNotOpen
        self.acknowledged = (*(one for one in self.acknowledged if one != attention), attention)
        self.attention = None
        self.updated_at = now
        if attention in _DISPUTE_ATTENTION:
            return
        open_disputes = [dispute for dispute in disputes if not dispute.status.closed]
        if any(dispute.reminded and dispute.status.awaits_evidence for dispute in open_disputes):
            self.attention = "DISPUTE_EVIDENCE_DUE"
        elif open_disputes:
            self.attention = "DISPUTED"
        elif (
            attention != AUTHORIZATION_EXPIRING
            and self.authorization_warned
            and self.status is _S.REQUIRES_CAPTURE
        ):
            self.attention = AUTHORIZATION_EXPIRING

    def abandon(self, occasion: Occasion, *, told: bool) -> None:
        """The gateway refused to create the intent: there is nothing to follow, and the order is free again.

        An event says so only where somebody was `told` of this payment; else the call's own answer does.
        """
        self.status = IntentStatus.CANCELED
        self.cancellation_reason = "creation_refused"
        self.updated_at = occasion.now
        if told:
            self._emit(PaymentCanceled, occasion, self.amount, reason=self.cancellation_reason)

    def leave_lines_out(self, reason: str) -> None:
        """The gateway does without this payment's line items, for a reason of its own."""
        self.line_items = LineItems.LEFT_OUT
        self.line_item_faults = (LineFault("/lines", reason),)

    def check_confirmable(self) -> None:
        """Raises PaymentStateForbids; OperationInFlight while its creation is not decided."""
        self._check_status(CONFIRMABLE, "confirmed")

    def check_cancelable(self) -> None:
        """Raises PaymentStateForbids; OperationInFlight while its creation is not decided."""
        self._check_status(CANCELABLE, "canceled")

    def check_idle(self) -> None:
        """Raises PaymentStateForbids while its bank is at work on it, OperationInFlight while the gateway is."""
        if self.status is _S.PROCESSING:
            raise PaymentStateForbids("the customer's bank is at work on the payment")
        if self.in_flight is not None:
            raise OperationInFlight

    def check_updatable(self) -> None:
        """Whether nothing of it was confirmed yet. Raises PaymentStateForbids, OperationInFlight."""
        self._check_status(UPDATABLE, "changed")

    def check_open_for_capture(self) -> None:
        """Raises PaymentStateForbids, AuthorizationExpired; OperationInFlight while its creation is not decided."""
        if self.status is _S.CANCELED and self.cancellation_reason == AUTHORIZATION_EXPIRED:
            raise AuthorizationExpired
        self._check_status(frozenset({_S.REQUIRES_CAPTURE}), "captured")

    def _check_status(self, allowed: frozenset[IntentStatus], participle: str) -> None:
        if self.status not in allowed:
            raise PaymentStateForbids(f"a payment in {self.status} cannot be {participle}")
        if self.intent_id is None:
            raise OperationInFlight

    def check_capturable(self, amount: int, *, final: bool) -> None:
        """Raises what check_open_for_capture does, MulticaptureUnavailable, CaptureExceedsAuthorized."""
        self.check_open_for_capture()
        if not final and not self.multicapture:
            raise MulticaptureUnavailable
        if amount > self.amount_capturable:
            raise CaptureExceedsAuthorized(
                f"{amount} is more than the {self.amount_capturable} that can be captured", pointer="/amount"
            )

    @property
    def amount_refundable(self) -> int:
        return self.amount_captured - self.amount_refunded - self.amount_refunding

    def check_refundable(self, amount: int, currency: str, *, waiting: int) -> None:
        """Whether so much may be asked for, beside what `waiting` refunds ask for already.

        Raises RefundExceedsCaptured, CurrencyDiffers, PaymentStateForbids.
        """
        if currency != self.currency:
            raise CurrencyDiffers(f"the payment is in {self.currency}", pointer="/currency")
        if self.intent_id is None or self.amount_captured == 0:
            raise PaymentStateForbids("nothing was captured that could be refunded")
        rest = max(self.amount_refundable - waiting, 0)
        if amount > rest:
            raise RefundExceedsCaptured(
                f"{amount} is more than the {rest} that can be refunded", pointer="/amount"
            )

    def promise_refund(self, amount: int) -> None:
        """Count a refund that goes to the gateway. Raises RefundNoLongerFits."""
        if amount > self.amount_refundable:
            raise RefundNoLongerFits(
                f"{amount} is more than the {self.amount_refundable} that is left of the payment"
            )
        self.amount_refunding += amount

    def reject_refund(self, refund: Refund, reason: str, occasion: Occasion) -> None:
        """A refund that waited is not given: whoever asked for it learns so by an event."""
        refund.status = RefundStatus.REJECTED
        refund.updated_at = self.updated_at = occasion.now
        self._emit(RefundRejected, occasion, refund.amount, refund_id=refund.refund_id, reason=reason)

    # What time brings

    def next_check(self, now: datetime) -> datetime | None:
        """When to look it up next: a while after a word of the gateway was due, then ever less often."""
        due = {_S.PROCESSING: self.updated_at, _S.REQUIRES_CAPTURE: self.capture_before}.get(self.status)
        if due is None:
            return None
        pause = min(max((now - due) / 2, FIRST_LOOK), LONGEST_PAUSE)
        return max(due + FIRST_LOOK, now + pause)

    def warn_of_lapse(self, now: datetime) -> None:
        """The authorization lapses soon: somebody must capture or cancel."""
        self.authorization_warned = True
        if self.attention in (None, _OUTCOME_UNKNOWN):
            self.attention = AUTHORIZATION_EXPIRING
            self.updated_at = now

    # What the gateway reports

    def record_intent(self, snapshot: IntentSnapshot, occasion: Occasion) -> None:
        """Take over what the gateway holds now (the caller has made sure that it is not old), with its events.

        A report that breaks a rule of ours is a fact all the same: it is kept and raises `attention`.
        """
        differs = (snapshot.amount, snapshot.currency) != (self.amount, self.currency)
        if differs and "AMOUNT_MISMATCH" not in self.acknowledged:
            self.attention = "AMOUNT_MISMATCH"
        before, captured_before = self.status, self.amount_captured
        held_before = self.amount_captured + self.amount_capturable
        known_failure = (self.failed_charge_id, self.last_error)
        if snapshot.status != before and snapshot.status not in INTENT_TRANSITIONS[before]:
            self._note_contradiction(snapshot, occasion)
            return
        action_before = self.next_action
        self._take_over(snapshot)
        self.updated_at = occasion.now
        self.check_at = self.next_check(occasion.now)
        held = self.amount_captured + self.amount_capturable
        is_news = held > held_before or "CAPTURE_EXCEEDS_AUTHORIZED" not in self.acknowledged
        if held > self.amount and is_news and self.attention in (*_PASSING, *_DISPUTE_ATTENTION):
            self.attention = "CAPTURE_EXCEEDS_AUTHORIZED"
        moved = self.status != before
        if self.amount_captured > captured_before or (moved and self.status is _S.SUCCEEDED):
            final = self.status is _S.SUCCEEDED
            self._captured(self.amount_captured - captured_before, occasion, final=final)
        if self.status is _S.REQUIRES_ACTION and (moved or self.next_action != action_before):
            self._emit(PaymentRequiresAction, occasion, self.amount, next_action=self.next_action)
        elif self.status is _S.REQUIRES_CAPTURE and moved:
            self._emit(PaymentAuthorized, occasion, self.amount_capturable)
        elif self.status is _S.CANCELED and moved:
            self._emit(PaymentCanceled, occasion, self.amount, reason=self.cancellation_reason)
        elif self._failed_anew(moved, known_failure):
            self._emit(PaymentFailed, occasion, self.amount, last_error=self.last_error)

    def _take_over(self, snapshot: IntentSnapshot) -> None:
        self.intent_id = snapshot.intent_id
        self.client_secret = snapshot.client_secret or self.client_secret
        self.status = snapshot.status
        self.next_action = snapshot.next_action
        self.amount_capturable = snapshot.amount_capturable
        self.amount_captured = max(self.amount_captured, snapshot.amount_captured)
        self.last_error = snapshot.last_error
        self.failed_charge_id = snapshot.failed_charge_id or self.failed_charge_id
        self.charge_id = snapshot.charge_id or self.charge_id
        self.method = snapshot.method or self.method
        authorized = self.status is _S.REQUIRES_CAPTURE
        self.capture_before = (snapshot.capture_before or self.capture_before) if authorized else None
        self.multicapture = authorized and (
            self.multicapture if snapshot.multicapture is None else snapshot.multicapture
        )
        if not authorized and self.attention == AUTHORIZATION_EXPIRING:
            self.attention = None
        self.cancellation_reason = snapshot.cancellation_reason or self.cancellation_reason
        self.setup_future_usage = snapshot.setup_future_usage
        if self.line_items is LineItems.SENT and snapshot.line_items_error is not None:
            self.leave_lines_out(snapshot.line_items_error)

    def _failed_anew(self, moved: bool, known: tuple[str | None, LastError | None]) -> bool:
        if self.status is not _S.REQUIRES_PAYMENT_METHOD or self.last_error is None:
            return False
        return moved or known != (self.failed_charge_id, self.last_error)

    def _note_contradiction(self, snapshot: IntentSnapshot, occasion: Occasion) -> None:
        """The gateway left a state that is final: ours stands, for the order may be paid otherwise by now.

        Money that it took all the same is recorded, so that it can be refunded.
        """
        taken = snapshot.amount_captured - self.amount_captured
        if taken > 0 or "GATEWAY_CONTRADICTS" not in self.acknowledged:
            self.attention = "GATEWAY_CONTRADICTS"
        self.updated_at = occasion.now
        if taken > 0:
            self.amount_captured = snapshot.amount_captured
            self.charge_id = snapshot.charge_id or self.charge_id
            self.method = snapshot.method or self.method
            self._captured(taken, occasion, final=snapshot.status is _S.SUCCEEDED)

    def _captured(self, amount: int, occasion: Occasion, *, final: bool) -> None:
        if self.capture_method is CaptureMethod.AUTOMATIC:
            event = self._emit(PaymentSucceeded, occasion, amount)
        else:
            event = self._emit(PaymentCaptured, occasion, amount, final=final)
        self._post(EntryKind.CAPTURE, event, self.charge_id)

    def record_refund(self, refund: Refund, snapshot: RefundSnapshot, occasion: Occasion) -> Verdict:
        """Take over what the gateway says of this refund's present attempt."""
        given_up = refund.status is RefundStatus.FAILED and refund.gateway_refund_id is None
        refund.gateway_refund_id = refund.gateway_refund_id or snapshot.gateway_refund_id
        refund.operation_unknown = False
        status = FROM_GATEWAY[snapshot.status]
        if given_up and status in (RefundStatus.PENDING, RefundStatus.SUCCEEDED):
            refund.status = RefundStatus.PENDING
            self.record_foreign_refund(refund)
            self.attention = "GATEWAY_CONTRADICTS"  # it had proved that it did nothing
            if status is RefundStatus.PENDING:
                return Verdict.RECORDED
        if status is RefundStatus.PENDING or status not in REFUND_TRANSITIONS[refund.status]:
            return Verdict.NOTHING_NEW  # nothing at the gateway begins one of ours again
        self.decide_refund(refund, status, snapshot.failure_reason, occasion)
        return Verdict.RECORDED

    def decide_refund(
        self, refund: Refund, status: RefundStatus, failure_reason: str | None, occasion: Occasion
    ) -> None:
        """Move a refund to a decided state, the totals with it, and say so."""
        was_given_back = refund.status is RefundStatus.SUCCEEDED
        if refund.status is RefundStatus.PENDING:
            self.amount_refunding -= refund.amount
        elif was_given_back:
            self.amount_refunded -= refund.amount
        refund.status = status
        refund.failure_reason = failure_reason
        refund.updated_at = self.updated_at = occasion.now
        if status is RefundStatus.SUCCEEDED:
            self.amount_refunded += refund.amount
            if self.amount_refunded > self.amount_captured:
                self.attention = "REFUND_EXCEEDS_CAPTURED"
            event = self._emit(
                RefundProcessed, occasion, refund.amount, refund_id=refund.refund_id, reason=refund.reason
            )
            self._post(EntryKind.REFUND, event, refund.gateway_refund_id, refund.currency)
        else:
            event = self._emit(
                RefundFailed, occasion, refund.amount, refund_id=refund.refund_id, reason=failure_reason
            )
            if was_given_back:
                self._post(EntryKind.REFUND_REVERSED, event, refund.gateway_refund_id, refund.currency)

    def record_foreign_refund(self, refund: Refund) -> None:
        """A refund that was begun at the gateway, not by us, is pending from now on like our own."""
        if refund.currency != self.currency:
            self.attention = "AMOUNT_MISMATCH"
        self.amount_refunding += refund.amount
        if self.amount_refunded + self.amount_refunding > self.amount_captured:
            self.attention = "REFUND_EXCEEDS_CAPTURED"

    def open_dispute(self, dispute: Dispute, occasion: Occasion) -> None:
        """A dispute that we hear of for the first time, however far it has come."""
        self._post_dispute(dispute, 0, occasion)
        self._emit(DisputeOpened, occasion, dispute.amount, reason=dispute.reason)
        self._follow_dispute(dispute, occasion, others_open=True)

    def record_dispute(
        self, dispute: Dispute, snapshot: DisputeSnapshot, *, others_open: bool, occasion: Occasion
    ) -> None:
        """Take over what the gateway says of a known dispute now; `others_open`: of this payment, besides it."""
        was_closed, withdrawn_before = dispute.status.closed, dispute.amount_withdrawn
        dispute.take_over(snapshot, occasion.now)
        self._post_dispute(dispute, withdrawn_before, occasion)
        if was_closed and not dispute.status.closed:
            self._emit(DisputeOpened, occasion, dispute.amount, reason=dispute.reason)  # by an appeal
        if was_closed != dispute.status.closed:
            self._follow_dispute(dispute, occasion, others_open=others_open)

    def _follow_dispute(self, dispute: Dispute, occasion: Occasion, *, others_open: bool) -> None:
        self.updated_at = occasion.now
        if dispute.status.closed:
            self._emit(DisputeClosed, occasion, dispute.amount, reason=dispute.status.value)
        if self.attention not in (*_PASSING, *_DISPUTE_ATTENTION):
            return  # a rule of money is broken: that comes first
        if not dispute.status.closed:
            self.attention = "DISPUTED"
        elif dispute.status is DisputeStatus.LOST:
            twice = self.amount_refunded + dispute.amount_withdrawn > self.amount_captured
            self.attention = "REFUNDED_AND_DISPUTE_LOST" if twice else "DISPUTE_LOST"
        elif not others_open and self.attention in ("DISPUTED", "DISPUTE_EVIDENCE_DUE"):
            self.attention = None

    def remind_of_evidence(self, dispute: Dispute, occasion: Occasion) -> None:
        """The time for evidence is nearly over: somebody must give it, or accept the dispute."""
        dispute.reminded = True
        if self.attention in (*_PASSING, *_DISPUTE_ATTENTION):
            self.attention = "DISPUTE_EVIDENCE_DUE"
            self.updated_at = occasion.now

    def note_given_up(self, occasion: Occasion) -> None:
        """The gateway gives money back by an attempt that it had proved to have failed, beside the one after it.

        It is recorded as a refund of its own.
        """
        self.attention = "GATEWAY_CONTRADICTS"
        self.updated_at = occasion.now

    def note_unreadable(self, occasion: Occasion) -> Verdict:
        """The gateway reported something that this version cannot read: a person must look."""
        return self._note("GATEWAY_UNREADABLE", occasion)

    def note_contradiction(self, occasion: Occasion) -> Verdict:
        """The gateway reported as this payment's what is another's: nothing of it is taken over."""
        return self._note("GATEWAY_CONTRADICTS", occasion)

    def _note(self, attention: str, occasion: Occasion) -> Verdict:
        if self.attention not in _PASSING:
            return Verdict.NOTHING_NEW
        self.attention = attention
        self.updated_at = occasion.now
        return Verdict.RECORDED

    def _post(
        self,
        kind: EntryKind,
        event: PaymentEvent,
        gateway_object: str | None,
        currency: str | None = None,
    ) -> None:
        self._entries += told_by(event, kind, self.gateway, gateway_object, currency)

    def _post_dispute(self, dispute: Dispute, withdrawn_before: int, occasion: Occasion) -> None:
        """Money that a dispute takes or gives back moves without an event: an inquiry may become a chargeback."""
        moved = dispute.amount_withdrawn - withdrawn_before
        if moved == 0:
            return
        dispute.movements += 1
        kind = EntryKind.DISPUTE_WITHDRAWN if moved > 0 else EntryKind.DISPUTE_REINSTATED
        self._entries.append(
            LedgerEntry(
                entry_id=occasion.event_id(),
                kind=kind,
                source=f"{dispute.gateway_dispute_id}#{dispute.movements}",
                gateway=self.gateway,
                posted_at=occasion.now,
                postings=postings_of(kind, abs(moved), dispute.currency),
                gateway_object=dispute.gateway_dispute_id,
                payment_id=self.payment_id,
                order_id=self.order_id,
            )
        )

    def _emit(
        self, event_type: type[PaymentEvent], occasion: Occasion, amount: int, **details: Any
    ) -> PaymentEvent:
        self.sequence += 1
        event = event_type(
            event_id=occasion.event_id(),
            sequence=self.sequence,
            occurred_at=occasion.now,
            payment_id=self.payment_id,
            order_id=self.order_id,
            gateway_payment_intent_id=self.intent_id,
            currency=self.currency,
            amount=amount,
            amount_captured=self.amount_captured,
            amount_refunded=self.amount_refunded,
            method=self.method,
            **details,
        )
        self._events.append(event)
        return event
