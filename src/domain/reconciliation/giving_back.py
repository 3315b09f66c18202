"""Which payment is given back where an order has one too many, or none: only where the books leave no doubt."""

from collections.abc import Sequence

from domain.reconciliation.finding import Finding, FindingType
from domain.shared.statements import OrderStatement, PaymentStatement

REFUNDED_TYPES = frozenset({FindingType.PAYMENT_WITHOUT_ORDER, FindingType.TWO_LIVE_PAYMENTS})
"""What giving a payment back can end."""


def to_give_back(
    finding: Finding, order: OrderStatement | None, payments: Sequence[PaymentStatement]
) -> PaymentStatement | str | None:
    """The payment; why a person must decide; or None, where there is nothing left to find.

    `payments` are those of the finding's order, read after it.
    """
    if finding.type is FindingType.PAYMENT_WITHOUT_ORDER:
        found = next((one for one in payments if one.payment_id == finding.object_id), None)
        return None if order is not None or found is None or found.is_settled else found
    live = [one for one in payments if one.is_live]
    return None if order is None or len(live) < 2 else _superfluous(order, live)


def _superfluous(order: OrderStatement, live: Sequence[PaymentStatement]) -> PaymentStatement | str:
    if len(live) > 2:
        return f"{len(live)} payments are live: a person must say which of them stays"
    kept = next((one for one in live if one.payment_id == order.followed_payment_id), None)
    if kept is None:
        return "the order follows neither of the payments: a person must say which of them stays"
    for one in live:
        known = order.payments.get(one.payment_id)
        if (known.applied if known else 0) != one.sequence:
            return f"the order has not followed all events of {one.payment_id} yet"
    other = live[1] if kept is live[0] else live[0]
    if _reached(other) > _reached(kept):
        return (
            f"the order follows {kept.payment_id}, and {other.payment_id} has come further: "
            "a person must say which of them stays"
        )
    return other


def _reached(payment: PaymentStatement) -> int:
    """How much the order would lose with it: money, what may become money, or nothing."""
    if payment.amount_kept > 0:
        return 2
    return 1 if payment.status in ("REQUIRES_CAPTURE", "PROCESSING") else 0
