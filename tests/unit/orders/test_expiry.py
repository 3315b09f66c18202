"""A checkout that nobody paid expires, and gives way to whoever pays it all the same."""

import pytest

from domain.orders.effects import EffectType
from domain.orders.status import NOT_TO_BE_SHIPPED, OrderStatus
from domain.payments.gateway import IntentStatus
from domain.shared.timeline import TimelineKind
from tests.support.house import House
from tests.unit.orders.test_timeline import told

S = OrderStatus


@pytest.mark.parametrize("token", [None, "pm_card_chargeDeclined", "pm_card_authenticationRequired"])
async def test_an_abandoned_checkout_expires(token: str | None) -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id, token)
    await house.deliver()
    house.clock.advance(minutes=59)
    assert await house.expire_checkouts() == 0
    house.clock.advance(minutes=1)
    assert await house.expire_checkouts() == 1
    await house.recover()
    saved = house.saved_order(order.order_id)
    assert saved.status is S.CANCELED
    assert saved.cancellation is not None
    assert (saved.cancellation.reason, saved.cancellation.requested_by) == ("checkout_expired", None)
    assert [intent.status for intent in house.gateway.intents.values()] == [IntentStatus.CANCELED]
    assert await house.expire_checkouts() == 0
    sweeps = [entry for entry in await told(house, order.order_id) if entry.kind is TimelineKind.SWEEP]
    assert [(sweep.title, sweep.position is not None) for sweep in sweeps] == [
        ("The checkout expired, for nobody had paid.", True)
    ]


async def test_the_expiry_of_a_checkout_whose_payment_is_over_is_told_with_its_end() -> None:
    house = House()
    order = await house.order()
    payment = (await house.confirm(order.order_id, None)).payment
    await house.deliver()
    await house.cancel(house.payment(payment.payment_id))
    await house.deliver()
    house.clock.advance(hours=1)
    await house.expire_checkouts()
    *_, sweep = (entry for entry in await told(house, order.order_id) if entry.kind is TimelineKind.SWEEP)
    assert sweep.title == "The checkout expired, for nobody had paid: PAYMENT_FAILED → CANCELED."
    assert sweep.reason == "the order is called off, and no money of it is held"


@pytest.mark.parametrize("token", ["pm_card_visa", "pm_success_de"])
async def test_what_is_paid_or_with_the_bank_does_not_expire(token: str) -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id, token)
    await house.deliver()
    house.clock.advance(hours=2)
    await house.expire_checkouts()
    await house.recover()
    saved = house.saved_order(order.order_id)
    assert saved.status is (S.PAID if token == "pm_card_visa" else S.PENDING_PAYMENT)
    assert saved.cancellation is None


async def test_who_pays_at_that_very_moment_has_paid() -> None:
    house = House()
    order = await house.order()
    payment = (await house.confirm(order.order_id, "pm_card_authenticationRequired")).payment
    await house.deliver()
    house.clock.advance(hours=1)
    assert await house.expire_checkouts() == 1
    house.gateway.complete_action(payment.gateway_payment_intent_id or "")
    await house.recover()
    saved = house.saved_order(order.order_id)
    assert (saved.status, saved.amount_kept, saved.cancellation) == (S.PAID, 1000, None)


async def test_what_a_customer_calls_off_when_it_has_expired_gives_way_to_nobody() -> None:
    """The expiry's own call is refused later than theirs, and takes nothing of theirs back."""
    house = House()
    order = await house.order()
    payment = (await house.confirm(order.order_id, "pm_card_authenticationRequired")).payment
    await house.deliver()
    house.clock.advance(hours=1)
    assert await house.expire_checkouts() == 1
    house.gateway.complete_action(payment.gateway_payment_intent_id or "")
    assert (await house.call_off(order.order_id)).is_canceling
    await house.recover()
    errors = [attempt.error for attempt in house.world.orders.rows["attempt"].values()]
    assert errors.count("payment_state_forbids") == 2  # the expiry's call, and theirs
    assert house.saved_order(order.order_id).is_canceling
    await house.recover()
    saved = house.saved_order(order.order_id)
    assert (saved.status, saved.amount_paid, saved.amount_kept) == (S.CANCELED, 1000, 0)
    assert saved.cancellation is not None
    assert saved.cancellation.requested_by == "u_1"
    effects = house.world.orders.effects
    assert {one.about for one in effects if one.type is EffectType.NOTIFY_WAREHOUSE} <= NOT_TO_BE_SHIPPED
