"""The statuses of an order, and where an event of its payment leads."""

from domain.shared.payment_events import (
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
)
from domain.shared.states import State


class OrderStatus(State):
    DRAFT = "DRAFT", "The cart is being filled; it can still be changed."
    PENDING_PAYMENT = "PENDING_PAYMENT", "Checkout is complete, and no word of its payment has come yet."
    AWAITING_USER_PAYMENT_ACTION = (
        "AWAITING_USER_PAYMENT_ACTION",
        "The customer has to authenticate, or to follow a redirect.",
    )
    AUTHORIZED = "AUTHORIZED", "The funds are held, and nothing is taken yet."
    PAID = "PAID", "The money is taken, and the warehouse is being told."
    PROCESSING_FULFILLMENT = "PROCESSING_FULFILLMENT", "The warehouse has taken the order on."
    FULFILLED = "FULFILLED", "The warehouse has shipped it."
    PAYMENT_FAILED = "PAYMENT_FAILED", "The last attempt to pay came to nothing; another may be made."
    CANCELED = "CANCELED", "It was called off; money that comes all the same is flagged."
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED", "A part of what was paid was given back."
    REFUNDED = "REFUNDED", "All that was paid was given back."


_O = OrderStatus

PAYABLE = frozenset({_O.DRAFT, _O.PENDING_PAYMENT, _O.PAYMENT_FAILED})
BEFORE_MONEY = PAYABLE | {_O.AWAITING_USER_PAYMENT_ACTION}
AFTER_MONEY = frozenset(
    {_O.PAID, _O.PROCESSING_FULFILLMENT, _O.FULFILLED, _O.PARTIALLY_REFUNDED, _O.REFUNDED}
)
SHIPPABLE = frozenset({_O.PAID, _O.PROCESSING_FULFILLMENT, _O.PARTIALLY_REFUNDED})
NOT_TO_BE_SHIPPED = frozenset({_O.CANCELED, _O.REFUNDED})
"""Nothing of its money is here any more: the warehouse is not asked, or is told to stop."""
HOLDS_NO_STOCK = frozenset({_O.DRAFT, _O.PAYMENT_FAILED, _O.CANCELED})
"""In every other status an order holds its stock until it is fulfilled."""

TRANSITIONS: dict[type[PaymentEvent], tuple[frozenset[OrderStatus], OrderStatus]] = {
    PaymentRequiresAction: (BEFORE_MONEY, _O.AWAITING_USER_PAYMENT_ACTION),
    PaymentAuthorized: (BEFORE_MONEY, _O.AUTHORIZED),
    PaymentSucceeded: (BEFORE_MONEY | {_O.AUTHORIZED}, _O.PAID),
    PaymentCaptured: (BEFORE_MONEY | {_O.AUTHORIZED}, _O.PAID),  # the final one
    PaymentFailed: (BEFORE_MONEY, _O.PAYMENT_FAILED),
    PaymentCanceled: (BEFORE_MONEY | {_O.AUTHORIZED}, _O.PAYMENT_FAILED),  # payable again
}
"""From which statuses an event of the live payment moves the order, and where to; from elsewhere it does not."""

NEEDS_STOCK = tuple(event for event, (_, after) in TRANSITIONS.items() if after not in HOLDS_NO_STOCK)
