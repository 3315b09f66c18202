"""What may follow what for an order, as data; docs/states.md draws it, the database holds rows to it."""

from domain.orders.status import TRANSITIONS, OrderStatus
from domain.shared.states import Transitions

_O = OrderStatus

_OTHERWISE = [
    (_O.DRAFT, _O.PENDING_PAYMENT, "confirmed"),
    (_O.PENDING_PAYMENT, _O.DRAFT, "the attempt was refused, the first one"),
    (_O.PENDING_PAYMENT, _O.PAYMENT_FAILED, "the attempt was refused"),
    (_O.PAYMENT_FAILED, _O.PENDING_PAYMENT, "tried again"),
    (_O.AUTHORIZED, _O.PENDING_PAYMENT, "a new payment began"),
    (_O.PAID, _O.PROCESSING_FULFILLMENT, "the warehouse took it on"),
    (_O.PROCESSING_FULFILLMENT, _O.FULFILLED, "shipped"),
    *(
        (before, _O.CANCELED, "called off")
        for before in (
            _O.DRAFT,
            _O.PENDING_PAYMENT,
            _O.AWAITING_USER_PAYMENT_ACTION,
            _O.PAYMENT_FAILED,
            _O.AUTHORIZED,
        )
    ),
    *(
        (before, _O.CANCELED, "called off, and all given back")
        for before in (_O.PAID, _O.PROCESSING_FULFILLMENT, _O.PARTIALLY_REFUNDED)
    ),
    (_O.REFUNDED, _O.CANCELED, "called off"),
    (_O.CANCELED, _O.PAID, "paid after all, and reopened"),
    *(
        (before, after, "RefundProcessed")
        for before in (_O.PAID, _O.PROCESSING_FULFILLMENT, _O.FULFILLED)
        for after in (_O.PARTIALLY_REFUNDED, _O.REFUNDED)
    ),
    (_O.PARTIALLY_REFUNDED, _O.REFUNDED, "RefundProcessed"),
    (_O.REFUNDED, _O.PARTIALLY_REFUNDED, "RefundFailed"),
    *(
        (before, after, "RefundFailed")
        for before in (_O.PARTIALLY_REFUNDED, _O.REFUNDED)
        for after in (_O.PAID, _O.PROCESSING_FULFILLMENT, _O.FULFILLED)
    ),
]
"""The steps that no event of a live payment decides alone."""


def _transitions() -> dict[OrderStatus | None, dict[OrderStatus, str]]:
    found: dict[OrderStatus | None, dict[OrderStatus, str]] = {None: {_O.DRAFT: "the order is made"}}
    found |= {status: {} for status in OrderStatus}
    by_event = [
        (before, after, event.type)
        for event, (befores, after) in TRANSITIONS.items()
        for before in sorted(befores)
        if before is not after
    ]
    for before, after, why in [*by_event, *_OTHERWISE]:
        known = found[before].get(after)
        found[before][after] = f"{known}, {why}" if known else why
    return found


ORDER_TRANSITIONS: Transitions[OrderStatus] = _transitions()
"""`TRANSITIONS` of order.py and what clients, the warehouse and refunds bring besides."""
