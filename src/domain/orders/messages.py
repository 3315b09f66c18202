"""What customers are told of their orders.

An effect asks for a message when something happens. The message is made when the effect is carried
out, seconds or a day later, from the order as it is then: what has been overtaken meanwhile is not told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.orders.effects import Effect
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.shared.payment_events import (
    PaymentCanceled,
    PaymentCaptured,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
    RefundProcessed,
)

_O = OrderStatus


class MessageKind(StrEnum):
    PAID = "PAID"
    """The money is taken."""
    PAYMENT_FAILED = "PAYMENT_FAILED"
    """The attempt to pay came to nothing; another may be made."""
    ACTION_NEEDED = "ACTION_NEEDED"
    """The bank wants the customer: 3-D Secure, or a redirect."""
    REFUNDED = "REFUNDED"
    """Money was given back, a part or all of it."""
    CANCELED = "CANCELED"
    """The order was called off."""


class NotTold(StrEnum):
    NO_ADDRESS = "NO_ADDRESS"
    """The order has no e-mail address."""
    OVERTAKEN = "OVERTAKEN"
    """The order has moved on, and the message would mislead."""
    NO_MAIL_SERVER = "NO_MAIL_SERVER"
    """None is configured: the log says what would have been told."""


class CustomerUnreachable(Exception):
    """This customer cannot be told this, however often it is tried. The text says why and names nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerMessage:
    message_id: str
    """The effect's id: the same each time the message is sent, so that a repeat can be recognised."""
    kind: MessageKind
    email: str = field(repr=False)
    order: Order = field(repr=False)
    """As it was when the message was made."""
    amount: int | None = None
    """What was refunded this time, in minor units of the order's currency."""


_PAID = dict.fromkeys(
    (_O.PAID, _O.PROCESSING_FULFILLMENT, _O.FULFILLED, _O.PARTIALLY_REFUNDED), MessageKind.PAID
)

_ASKS_TO_PAY = (MessageKind.PAYMENT_FAILED, MessageKind.ACTION_NEEDED)

TOLD: Mapping[str, Mapping[OrderStatus, MessageKind]] = {
    PaymentSucceeded.type: _PAID,
    PaymentCaptured.type: _PAID,
    PaymentRequiresAction.type: {_O.AWAITING_USER_PAYMENT_ACTION: MessageKind.ACTION_NEEDED},
    PaymentFailed.type: {_O.PAYMENT_FAILED: MessageKind.PAYMENT_FAILED},
    PaymentCanceled.type: {
        _O.PAYMENT_FAILED: MessageKind.PAYMENT_FAILED,
        _O.CANCELED: MessageKind.CANCELED,
    },
    RefundProcessed.type: {
        **dict.fromkeys(OrderStatus, MessageKind.REFUNDED),
        _O.CANCELED: MessageKind.CANCELED,
    },
}
"""By what an effect is about: in which statuses of the order something is told, and what."""


def message_of(effect: Effect, order: Order, message_id: str) -> CustomerMessage | NotTold:
    """What there is to tell of an order that asked for this effect."""
    kind = TOLD[effect.about].get(order.status)
    is_reversed = effect.about == RefundProcessed.type and order.amount_refunded == 0
    if kind is None or is_reversed or (order.is_canceling and kind in _ASKS_TO_PAY):
        return NotTold.OVERTAKEN
    if order.customer is None or order.customer.email is None:
        return NotTold.NO_ADDRESS
    return CustomerMessage(
        message_id=message_id, kind=kind, email=order.customer.email, order=order, amount=effect.amount
    )
