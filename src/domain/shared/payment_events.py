"""The payment events that the payment side publishes and the order side follows.

They are the published language of the two: both import this module and neither the other's.
Amounts are in minor units of the currency.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID


class NextActionType(StrEnum):
    REDIRECT = "REDIRECT"
    USE_GATEWAY_SDK = "USE_GATEWAY_SDK"


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the customer's client has to do; `redirect_url` is where, for a redirect."""

    type: NextActionType
    redirect_url: str | None = None


@dataclass(frozen=True, slots=True)
class LastError:
    """Why the last attempt failed, in the gateway's words (https://docs.stripe.com/declines/codes)."""

    code: str
    decline_code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class CardMethod:
    """What may be shown of a card."""

    brand: str
    last4: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """One thing that happened to a payment; `sequence` counts them per payment, from 1, without gaps."""

    type: ClassVar[str]

    event_id: UUID
    sequence: int
    occurred_at: datetime
    payment_id: str
    order_id: str
    gateway_payment_intent_id: str | None
    currency: str
    amount: int
    """Of this event: this capture, this refund, this authorization."""
    amount_captured: int
    amount_refunded: int
    method: CardMethod | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequiresAction(PaymentEvent):
    """The customer has to act: 3-D Secure, or a redirect."""

    type = "PaymentRequiresAction"
    next_action: NextAction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentAuthorized(PaymentEvent):
    """Manual capture: the funds are held."""

    type = "PaymentAuthorized"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCaptured(PaymentEvent):
    """A part or the whole of held funds is taken; `final` on the last capture."""

    type = "PaymentCaptured"
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSucceeded(PaymentEvent):
    """Automatic capture: the funds are taken."""

    type = "PaymentSucceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(PaymentEvent):
    """An attempt was declined, or its authentication failed; the payment can be tried again."""

    type = "PaymentFailed"
    last_error: LastError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCanceled(PaymentEvent):
    """The payment was canceled or voided, or its authorization expired."""

    type = "PaymentCanceled"
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundProcessed(PaymentEvent):
    """The gateway confirms a refund."""

    type = "RefundProcessed"
    refund_id: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFailed(PaymentEvent):
    """The gateway refuses a refund, or reverses one that it had confirmed."""

    type = "RefundFailed"
    refund_id: str
    reason: str | None
    """Why the gateway refused or reversed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRejected(PaymentEvent):
    """A refund that waited for approval is not given: nothing was sent to the gateway."""

    type = "RefundRejected"
    refund_id: str
    reason: str | None
    """`rejected`, or `approval_expired`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeOpened(PaymentEvent):
    """The customer disputes the charge with their bank."""

    type = "DisputeOpened"
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeClosed(PaymentEvent):
    """The dispute is over."""

    type = "DisputeClosed"
    reason: str | None
    """How it ended: `won`, `lost`, `warning_closed`."""


EVENT_TYPES: dict[str, type[PaymentEvent]] = {
    event.type: event
    for event in (
        PaymentRequiresAction,
        PaymentAuthorized,
        PaymentCaptured,
        PaymentSucceeded,
        PaymentFailed,
        PaymentCanceled,
        RefundProcessed,
        RefundFailed,
        RefundRejected,
        DisputeOpened,
        DisputeClosed,
    )
}
