"""What a customer hears of an order from its confirmation to its end, told at once or late."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from domain.orders.cart import Customer
from domain.orders.effects import EffectType
from domain.orders.messages import MessageKind
from tests.support.house import SERVICE, House

K = MessageKind
Step = Callable[[House, str], Awaitable[Any]]


def confirmed(token: str | None = "pm_card_visa", **changes: Any) -> Step:
    return lambda house, order_id: house.confirm(order_id, token, **changes)


async def retried(house: House, order_id: str) -> None:
    await house.retry(order_id)


async def authenticated(house: House, order_id: str) -> None:
    payment = house.saved_order(order_id).latest_payment
    assert payment is not None
    house.gateway.complete_action(payment.gateway_payment_intent_id or "")
    house.clock.advance(seconds=2)
    await house.refresh_payment(SERVICE, payment.payment_id)


async def canceled(house: House, order_id: str) -> None:
    await house.call_off(order_id, caller=SERVICE)


def refunded(amount: int) -> Step:
    async def step(house: House, order_id: str) -> None:
        payment = house.saved_order(order_id).latest_payment
        assert payment is not None
        await house.refund(house.payment(payment.payment_id), amount)

    return step


async def told(house: House, done: int) -> int:
    """Carry out what is asked for beyond the first `done` effects; how many there are now."""
    effects = [one for one in house.world.orders.effects if one.type is EffectType.NOTIFY_CUSTOMER]
    for number, effect in enumerate(effects[done:], done):
        await house.tell_customer(effect, f"evt_{number}")
    return len(effects)


JOURNEYS: list[tuple[str, list[Step], list[MessageKind], list[MessageKind]]] = [
    ("paid", [confirmed()], [K.PAID], [K.PAID]),
    (
        "declined, then paid",
        [confirmed("pm_card_chargeDeclined"), retried],
        [K.PAYMENT_FAILED, K.PAID],
        [K.PAID],
    ),
    (
        "3-D Secure",
        [confirmed("pm_card_authenticationRequired"), authenticated],
        [K.ACTION_NEEDED, K.PAID],
        [K.PAID],
    ),
    (
        "refunded in two parts",
        [confirmed(), refunded(300), refunded(700)],
        [K.PAID, K.REFUNDED, K.REFUNDED],
        [K.REFUNDED, K.REFUNDED],
    ),
    ("paid, then canceled", [confirmed(), canceled], [K.PAID, K.CANCELED], [K.CANCELED]),
    (
        "declined, then canceled",
        [confirmed("pm_card_chargeDeclined"), canceled],
        [K.PAYMENT_FAILED, K.CANCELED],
        [K.CANCELED],
    ),
    (
        "never confirmed with the bank, then canceled",
        [confirmed("pm_card_authenticationRequired"), canceled],
        [K.ACTION_NEEDED, K.CANCELED],
        [K.CANCELED],
    ),
    ("never paid, then canceled", [confirmed(None), canceled], [K.CANCELED], [K.CANCELED]),
    (
        "authorized, then canceled",
        [confirmed(capture_method="MANUAL"), canceled],
        [K.CANCELED],
        [K.CANCELED],
    ),
]


@pytest.mark.parametrize(
    ("steps", "at_once", "late"), [rest for _, *rest in JOURNEYS], ids=[name for name, *_ in JOURNEYS]
)
@pytest.mark.parametrize("is_late", [False, True])
async def test_what_the_customer_hears(
    steps: list[Step], at_once: list[MessageKind], late: list[MessageKind], is_late: bool
) -> None:
    house, done = House(), 0
    order = await house.order(customer=Customer(name="Ada", email="ada@example.org"))
    for step in steps:
        await step(house, order.order_id)
        await house.deliver()
        if not is_late:
            done = await told(house, done)
    await told(house, done)
    heard = [message.kind for message in house.world.letters.sent]
    assert heard == (late if is_late else at_once)
