"""One order, several attempts: on the same payment while it lives, on a new one once it is canceled."""

from domain.orders.status import OrderStatus
from domain.payments.gateway import CaptureMethod, IntentStatus
from tests.support.house import House, types


async def test_attempts_on_one_payment_are_numbered_and_the_order_follows_each() -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id, "pm_card_chargeDeclined")
    statuses = []
    for token in ("pm_failed_de", "pm_card_authenticationRequired", "pm_card_visa"):
        await house.deliver()
        statuses.append(house.saved_order(order.order_id).status)
        checked_out = await house.retry(order.order_id, token)
        payment = house.payment(checked_out.payment.payment_id)
        if token == "pm_failed_de":
            failed = house.gateway.settle_debit(payment.intent_id or "")
            await house.webhook(house.gateway.webhook("payment_intent.payment_failed", failed))
        elif token == "pm_card_authenticationRequired":
            failed = house.gateway.fail_action(payment.intent_id or "")
            await house.webhook(house.gateway.webhook("payment_intent.payment_failed", failed))
    await house.deliver()
    assert statuses == [OrderStatus.PAYMENT_FAILED] * 3
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert [(event.type, event.sequence) for event in house.log()] == [
        ("PaymentFailed", 1),
        ("PaymentFailed", 2),
        ("PaymentRequiresAction", 3),
        ("PaymentFailed", 4),
        ("PaymentSucceeded", 5),
    ]
    assert len(house.gateway.intents) == 1


async def test_after_a_cancellation_the_order_is_paid_by_a_new_payment() -> None:
    house = House()
    order = await house.order()
    first = (await house.confirm(order.order_id, "pm_card_authenticationRequired")).payment
    await house.cancel(house.payment(first.payment_id))
    await house.deliver()
    assert house.saved_order(order.order_id).status is OrderStatus.PAYMENT_FAILED
    second = (await house.retry(order.order_id)).payment
    assert second.payment_id != first.payment_id
    await house.deliver()
    saved = house.saved_order(order.order_id)
    assert (saved.status, saved.amount_paid, len(saved.payments)) == (OrderStatus.PAID, 1000, 2)
    assert types(house.log(second.payment_id)) == ["PaymentSucceeded"]
    assert [event.sequence for event in house.log(second.payment_id)] == [1]


async def test_late_events_of_a_superseded_payment_do_not_move_the_order() -> None:
    """The first payment's events reach the order only after the second one's."""
    house = House()
    order = await house.order()
    first = (await house.confirm(order.order_id, capture_method=CaptureMethod.MANUAL)).payment
    await house.cancel(house.payment(first.payment_id))
    async with house.orders_uow() as uow:  # as the order side would, had it heard of the cancellation
        saved = (await uow.orders.lock([order.order_id]))[order.order_id]
        saved.status = OrderStatus.PAYMENT_FAILED
        saved.payments[0].status = "CANCELED"
        await uow.orders.save([saved])
        await uow.commit()
    second = (await house.retry(order.order_id)).payment
    events = house.world.payments.log
    events.sort(key=lambda event: event.payment_id != second.payment_id)
    await house.deliver()
    paid = house.saved_order(order.order_id)
    assert (paid.status, paid.attention) == (OrderStatus.PAID, None)
    assert {payment.payment_id: payment.status for payment in paid.payments} == {
        first.payment_id: IntentStatus.CANCELED,
        second.payment_id: IntentStatus.SUCCEEDED,
    }
