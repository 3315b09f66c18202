"""The warehouse reports an order shipped: once, and of orders that are paid."""

from datetime import timedelta

import pytest

from domain.orders.cart import OrderLine
from domain.orders.effects import Effect, EffectType
from domain.orders.errors import OrderNotFound, OrderStateForbids
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.use_cases.notify_warehouse import WarehouseNotified, notice_of
from tests.support.house import SERVICE, START, STRANGER, House
from tests.unit.orders.test_timeline import told

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


# The warehouse is told to stop


def notices(house: House) -> list[str]:
    return [
        effect.about for effect in house.world.orders.effects if effect.type is EffectType.NOTIFY_WAREHOUSE
    ]


async def tell_warehouse(house: House) -> list[WarehouseNotified]:
    """Every notice so far reaches its consumer."""
    effects = [one for one in house.world.orders.effects if one.type is EffectType.NOTIFY_WAREHOUSE]
    return [await house.notify_warehouse(one, f"effect_{number}") for number, one in enumerate(effects)]


@pytest.mark.parametrize("accepted", [False, True])
async def test_what_is_canceled_before_it_is_shipped_is_stopped(accepted: bool) -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id)
    await house.deliver()
    if accepted:
        await tell_warehouse(house)
    await house.call_off(order.order_id, caller=SERVICE)
    await house.deliver()
    assert house.saved_order(order.order_id).status is S.CANCELED
    assert notices(house) == ["PaymentSucceeded", "CANCELED"]
    assert await tell_warehouse(house) == [WarehouseNotified.OVERTAKEN, WarehouseNotified.LOGGED]
    titles = [entry.title for entry in await told(house, order.order_id)]
    assert "The warehouse was told not to ship the order any more." in titles
    assert "The warehouse was not told, for the order had moved on by then." in titles
    assert (house.saved_order(order.order_id).accepted_at is not None) is accepted


async def test_what_is_given_back_before_it_is_shipped_is_stopped_once() -> None:
    house = House()
    order = await house.order()
    payment_id = (await house.confirm(order.order_id)).payment.payment_id
    await house.deliver()
    await house.refund(house.payment(payment_id), 400)
    await house.deliver()
    assert notices(house) == ["PaymentSucceeded"]
    await house.refund(house.payment(payment_id), 600)
    await house.deliver()
    assert notices(house) == ["PaymentSucceeded", "REFUNDED"]
    await house.call_off(order.order_id, caller=SERVICE)
    assert house.saved_order(order.order_id).status is S.CANCELED
    assert notices(house) == ["PaymentSucceeded", "REFUNDED"]


async def test_what_is_shipped_or_never_was_asked_for_is_not_stopped() -> None:
    house = House()
    shipped, unpaid = await house.order(), await house.order()
    payment_id = (await house.confirm(shipped.order_id)).payment.payment_id
    await house.confirm(unpaid.order_id, None)
    await house.deliver()
    await house.fulfil_order("req_1", SERVICE, shipped.order_id)
    await house.refund(house.payment(payment_id), 1000)
    await house.call_off(unpaid.order_id)
    await house.deliver()
    assert house.saved_order(unpaid.order_id).status is S.CANCELED
    assert notices(house) == ["PaymentSucceeded"]


def test_a_stop_that_comes_after_its_refund_failed_is_not_told() -> None:
    effect = Effect(EffectType.NOTIFY_WAREHOUSE, "ord_1", S.REFUNDED)
    assert notice_of(effect, an_order(S.REFUNDED)) == "FulfilmentCanceled"
    assert notice_of(effect, an_order(S.PROCESSING_FULFILLMENT)) is None
