"""Refunds of orders: by amount, by lines to the cent, each once, and what declared policy gives back by itself."""

from typing import Any

import pytest

from domain.orders.cart import OrderLine
from domain.orders.effects import EffectType
from domain.orders.errors import (
    OrderStateForbids,
    RefundExceedsPaid,
    RefundLineUnknown,
    RefundQuantityExceeds,
    RefundUnclear,
)
from domain.orders.following import follow
from domain.orders.money_policy import MoneyPolicy, OnCapturedLess, OnMoney, OnPaidAfterCancel
from domain.orders.refunds import OrderRefund, OrderRefundStatus, RefundedLine, amount_of
from domain.orders.status import OrderStatus
from domain.payments.errors import ChargeDisputed
from domain.shared.payment_events import PaymentCaptured, PaymentSucceeded
from tests.support.events import an_event
from tests.support.fake_gateway import Outcome
from tests.support.house import SERVICE, House
from tests.unit.orders.test_order import an_order

S = OrderStatus
LINE = OrderLine(sku="TEA", name="Tea", quantity=7, unit_amount=333, discount_amount=100, tax_amount=31)


def of(quantity: int, sku: str = "TEA") -> tuple[RefundedLine, ...]:
    return (RefundedLine(sku=sku, quantity=quantity),)


@pytest.mark.parametrize("split", [(7,), (1,) * 7, (3, 4), (2, 2, 3), (6, 1)])
def test_however_a_line_is_split_its_refunds_are_the_line(split: tuple[int, ...]) -> None:
    refunds: list[OrderRefund] = []
    for number, quantity in enumerate(split):
        amount = amount_of(of(quantity), [LINE], refunds)
        refunds.append(
            OrderRefund(
                refund_id=str(number), payment_id="pay_1", amount=amount, reason=None, lines=of(quantity)
            )
        )
    assert sum(refund.amount for refund in refunds) == LINE.total_amount
    with pytest.raises(RefundQuantityExceeds):
        amount_of(of(1), [LINE], refunds)
    refunds[0].status = OrderRefundStatus.FAILED
    assert amount_of(of(split[0]), [LINE], refunds) > 0


def test_lines_of_one_sku_are_given_back_in_their_order() -> None:
    lines = [LINE, OrderLine(sku="TEA", name="Tea", quantity=1, unit_amount=10)]
    assert amount_of(of(8), lines, []) == LINE.total_amount + 10
    assert amount_of((*of(7), *of(1)), lines, []) == LINE.total_amount + 10
    with pytest.raises(RefundQuantityExceeds) as refusal:
        amount_of((*of(7), *of(2)), lines, [])
    assert refusal.value.pointer == "/lines/1/quantity"
    with pytest.raises(RefundLineUnknown) as unknown:
        amount_of(of(1, "OAK"), lines, [])
    assert unknown.value.pointer == "/lines/0/sku"


async def paid(house: House, **changes: Any) -> str:
    order = await house.order(lines=(LINE,), shipping_amount=500)
    await house.confirm(order.order_id, **changes)
    await house.deliver()
    return order.order_id


async def test_lines_and_amounts_are_given_back_by_the_payment_that_holds_them() -> None:
    house = House()
    order_id = await paid(house)
    first = await house.refund_by_order(order_id, lines=of(3), restock=True)
    assert (first.view.status, first.view.amount) == ("SUCCEEDED", LINE.total_amount * 3 // 7)
    await house.deliver()
    assert house.saved_order(order_id).status is S.PARTIALLY_REFUNDED
    [restock] = [one for one in house.world.orders.effects if one.type is EffectType.RESTOCK]
    assert (restock.refund_id, restock.goods) == (first.view.refund_id, {"TEA": 3})
    await house.refund_by_order(order_id, lines=of(4))
    with pytest.raises(RefundExceedsPaid):
        await house.refund_by_order(order_id, amount=501)
    await house.refund_by_order(order_id, amount=500)
    await house.deliver()
    order = house.saved_order(order_id)
    assert (order.status, order.amount_kept, order.attention) == (S.REFUNDED, 0, None)
    assert [refund.status for refund in order.refunds] == ["SUCCEEDED"] * 3
    with pytest.raises(OrderStateForbids):
        await house.refund_by_order(order_id, amount=1)


async def test_what_is_unclear_is_refused() -> None:
    house = House()
    order_id = await paid(house)
    for unclear in ({}, {"amount": 1, "lines": of(1)}, {"amount": 1, "restock": True}):
        with pytest.raises(RefundUnclear):
            await house.refund_by_order(order_id, **unclear)
    assert not house.gateway.refunds


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER])
async def test_a_refund_whose_answer_is_lost_is_made_once(outcome: Outcome) -> None:
    house = House()
    order_id = await paid(house)
    house.gateway.script(outcome)
    answer = await house.refund_by_order(order_id, lines=of(2), request_id="back")
    assert answer.view.operation_unknown
    await house.recover()
    again = await house.refund_by_order(order_id, lines=of(2), request_id="back")
    assert again.view.refund_id == answer.view.refund_id
    await house.deliver()
    assert len(house.gateway.refunds) == 1
    assert house.saved_order(order_id).amount_refunded == answer.view.amount


async def test_a_refused_refund_is_forgotten() -> None:
    house = House()
    order_id = await paid(house, token="pm_card_createDispute")
    payment = house.payment(house.saved_order(order_id).payments[0].payment_id)
    dispute = house.gateway.open_dispute(payment.intent_id or "")
    await house.webhook(house.gateway.webhook("charge.dispute.created", dispute))
    with pytest.raises(ChargeDisputed):
        await house.refund_by_order(order_id, lines=of(7))
    assert house.saved_order(order_id).refunds == []


# What declared policy does by itself


async def late_money(house: House) -> str:
    """Paid by the client secret of a payment that a cancellation could not reach any more."""
    order = await house.order()
    payment = await house.pay(order, "pm_card_authenticationRequired")
    await house.call_off(order.order_id)  # the draft knows of no payment yet
    house.gateway.complete_action(payment.intent_id or "")
    done = house.gateway.intents[payment.intent_id or ""]
    await house.webhook(house.gateway.webhook("payment_intent.succeeded", done))
    await house.deliver()
    return order.order_id


@pytest.mark.parametrize("declared", OnPaidAfterCancel)
async def test_paid_after_the_cancellation(declared: OnPaidAfterCancel) -> None:
    house = House()
    house.world.policy = MoneyPolicy(paid_after_cancel=declared)
    order_id = await late_money(house)
    order = house.saved_order(order_id)
    if declared is OnPaidAfterCancel.REOPEN:
        assert (order.status, order.attention, order.cancellation) == (S.PAID, None, None)
        assert EffectType.NOTIFY_WAREHOUSE in {effect.type for effect in house.world.orders.effects}
        return
    assert (order.status, order.attention) == (S.CANCELED, "PAID_AFTER_CANCEL")
    await house.recover()
    await house.recover()
    order = house.saved_order(order_id)
    given_back = declared is OnPaidAfterCancel.REFUND
    assert (order.status, order.amount_kept) == (S.CANCELED, 0 if given_back else 1000)
    assert order.attention == (None if given_back else "PAID_AFTER_CANCEL")
    assert len(house.gateway.refunds) == given_back
    assert [refund.reason for refund in order.refunds] == ["paid_after_cancel"] * given_back


async def test_money_given_back_by_policy_is_given_back_once_whoever_dies() -> None:
    for outcome in (Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER):
        house = House()
        order_id = await late_money(house)
        house.gateway.script(outcome)
        await house.recover()
        await house.recover()
        assert len(house.gateway.refunds) == 1
        assert house.saved_order(order_id).amount_kept == 0


@pytest.mark.parametrize("declared", OnMoney)
def test_paid_twice(declared: OnMoney) -> None:
    policy = MoneyPolicy(paid_twice=declared)
    order = an_order()
    follow(order, an_event(PaymentSucceeded, payment_id="pay_2"), policy=policy)
    follow(order, an_event(PaymentSucceeded, payment_id="pay_1"), policy=policy)
    assert (order.status, order.attention) == (S.PAID, "PAID_TWICE")
    asked = [(one.kind, one.payment_id, one.amount) for one in order.take_attempts()]
    assert asked == ([("REFUND", "pay_1", None)] if declared is OnMoney.REFUND else [])


@pytest.mark.parametrize("declared", OnMoney)
@pytest.mark.parametrize("changes", [{"amount_captured": 999}, {"currency": "USD"}])
def test_money_unlike_the_order_s_is_never_its_payment(declared: OnMoney, changes: dict[str, Any]) -> None:
    order = an_order()
    follow(order, an_event(PaymentSucceeded, **changes), policy=MoneyPolicy(amount_mismatch=declared))
    assert (order.status, order.attention) == (S.PENDING_PAYMENT, "AMOUNT_MISMATCH")
    assert len(order.take_attempts()) == (declared is OnMoney.REFUND)


@pytest.mark.parametrize("declared", OnCapturedLess)
def test_captured_less(declared: OnCapturedLess) -> None:
    order = an_order(status=S.AUTHORIZED)
    event = an_event(PaymentCaptured, amount=700, amount_captured=700)
    follow(order, event, policy=MoneyPolicy(captured_less=declared))
    flagged = declared is OnCapturedLess.FLAG
    assert (order.status, order.attention) == (S.PAID, "CAPTURED_LESS_THAN_TOTAL" if flagged else None)


async def test_refunds_of_an_order_being_canceled_wait() -> None:
    house = House()
    order_id = await paid(house)
    await house.call_off(order_id, caller=SERVICE)
    with pytest.raises(OrderStateForbids):
        await house.refund_by_order(order_id, amount=1)
