"""What the books must say, whatever happened: checks that know nothing of how payments are implemented."""

from collections.abc import Sequence
from datetime import datetime

from domain.payments.gateway import GatewayRefundStatus, IntentSnapshot, RefundSnapshot
from domain.payments.payment import Payment
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import DAY, Limits
from domain.shared.payment_events import PaymentEvent

_TAKES = ("PaymentSucceeded", "PaymentCaptured")


def check_events(payment: Payment, events: Sequence[PaymentEvent]) -> None:
    """Numbered without a gap, and each total is the one before and what this event moved."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert payment.sequence == len(events)
    captured = refunded = 0
    processed: dict[str, int] = {}
    for event in events:
        if event.type in _TAKES:
            captured += event.amount
        if event.type == "RefundProcessed":
            refund_id = vars_of(event)["refund_id"]
            assert refund_id not in processed, "the same refund twice"
            processed[refund_id] = event.amount
            refunded += event.amount
        if event.type == "RefundFailed":
            refunded -= processed.pop(vars_of(event)["refund_id"], 0)
        assert (event.amount_captured, event.amount_refunded) == (captured, refunded), event
    assert (payment.amount_captured, payment.amount_refunded) == (captured, refunded)
    assert sum(event.type in _TAKES for event in events) <= 1 or payment.capture_method == "MANUAL"
    assert sum(event.type == "PaymentCanceled" for event in events) <= 1


GIVEN = (GatewayRefundStatus.PENDING, GatewayRefundStatus.SUCCEEDED)
NOT_AT_THE_GATEWAY = (RefundStatus.FAILED, RefundStatus.PENDING_APPROVAL, RefundStatus.REJECTED)


def check_policy(refunds: Sequence[Refund], limits: Limits, subject: str, now: datetime) -> None:
    """Nobody has let more go than their own limits allow."""
    counted = [
        refund
        for refund in refunds
        if refund.decided_by == subject and refund.status in (RefundStatus.PENDING, RefundStatus.SUCCEEDED)
    ]
    today = [refund.amount for refund in counted if refund.decided_at and refund.decided_at > now - DAY]
    assert limits.per_day is None or sum(today) <= limits.per_day["EUR"]
    assert limits.per_refund is None or all(one.amount <= limits.per_refund["EUR"] for one in counted)


def check_limits(payment: Payment, refunds: Sequence[Refund]) -> None:
    """Totals are the sums of their parts, and within what was captured and authorized unless flagged."""
    pending = sum(refund.amount for refund in refunds if refund.status is RefundStatus.PENDING)
    done = sum(refund.amount for refund in refunds if refund.status is RefundStatus.SUCCEEDED)
    assert (payment.amount_refunding, payment.amount_refunded) == (pending, done)
    if payment.attention is None:
        assert pending + done <= payment.amount_captured <= payment.amount


def check_against_gateway(
    payment: Payment,
    refunds: Sequence[Refund],
    intent: IntentSnapshot | None,
    at_gateway: Sequence[RefundSnapshot],
) -> None:
    """To the cent, once everything was told."""
    assert not payment.operation_unknown
    assert payment.in_flight is None
    if intent is None:
        assert payment.amount_captured == 0
        assert payment.status == "CANCELED"
        return
    assert payment.status == intent.status
    assert payment.amount_captured == intent.amount_captured
    theirs = {
        status: sum(one.amount for one in at_gateway if one.status is status)
        for status in GatewayRefundStatus
    }
    assert payment.amount_refunded == theirs[GatewayRefundStatus.SUCCEEDED]
    assert payment.amount_refunding == theirs[GatewayRefundStatus.PENDING]
    for refund in refunds:
        same = [one for one in at_gateway if one.gateway_refund_id == refund.gateway_refund_id]
        assert not refund.operation_unknown
        assert [one.amount for one in same] in ([refund.amount], [])
        if not same:
            assert refund.status in NOT_AT_THE_GATEWAY, "the gateway has nothing of it"
    named = [(one.refund_id, one.attempt) for one in at_gateway if one.refund_id is not None]
    assert len(named) == len(set(named)), "a refund that we asked for once was made twice"
    for refund in refunds:
        given = [one for one in at_gateway if one.refund_id == refund.refund_id and one.status in GIVEN]
        assert len(given) <= 1, "two attempts at one refund gave money"


def vars_of(event: PaymentEvent) -> dict[str, str]:
    return {"refund_id": str(getattr(event, "refund_id", ""))}
