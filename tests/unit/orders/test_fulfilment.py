"""The warehouse reports an order shipped: once, and of orders that are paid."""

from datetime import timedelta

import pytest

from domain.orders.cart import OrderLine
from domain.orders.errors import OrderNotFound, OrderStateForbids
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from tests.support.house import SERVICE, START, STRANGER, House

S = OrderStatus
LATER = START + timedelta(minutes=1)


def an_order(status: OrderStatus) -> Order:
    line = OrderLine(sku="OAK", name="Oak board", quantity=1, unit_amount=1000)
    return Order(
        order_id="ord_1",
        user_id="u_1",
        currency="EUR",
        lines=(line,),
        created_at=START,
        updated_at=START,
        status=status,
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (S.PAID, S.FULFILLED),
        (S.PROCESSING_FULFILLMENT, S.FULFILLED),
        (S.PARTIALLY_REFUNDED, S.PARTIALLY_REFUNDED),
    ],
)
def test_what_is_paid_is_shipped_once(before: OrderStatus, after: OrderStatus) -> None:
    order = an_order(before)
    assert order.fulfil(LATER)
    assert (order.status, order.fulfilled_at, order.accepted_at) == (after, LATER, LATER)
    assert not order.fulfil(LATER + timedelta(days=1))
    assert (order.status, order.fulfilled_at, order.updated_at) == (after, LATER, LATER)


@pytest.mark.parametrize("status", sorted(set(S) - {S.PAID, S.PROCESSING_FULFILLMENT, S.PARTIALLY_REFUNDED}))
def test_nothing_else_is_shipped(status: OrderStatus) -> None:
    with pytest.raises(OrderStateForbids):
        an_order(status).fulfil(LATER)


async def test_the_same_answer_again_whatever_came_since() -> None:
    house = House()
    order = await house.order()
    with pytest.raises(OrderStateForbids):
        await house.fulfil_order("req_1", SERVICE, order.order_id)
    payment_id = (await house.confirm(order.order_id)).payment.payment_id
    await house.deliver()
    with pytest.raises(OrderNotFound):
        await house.fulfil_order("req_1", STRANGER, order.order_id)
    shipped = await house.fulfil_order("req_1", SERVICE, order.order_id)
    assert (shipped.status, shipped.fulfilled_at) == (S.FULFILLED, START)
    assert await house.fulfil_order("req_1", SERVICE, order.order_id) == shipped
    await house.refund(house.payment(payment_id), 1000)
    await house.deliver()
    again = await house.fulfil_order("req_1", SERVICE, order.order_id)
    assert (again.status, again.fulfilled_at) == (S.REFUNDED, START)
