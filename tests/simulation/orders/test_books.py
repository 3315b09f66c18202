"""What the books of the simulation may and may not demand, each by one short story."""

import pytest

from domain.orders.money_policy import MoneyPolicy, OnCapturedLess
from domain.orders.status import OrderStatus
from domain.payments.gateway import CaptureMethod, IntentStatus
from tests.simulation.orders.books import Shelves, check_money, check_with_gateway
from tests.support.house import House


@pytest.mark.parametrize("status", IntentStatus)
async def test_a_canceled_order_leaves_alive_only_what_nobody_can_cancel(status: IntentStatus) -> None:
    """What has succeeded, and a debit at which its bank is at work."""
    house = House()
    order = await house.order()
    payment = await house.pay(order, None, confirm=False)
    await house.deliver()
    await house.call_off(order.order_id)
    canceled = house.saved_order(order.order_id)
    canceled.payment_of(payment.payment_id, payment.intent_id)  # of which it has heard
    intent = house.gateway.put_intent(payment.intent_id or "", status=status)
    allowed = {IntentStatus.CANCELED, IntentStatus.PROCESSING, IntentStatus.SUCCEEDED}
    if status in allowed:
        check_with_gateway(canceled, [intent], {})
    else:
        with pytest.raises(AssertionError):
            check_with_gateway(canceled, [intent], {})


async def test_that_less_was_captured_is_flagged_unless_that_was_declared_acceptable() -> None:
    house = House()
    house.world.policy = MoneyPolicy(captured_less=OnCapturedLess.ACCEPT)
    order = await house.order()
    payment = await house.pay(order, capture_method=CaptureMethod.MANUAL)
    await house.capture(payment, 500)
    await house.deliver()
    paid = house.saved_order(order.order_id)
    check_money(paid, house.log(), (), house.world.policy)
    with pytest.raises(AssertionError):
        check_money(paid, house.log(), (), MoneyPolicy(captured_less=OnCapturedLess.FLAG))


async def test_a_draft_paid_beside_its_checkout_waits_for_its_customer_without_stock() -> None:
    house, shelves = House(), Shelves({"OAK": 0})
    await house.count("OAK", 0)
    order = await house.order()
    payment = await house.pay(order, "pm_card_authenticationRequired")
    await house.deliver()
    waiting = house.saved_order(order.order_id)
    assert (waiting.status, waiting.attentions) == ("AWAITING_USER_PAYMENT_ACTION", ())
    shelves.check([waiting], {"OAK": house.stock("OAK")})
    paid = house.gateway.complete_action(payment.intent_id or "")
    await house.webhook(house.gateway.webhook("payment_intent.succeeded", paid))
    await house.deliver()
    assert house.saved_order(order.order_id).attention == "STOCK_INSUFFICIENT"


async def test_an_order_may_be_canceled_before_the_events_of_its_canceled_payment_have_come() -> None:
    """The answer to a call told it."""
    house = House()
    order = await house.order()
    order.payment_of("pay_1", None).status = "CANCELED"
    order.status = OrderStatus.CANCELED
    check_money(order, [], {"pay_1"}, house.world.policy)
    with pytest.raises(AssertionError):
        check_money(order, [], (), house.world.policy)
