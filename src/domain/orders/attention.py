"""What of an order a person must look at: `docs/orders.md` says what to do about each.

Several may be open at once, and each has an end of its own: none takes the place of another.
"""

AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
PAID_AFTER_CANCEL = "PAID_AFTER_CANCEL"
PAID_TWICE = "PAID_TWICE"
SUPERSEDED_PAYMENT_CAPTURED = "SUPERSEDED_PAYMENT_CAPTURED"
STOCK_INSUFFICIENT = "STOCK_INSUFFICIENT"
"""Its money came, or is held, when its stock had gone to others."""
CAPTURED_LESS_THAN_TOTAL = "CAPTURED_LESS_THAN_TOTAL"
REFUND_FAILED = "REFUND_FAILED"
DISPUTED = "DISPUTED"
DISPUTE_LOST = "DISPUTE_LOST"

BY_URGENCY = (
    DISPUTED,  # the bank decides without us when the time for evidence is over
    AMOUNT_MISMATCH,  # something is broken, and may be for other orders too
    REFUND_FAILED,  # the customer was promised this money
    PAID_AFTER_CANCEL,
    PAID_TWICE,
    SUPERSEDED_PAYMENT_CAPTURED,
    STOCK_INSUFFICIENT,
    CAPTURED_LESS_THAN_TOTAL,
    DISPUTE_LOST,  # nothing can be done about it any more
)

OF_SUPERSEDED = (PAID_TWICE, SUPERSEDED_PAYMENT_CAPTURED)
"""Settled once nothing is held of a payment whose place another one has taken."""
OF_THE_WHOLE = (PAID_AFTER_CANCEL, AMOUNT_MISMATCH, STOCK_INSUFFICIENT, REFUND_FAILED)
"""Settled once nothing is held of the order at all."""


def by_urgency(attentions: set[str]) -> tuple[str, ...]:
    """The most urgent first; one that only a later version knows goes before all."""
    return tuple(sorted(attentions, key=lambda one: (one in BY_URGENCY and BY_URGENCY.index(one) + 1, one)))
