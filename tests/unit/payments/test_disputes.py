"""Disputes: what they do to the payment's flags and events, and when they stand against a refund."""

from dataclasses import replace

import pytest

from domain.payments.dispute_status import DisputeStatus as D
from domain.payments.errors import ChargeDisputed, ChargeNotRefundable, DisputeNotFound, PaymentNotFound
from domain.payments.gateway import DisputeSnapshot, GatewayRefused, IntentStatus
from domain.payments.payment import Payment
from domain.payments.refund import RefundStatus
from domain.payments.webhook import WebhookOutcome
from domain.shared.payment_events import DisputeClosed
from tests.support.house import CUSTOMER, STRANGER, House, types


async def tell(
    house: House, dispute: DisputeSnapshot, type: str = "charge.dispute.updated"
) -> WebhookOutcome:
    return await house.webhook(house.gateway.webhook(type, dispute))


async def disputed(
    house: House, status: D = D.NEEDS_RESPONSE, amount: int = 1000
) -> tuple[Payment, DisputeSnapshot]:
    """A payment in dispute, and the dispute as the gateway has told of it."""
    payment = await house.paid(amount)
    dispute = house.gateway.open_dispute(payment.intent_id or "", status)
    assert await tell(house, dispute, "charge.dispute.created") is WebhookOutcome.APPLIED
    return house.payment(payment.payment_id), dispute


async def test_a_dispute_stands_against_refunds_and_none_is_sent() -> None:
    house = House()
    payment, _ = await disputed(house)
    assert payment.attention == "DISPUTED"
    sent = len(house.gateway.sent)
    with pytest.raises(ChargeDisputed):
        await house.refund(payment, 100)
    assert len(house.gateway.sent) == sent
    assert house.payment(payment.payment_id).amount_refunding == 0


@pytest.mark.parametrize(
    ("code", "error"),
    [("charge_disputed", ChargeDisputed), ("charge_not_refundable", ChargeNotRefundable)],
)
async def test_a_dispute_that_only_the_gateway_knows_is_told_as_well(
    code: str, error: type[Exception]
) -> None:
    house = House()
    payment = await house.paid()
    house.gateway.script(GatewayRefused(code, "No."))
    for _ in range(2):  # the same request, repeated, has the same answer
        with pytest.raises(error):
            await house.refund(payment, 400, request_id="same")
    saved = house.payment(payment.payment_id)
    assert (saved.amount_refunded, saved.amount_refunding) == (0, 0)
    assert house.world.payments.rows["refund"]["ref_same"].status is RefundStatus.FAILED
    assert types(house.log()) == ["PaymentSucceeded", "RefundFailed"]
    assert (await house.refund(payment, 400)).status is RefundStatus.SUCCEEDED


async def test_an_inquiry_may_be_answered_by_a_refund() -> None:
    house = House()
    payment, inquiry = await disputed(house, D.WARNING_NEEDS_RESPONSE)
    assert payment.attention == "DISPUTED"
    assert (await house.refund(payment, 1000)).status is RefundStatus.SUCCEEDED
    await tell(house, house.gateway.move_dispute(inquiry.gateway_dispute_id, D.WARNING_CLOSED))
    assert house.payment(payment.payment_id).attention is None
    assert types(house.log()) == ["PaymentSucceeded", "DisputeOpened", "RefundProcessed", "DisputeClosed"]


async def test_an_inquiry_that_becomes_a_chargeback_stands_against_refunds() -> None:
    house = House()
    payment, inquiry = await disputed(house, D.WARNING_UNDER_REVIEW)
    await tell(
        house,
        house.gateway.move_dispute(
            inquiry.gateway_dispute_id, D.NEEDS_RESPONSE, charge_refundable=False, amount_withdrawn=1000
        ),
    )
    [known] = await house.list_disputes(CUSTOMER, payment.payment_id)
    assert (known.status, known.amount_withdrawn) == (D.NEEDS_RESPONSE, 1000)
    with pytest.raises(ChargeDisputed):
        await house.refund(payment, 100)


@pytest.mark.parametrize(
    ("status", "attention"),
    [(D.WON, None), (D.LOST, "DISPUTE_LOST"), (D.PREVENTED, None), (D.WARNING_CLOSED, None)],
)
async def test_how_a_dispute_ends(status: D, attention: str | None) -> None:
    house = House()
    first = D.WARNING_NEEDS_RESPONSE if status in (D.PREVENTED, D.WARNING_CLOSED) else D.UNDER_REVIEW
    payment, dispute = await disputed(house, first)
    await tell(house, house.gateway.move_dispute(dispute.gateway_dispute_id, status))
    assert house.payment(payment.payment_id).attention == attention
    closed = house.log()[-1]
    assert isinstance(closed, DisputeClosed)
    assert closed.reason == status.value
    await house.deliver()
    assert house.saved_order(payment.order_id).attention == attention
    assert house.payment(payment.payment_id).status is IntentStatus.SUCCEEDED


async def test_a_refunded_charge_that_is_disputed_and_lost_was_paid_back_twice() -> None:
    house = House()
    payment = await house.paid()
    await house.refund(payment, 700)
    dispute = house.gateway.open_dispute(payment.intent_id or "")
    await tell(house, dispute)
    await tell(house, house.gateway.move_dispute(dispute.gateway_dispute_id, D.LOST))
    saved = house.payment(payment.payment_id)
    assert saved.attention == "REFUNDED_AND_DISPUTE_LOST"
    # A dispute is no refund: the totals of captures and refunds stay what they were.
    assert (saved.amount_captured, saved.amount_refunded, saved.amount_refunding) == (1000, 700, 0)
    [known] = await house.list_disputes(CUSTOMER, payment.payment_id)
    assert known.amount_withdrawn == 1000


async def test_a_refund_that_fails_after_a_dispute_lowers_the_totals_all_the_same() -> None:
    house = House()
    payment = await house.paid()
    refund = await house.refund(payment, 700)
    await tell(house, house.gateway.open_dispute(payment.intent_id or ""))
    gateway_refund = next(iter(house.gateway.refunds))
    from_bank = replace(
        house.gateway.refunds[gateway_refund],
        status=type(house.gateway.refunds[gateway_refund].status).FAILED,
        failure_reason="charge_for_pending_refund_disputed",
    )
    await house.webhook(house.gateway.webhook("refund.failed", from_bank))
    assert house.payment(payment.payment_id).amount_refunded == 0
    assert house.world.payments.rows["refund"][refund.refund_id].status is RefundStatus.FAILED


async def test_details_that_an_older_report_lacks_are_fetched() -> None:
    """`funds_withdrawn` overtakes `created`, which knows nothing of the withdrawal yet."""
    house = House()
    payment, dispute = await disputed(house)
    created = replace(dispute, amount_withdrawn=0)
    assert await tell(house, created, "charge.dispute.created") is WebhookOutcome.NOTHING_NEW
    [known] = await house.list_disputes(CUSTOMER, payment.payment_id)
    assert known.amount_withdrawn == 1000
    house.gateway.put_dispute(dispute.gateway_dispute_id, replace(dispute, evidence_due_by=None))
    assert await tell(house, created, "charge.dispute.updated") is WebhookOutcome.APPLIED
    [known] = await house.list_disputes(CUSTOMER, payment.payment_id)
    assert (known.amount_withdrawn, known.evidence_due_by) == (1000, None)


async def test_an_old_report_moves_nothing_back() -> None:
    house = House()
    payment, dispute = await disputed(house)
    await tell(house, house.gateway.move_dispute(dispute.gateway_dispute_id, D.WON))
    assert await tell(house, replace(dispute, status=D.UNDER_REVIEW)) is WebhookOutcome.NOTHING_NEW
    assert await tell(house, dispute) is WebhookOutcome.NOTHING_NEW
    assert house.payment(payment.payment_id).attention is None


async def test_an_appeal_opens_a_lost_dispute_again_and_the_gateway_decides_which_loss_is_told() -> None:
    house = House()
    payment, dispute = await disputed(house, D.UNDER_REVIEW)
    name = dispute.gateway_dispute_id
    lost = house.gateway.move_dispute(name, D.LOST)
    await tell(house, lost)
    await tell(house, house.gateway.move_dispute(name, D.APPEAL_NEEDS_RESPONSE))
    assert house.payment(payment.payment_id).attention == "DISPUTED"
    assert await tell(house, lost) is WebhookOutcome.NOTHING_NEW  # the first loss, late
    await tell(house, house.gateway.move_dispute(name, D.APPEAL_UNDER_REVIEW))
    await tell(house, house.gateway.move_dispute(name, D.WON))
    assert house.payment(payment.payment_id).attention is None
    assert types(house.log()) == ["PaymentSucceeded", *("DisputeOpened", "DisputeClosed") * 2]


async def test_of_two_disputes_the_open_one_keeps_the_flag() -> None:
    house = House()
    payment, first = await disputed(house)
    second = house.gateway.open_dispute(payment.intent_id or "", amount=500)
    await tell(house, second)
    await tell(house, house.gateway.move_dispute(first.gateway_dispute_id, D.WON))
    assert house.payment(payment.payment_id).attention == "DISPUTED"
    await tell(house, house.gateway.move_dispute(second.gateway_dispute_id, D.WON))
    assert house.payment(payment.payment_id).attention is None


async def test_a_broken_rule_of_money_is_not_hidden_by_a_dispute() -> None:
    house = House()
    payment = await house.paid()
    house.world.payments.rows["payment"][payment.payment_id].attention = "REFUND_EXCEEDS_CAPTURED"
    dispute = house.gateway.open_dispute(payment.intent_id or "")
    for status in (D.NEEDS_RESPONSE, D.UNDER_REVIEW, D.WON):
        await tell(house, house.gateway.move_dispute(dispute.gateway_dispute_id, status))
    assert house.payment(payment.payment_id).attention == "REFUND_EXCEEDS_CAPTURED"


async def test_whoever_must_give_evidence_is_reminded_once_three_days_before() -> None:
    house = House()
    payment, _ = await disputed(house)
    house.clock.advance(days=5)
    assert await house.remind_of_evidence() == 0
    house.clock.advance(days=2)
    assert await house.remind_of_evidence() == 1
    assert house.payment(payment.payment_id).attention == "DISPUTE_EVIDENCE_DUE"
    assert await house.remind_of_evidence() == 0


async def test_whoever_has_given_evidence_is_not_reminded() -> None:
    house = House()
    payment, dispute = await disputed(house)
    await tell(house, house.gateway.move_dispute(dispute.gateway_dispute_id, D.UNDER_REVIEW))
    house.clock.advance(days=8)
    assert await house.remind_of_evidence() == 0
    assert house.payment(payment.payment_id).attention == "DISPUTED"


async def test_disputes_are_shown_to_whoever_may_see_the_payment() -> None:
    house = House()
    payment, dispute = await disputed(house)
    name = dispute.gateway_dispute_id
    assert (await house.get_dispute(CUSTOMER, name)).payment_id == payment.payment_id
    with pytest.raises(DisputeNotFound):
        await house.get_dispute(STRANGER, name)
    with pytest.raises(DisputeNotFound):
        await house.get_dispute(CUSTOMER, "du_nothing")
    with pytest.raises(PaymentNotFound):
        await house.list_disputes(STRANGER, payment.payment_id)
