"""A payment as its order knows it."""

from dataclasses import dataclass
from datetime import datetime

from domain.shared.payment_events import (
    CardMethod,
    LastError,
    NextAction,
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
)


@dataclass(slots=True, kw_only=True)
class OrderPayment:
    """One payment as far as its events (or the answer to its initiation) have told."""

    payment_id: str
    gateway_payment_intent_id: str | None
    status: str
    amount_captured: int = 0
    amount_refunded: int = 0
    method: CardMethod | None = None
    paid_at: datetime | None = None
    last_error: LastError | None = None
    next_action: NextAction | None = None

    @property
    def amount_kept(self) -> int:
        return self.amount_captured - self.amount_refunded

    @property
    def is_settled(self) -> bool:
        """Whether it is over, and nothing of it is held: a success without its amount is not told yet."""
        if self.status == "SUCCEEDED":
            return self.amount_captured > 0 and self.amount_kept == 0
        return self.status == "CANCELED" and self.amount_kept == 0

    def follow(self, event: PaymentEvent) -> None:
        """Take over what an event tells of it."""
        self.gateway_payment_intent_id = event.gateway_payment_intent_id or self.gateway_payment_intent_id
        self.amount_captured = event.amount_captured
        self.amount_refunded = event.amount_refunded
        self.method = event.method or self.method
        self.status = _status_of(event) or self.status
        self.last_error = event.last_error if isinstance(event, PaymentFailed) else None
        self.next_action = event.next_action if isinstance(event, PaymentRequiresAction) else None
        if self.paid_at is None and isinstance(event, PaymentSucceeded | PaymentCaptured):
            self.paid_at = event.occurred_at


def _status_of(event: PaymentEvent) -> str | None:
    """The payment's status that an event tells of; None where it tells of something else."""
    match event:
        case PaymentRequiresAction():
            return "REQUIRES_ACTION"
        case PaymentAuthorized() | PaymentCaptured(final=False):
            return "REQUIRES_CAPTURE"
        case PaymentSucceeded() | PaymentCaptured():
            return "SUCCEEDED"
        case PaymentFailed():
            return "REQUIRES_PAYMENT_METHOD"
        case PaymentCanceled():
            return "CANCELED"
        case _:
            return None
