"""A refund that failed is tried again: a new operation under a new key, counted once, told apart at the gateway."""

from dataclasses import replace
from typing import Any

import pytest

from domain.orders.refunds import RefundedLine
from domain.orders.status import OrderStatus
from domain.payments.errors import (
    ApproverIsRequester,
    ChargeDisputed,
    OperationInFlight,
    RefundNoLongerFits,
    RefundStateForbids,
)
from domain.payments.gateway import GatewayRefundStatus as G
from domain.payments.gateway import GatewayRefused, RefundSnapshot
from domain.payments.payment import Payment
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import Limits, RefundPolicy, Rule
from tests.support.fake_gateway import Outcome
from tests.support.house import SERVICE, House, World, types

P = RefundStatus


async def failed(house: House, payment: Payment, amount: int = 400, **changes: Any) -> Refund:
    """A refund that the gateway gave and the bank sent back."""
    refund = await house.refund(payment, amount, **changes)
    returned = house.gateway.settle_refund(
        refund.gateway_refund_id or "", G.FAILED, "expired_or_canceled_card"
    )
    await house.webhook(house.gateway.webhook("refund.failed", returned))
    return await house.get_refund(SERVICE, refund.refund_id)


def totals(house: House, payment: Payment) -> tuple[int, int]:
    saved = house.payment(payment.payment_id)
    return saved.amount_refunded, saved.amount_refunding


async def test_it_is_the_same_refund_by_a_new_operation_under_a_new_key() -> None:
    house = House()
    payment = await house.paid(1000)
    refund = await failed(house, payment)
    assert (refund.status, totals(house, payment)) == (P.FAILED, (0, 0))
    await house.deliver()
    assert house.saved_order(payment.order_id).attention == "REFUND_FAILED"
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    retried = await house.refund_again(refund, request_id="again")
    assert (retried.refund_id, retried.status, retried.attempt) == (refund.refund_id, P.PENDING, 2)
    assert totals(house, payment) == (0, 400)  # promised, and nothing counts as refunded
    assert house.saved_order(payment.order_id).attention == "REFUND_FAILED"
    await house.recover()
    assert totals(house, payment) == (400, 0)
    (_, first), (_, second) = [one for one in house.gateway.sent if one[0].path == "refund"]
    assert (first != second, second) == (True, "again-refund")
    order = house.saved_order(payment.order_id)
    assert (order.status, order.amount_refunded, order.attention) == (
        OrderStatus.PARTIALLY_REFUNDED,
        400,
        None,
    )
    assert types(house.log())[1:] == ["RefundProcessed", "RefundFailed", "RefundProcessed"]
    assert (await house.refund_again(refund, request_id="again")).status is P.SUCCEEDED
    assert len(house.gateway.refunds) == 2


async def test_late_news_of_the_attempt_that_failed_does_not_touch_the_next() -> None:
    house = House()
    payment = await house.paid(1000, "pm_card_pendingRefund")
    refund = await house.refund(payment, 400)
    old = house.gateway.settle_refund(refund.gateway_refund_id or "", G.FAILED, "declined")
    await house.webhook(house.gateway.webhook("refund.failed", old))
    retried = await house.refund_again(refund)
    assert retried.status is P.PENDING
    for status in (G.FAILED, G.CANCELED):
        await house.webhook(house.gateway.webhook("charge.refund.updated", replace(old, status=status)))
    after = await house.get_refund(SERVICE, refund.refund_id)
    assert (after.status, after.gateway_refund_id) == (P.PENDING, retried.gateway_refund_id)
    new = house.gateway.settle_refund(retried.gateway_refund_id or "", G.SUCCEEDED)
    await house.webhook(house.gateway.webhook("refund.updated", new))
    await house.webhook(house.gateway.webhook("refund.updated", replace(new, status=G.PENDING)))
    assert totals(house, payment) == (400, 0)
    assert house.payment(payment.payment_id).attention is None


async def test_late_news_before_the_retry_leaves_it_failed() -> None:
    house = House()
    payment = await house.paid(1000)
    refund = await failed(house, payment)
    late = replace(house.gateway.refunds[refund.gateway_refund_id or ""], status=G.PENDING)
    await house.webhook(house.gateway.webhook("refund.created", late))
    assert (await house.get_refund(SERVICE, refund.refund_id)).status is P.FAILED


async def test_money_of_an_attempt_that_was_proved_to_have_failed_is_recorded_beside_the_next() -> None:
    house = House()
    payment = await house.paid(1000)
    house.gateway.script(GatewayRefused("balance_insufficient", "Not now."))
    refund = await house.refund(payment, 400)
    await house.refund_again(refund)
    after_all = RefundSnapshot(
        gateway_refund_id="re_ghost",
        intent_id=payment.intent_id,
        charge_id=payment.charge_id,
        status=G.SUCCEEDED,
        amount=400,
        currency="EUR",
        failure_reason=None,
        refund_id=refund.refund_id,
        reason="arrived broken",
        attempt=1,
    )
    for _ in range(2):
        await house.webhook(house.gateway.webhook("refund.updated", after_all))
    assert totals(house, payment) == (800, 0)
    assert house.payment(payment.payment_id).attention == "GATEWAY_CONTRADICTS"


async def test_only_what_has_failed_for_certain_is_retried() -> None:
    house = House()
    payment = await house.paid(1000)
    succeeded = await house.refund(payment, 100)
    with pytest.raises(RefundStateForbids):
        await house.refund_again(succeeded)
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    unknown = await house.refund(payment, 100)
    lost = next(one for one in house.gateway.refunds.values() if one.refund_id == unknown.refund_id)
    told = house.gateway.settle_refund(lost.gateway_refund_id, G.FAILED)
    await house.webhook(house.gateway.webhook("refund.failed", told))
    assert (await house.get_refund(SERVICE, unknown.refund_id)).status is P.FAILED
    with pytest.raises(OperationInFlight):  # its operation is still to be looked up
        await house.refund_again(unknown)
    await house.recover()
    assert (await house.refund_again(unknown)).status is P.SUCCEEDED


async def test_one_made_at_the_gateway_is_not_ours_to_retry() -> None:
    house = House()
    payment = await house.paid(1000)
    refund = await failed(house, payment)
    foreign = replace(
        house.gateway.refunds[refund.gateway_refund_id or ""], gateway_refund_id="re_x", refund_id=None
    )
    await house.webhook(house.gateway.webhook("refund.failed", foreign))
    theirs = next(one for one in house.world.payments.rows["refund"].values() if one.requested_by is None)
    with pytest.raises(RefundStateForbids, match="at the gateway"):
        await house.refund_again(theirs)


async def test_what_was_refunded_instead_leaves_no_room_for_it() -> None:
    house = House()
    payment = await house.paid(1000)
    refund = await failed(house, payment, 400)
    await house.refund(payment, 601)
    with pytest.raises(RefundNoLongerFits):
        await house.refund_again(refund)


async def test_a_dispute_stops_the_retry_too() -> None:
    house = House()
    payment = await house.paid(1000)
    refund = await failed(house, payment)
    await house.webhook(
        house.gateway.webhook("charge.dispute.created", house.gateway.open_dispute(payment.intent_id or ""))
    )
    with pytest.raises(ChargeDisputed):
        await house.refund_again(refund)


async def test_the_policy_judges_a_retry_by_whoever_asks_and_an_approval_holds() -> None:
    limits = Limits(per_refund={"EUR": 500}, per_day={"EUR": 600})
    house = House(World(refund_policy=RefundPolicy(rules=(Rule(name="staff", limits=limits),))))
    first, second = await house.paid(1000), await house.paid(1000)
    refund = await failed(house, first, 400)
    await house.refund(second, 300)  # 400 came to nothing, and does not count
    waiting = await house.refund_again(refund, request_id="waits")
    assert (waiting.status, waiting.attempt, waiting.retried_by) == (P.PENDING_APPROVAL, 2, "service")
    assert (await house.refund_again(refund, request_id="waits")).attempt == 2
    with pytest.raises(RefundStateForbids):
        await house.refund_again(refund)
    with pytest.raises(ApproverIsRequester):
        await house.approve(refund, caller=replace(SERVICE, token_id="t"))
    approved = await house.approve(refund)
    returned = house.gateway.settle_refund(approved.gateway_refund_id or "", G.FAILED)
    await house.webhook(house.gateway.webhook("refund.failed", returned))
    assert (await house.refund_again(refund, request_id="waits")).attempt == 2  # it was for that attempt
    again = await house.refund_again(refund)
    assert (again.status, again.attempt, again.decided_by) == (P.SUCCEEDED, 3, "boss")


async def test_goods_go_back_once_however_often_the_refund_is_tried() -> None:
    house = House()
    await house.count("OAK", 5)
    order = await house.order(1000)
    await house.confirm(order.order_id)
    await house.deliver()
    asked = await house.refund_by_order(
        order.order_id, lines=(RefundedLine(sku="OAK", quantity=1),), restock=True
    )
    refund = await house.get_refund(SERVICE, asked.view.refund_id)
    returned = house.gateway.settle_refund(refund.gateway_refund_id or "", G.FAILED)
    await house.webhook(house.gateway.webhook("refund.failed", returned))
    await house.refund_again(refund)
    await house.deliver()
    effects = [one for one in house.world.orders.effects if one.goods]
    assert len(effects) == 2
    for number, effect in enumerate(effects):
        await house.restock_goods(effect, f"effect-{number}")
    assert house.stock("OAK") == (5, 0)
    assert house.saved_order(order.order_id).status is OrderStatus.REFUNDED
