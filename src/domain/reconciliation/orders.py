"""Whether an order follows its payments: what the two sides state of the same money, compared.

An order is behind its payments while events are on their way, and that is no difference. Each statement
says how far it is: the payment's has the number of its last event, the order's that of the last one that
it followed, committed together with what it did. Of the same number both must tell the same amounts,
however much is going on; of a greater one the payment's event counts as lost once it is older than the grace.
So the order is read first: what the payment side states after that can only be newer.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from domain.reconciliation.finding import Difference, FindingType, Value
from domain.shared.statements import FollowedPayment, OrderStatement, PaymentStatement

ORDER_TYPES = frozenset(
    {
        FindingType.AMOUNT_DIFFERS,
        FindingType.CURRENCY_DIFFERS,
        FindingType.ORDER_ALTERED,
        FindingType.ORDER_PAID_WITHOUT_PAYMENT,
        FindingType.TWO_LIVE_PAYMENTS,
    }
)
"""What is found about an order; its object is the order."""
PAYMENT_TYPES = frozenset({FindingType.EVENT_NOT_APPLIED, FindingType.PAYMENT_WITHOUT_ORDER})
"""What is found about a payment of an order; its object is the payment."""

_FINAL = ("SUCCEEDED", "CANCELED")
_PAID = ("PAID", "PROCESSING_FULFILLMENT", "FULFILLED", "PARTIALLY_REFUNDED", "REFUNDED")
_OURS = re.compile("ord_[0-9a-hjkmnp-tv-z]{26}")


def is_ours(order_id: str) -> bool:
    """Whether our order side made this id: the payment side also serves order systems other than ours."""
    return _OURS.fullmatch(order_id) is not None


def compare(
    order: OrderStatement, payments: Sequence[PaymentStatement], *, settled_before: datetime
) -> Iterator[Difference]:
    """An order with all of its payments, read after it. What happened since `settled_before` may be on its way."""
    yield from _altered(order, payments)
    moving = False
    for payment in payments:
        known = order.payments.get(payment.payment_id)
        applied = known.applied if known else 0
        if applied != payment.sequence:
            moving = True
            if payment.updated_at < settled_before or applied > payment.sequence:
                yield _not_applied(payment, applied)
        elif known is not None:
            yield from _differing(order, known, payment)
    live = [payment.payment_id for payment in payments if payment.is_live]
    if len(live) > 1:
        yield _of_order(
            FindingType.TWO_LIVE_PAYMENTS,
            order.order_id,
            {"livePayments": 1},
            {"livePayments": len(live), "paymentIds": " ".join(live)},
        )
    taken = sum(payment.amount_captured for payment in payments)
    if order.status in _PAID and taken == 0 and not moving:
        yield _of_order(
            FindingType.ORDER_PAID_WITHOUT_PAYMENT,
            order.order_id,
            {"amountCaptured": order.amount_paid or order.total_amount},
            {"amountCaptured": 0, "orderStatus": order.status},
        )


def compare_orphan(payment: PaymentStatement, *, settled_before: datetime) -> Iterator[Difference]:
    """A payment whose order the order side does not have; one that is canceled or given back is no matter."""
    if payment.is_settled:
        return
    if is_ours(payment.order_id) and payment.created_at < settled_before:
        yield Difference(
            type=FindingType.PAYMENT_WITHOUT_ORDER,
            object_id=payment.payment_id,
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            expected={"orderId": payment.order_id},
            found={
                "orderId": None,
                "amountCaptured": payment.amount_captured,
                "amountRefunded": payment.amount_refunded,
                "status": payment.status,
            },
        )


def _altered(order: OrderStatement, payments: Sequence[PaymentStatement]) -> Iterator[Difference]:
    """Only a hand makes an order contradict itself: its status goes with its history, its sums with its payments."""
    expected: dict[str, Value] = {}
    found: dict[str, Value] = {}

    def held_against(name: str, right: Value, stored: Value) -> None:
        if right != stored:
            expected[name], found[name] = right, stored

    if order.noted_status is not None:
        held_against("status", order.noted_status, order.status)
    followed = order.payments.values()
    held_against("amountPaid", sum(one.amount_captured for one in followed), order.amount_paid)
    held_against("amountRefunded", sum(one.amount_refunded for one in followed), order.amount_refunded)
    for payment in payments:
        known = order.payments.get(payment.payment_id)
        if known is None or known.applied != payment.sequence or known.applied == 0:
            continue
        if _is_told(payment) or (known.status in _FINAL and payment.status not in _FINAL):
            held_against(f"paymentStatus.{payment.payment_id}", payment.status, known.status)
    if expected:
        yield _of_order(FindingType.ORDER_ALTERED, order.order_id, expected, found, by_hand=True)


def _is_told(payment: PaymentStatement) -> bool:
    """Whether an event told of the status it has: of others none does, nor where the gateway contradicts itself."""
    return payment.status == "SUCCEEDED" or (payment.status == "CANCELED" and payment.amount_captured == 0)


def _differing(
    order: OrderStatement, known: FollowedPayment, payment: PaymentStatement
) -> Iterator[Difference]:
    """An order that has followed every event of this payment."""
    theirs: dict[str, Value] = {
        "paymentId": payment.payment_id,
        "amountCaptured": payment.amount_captured,
        "amountRefunded": payment.amount_refunded,
    }
    ours = theirs | {"amountCaptured": known.amount_captured, "amountRefunded": known.amount_refunded}
    if ours != theirs:
        yield _of_order(
            FindingType.AMOUNT_DIFFERS,
            order.order_id,
            theirs,
            ours,
            payment_id=payment.payment_id,
            by_hand=True,  # both were committed with the same event
        )
    if payment.currency != order.currency and "AMOUNT_MISMATCH" not in order.attentions:
        yield _of_order(
            FindingType.CURRENCY_DIFFERS,
            order.order_id,
            {"currency": payment.currency},
            {"currency": order.currency},
            payment_id=payment.payment_id,
        )


def _not_applied(payment: PaymentStatement, applied: int) -> Difference:
    ahead = applied > payment.sequence
    return Difference(
        type=FindingType.EVENT_NOT_APPLIED,
        object_id=payment.payment_id,
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        expected={"sequence": payment.sequence},
        found={"sequence": applied},
        note="the order has followed events that the payment side does not have" if ahead else None,
        by_hand=ahead,
    )


def _of_order(
    type: FindingType,
    order_id: str,
    expected: dict[str, Value],
    found: dict[str, Value],
    *,
    payment_id: str | None = None,
    by_hand: bool = False,
) -> Difference:
    return Difference(
        type=type,
        object_id=order_id,
        order_id=order_id,
        payment_id=payment_id,
        expected=expected,
        found=found,
        by_hand=by_hand,
    )
