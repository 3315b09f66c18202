"""Checkout from the order to the payment's events and back, where nothing goes wrong."""

from domain.orders.status import OrderStatus
from domain.payments.gateway import IntentStatus
from tests.support.house import House, types


async def test_an_order_is_paid_in_one_call() -> None:
    house = House()
    order = await house.order()
    checked_out = await house.confirm(order.order_id)
    assert checked_out.payment.status == IntentStatus.SUCCEEDED
    assert checked_out.order.status is OrderStatus.PENDING_PAYMENT
    await house.deliver()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert types(house.log()) == ["PaymentSucceeded"]
