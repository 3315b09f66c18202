"""Each request is cut off at each of its steps, then recovered and repeated: money moves exactly once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from domain.orders.status import OrderStatus
from domain.payments.gateway import GatewayRefundStatus, IntentStatus
from domain.payments.payment import Payment
from domain.payments.refund_policy import Limits, RefundPolicy, Rule
from tests.support.crash import Crash, Fuse
from tests.support.fake_gateway import Outcome
from tests.support.house import CUSTOMER, House, World

Step = Callable[[House], Awaitable[Any]]
ABOVE_LIMITS = RefundPolicy(rules=(Rule(name="staff", limits=Limits(per_day={"EUR": 399})),))
ORDER, PAYMENT = "ord_order", "pay_first"


@dataclass(frozen=True)
class Scenario:
    """`before` runs undisturbed; `request` is cut off; the rest is what must hold in the end."""

    name: str
    before: tuple[Step, ...]
    request: Step
    order: OrderStatus
    events: tuple[str, ...]
    captured: int = 0
    refunded: int = 0

    def __str__(self) -> str:
        return self.name


async def make_order(house: House) -> None:
    await house.order(1000, request_id="order")


def checkout(token: str | None = "pm_card_visa", **changes: Any) -> Step:
    async def step(house: House) -> None:
        await house.confirm(ORDER, token, request_id="first", **changes)

    return step


async def deliver(house: House) -> None:
    await house.deliver()


async def retry(house: House) -> None:
    await house.retry(ORDER, "pm_card_visa", request_id="second")


async def capture(house: House) -> None:
    await house.capture(house.payment(PAYMENT), 900, request_id="capture")


async def capture_part(house: House) -> None:
    await house.capture(house.payment(PAYMENT), 400, request_id="part", final=False)


async def change_amount(house: House) -> None:
    await house.change(house.payment(PAYMENT), 1500, request_id="change")


async def come_back(house: House) -> None:
    """The customer authenticates and is back; no webhook comes."""
    intent_id = house.payment(PAYMENT).intent_id or ""
    if house.world.gateway.intents[intent_id].status is IntentStatus.REQUIRES_ACTION:
        house.world.gateway.complete_action(intent_id)
    house.clock.advance(seconds=2)  # or it was asked just now
    await house.refresh_payment(CUSTOMER, PAYMENT)


async def allow_parts(house: House) -> None:
    house.world.gateway.multicapture = True


async def cancel(house: House) -> None:
    await house.cancel(house.payment(PAYMENT), request_id="cancel")


async def refund(house: House) -> None:
    await house.refund(house.payment(PAYMENT), 400, request_id="refund")


async def ask(house: House) -> None:
    """Above the limit: it waits."""
    house.world.refund_policy = ABOVE_LIMITS
    await House(house.world).refund(house.payment(PAYMENT), 400, request_id="asked")


async def approve(house: House) -> None:
    await house.approve(house.world.payments.rows["refund"]["ref_asked"], request_id="approve")


async def fail_refund(house: House) -> None:
    """The bank sends it back."""
    await house.refund(house.payment(PAYMENT), 400, request_id="asked")
    ((name, _),) = house.gateway.refunds.items()
    returned = house.gateway.settle_refund(name, GatewayRefundStatus.FAILED)
    await house.webhook(house.gateway.webhook("refund.failed", returned))


async def refund_again(house: House) -> None:
    await house.refund_again(house.world.payments.rows["refund"]["ref_asked"], request_id="again")


async def authenticate(house: House) -> None:
    intent_id = house.payment(PAYMENT).intent_id or ""
    if house.gateway.intents[intent_id].status is IntentStatus.REQUIRES_ACTION:
        house.gateway.complete_action(intent_id)
        house.world.verifier.body(
            house.gateway.webhook("payment_intent.succeeded", house.gateway.intents[intent_id])
        )
    for event in list(house.world.verifier.events.values()):  # the gateway sends the same one again
        await house.webhook(event)


async def foreign_refund(house: House) -> None:
    """Made in the gateway's dashboard; both of its webhooks come."""
    intent_id = house.payment(PAYMENT).intent_id or ""
    request = house.gateway.prepare_refund(
        intent_id, refund_id="", payment_id="", order_id="", amount=250, currency="EUR", reason="asked"
    )
    snapshot = await house.world.gateway.execute(request, "dashboard")
    for _ in range(2):
        await house.webhook(house.gateway.webhook("refund.updated", snapshot))


MANUAL = {"capture_method": "MANUAL"}
BY_WEBHOOK = {"authenticated", "returned", "refunded elsewhere"}
"""Here only the gateway repeats what was cut off."""
SCENARIOS = [
    Scenario("paid", (make_order,), checkout(), OrderStatus.PAID, ("PaymentSucceeded",), 1000),
    Scenario(
        "declined",
        (make_order,),
        checkout("pm_card_chargeDeclined"),
        OrderStatus.PAYMENT_FAILED,
        ("PaymentFailed",),
    ),
    Scenario("no method yet", (make_order,), checkout(None), OrderStatus.PENDING_PAYMENT, ()),
    Scenario(
        "authenticated",
        (make_order, checkout("pm_card_authenticationRequired"), deliver),
        authenticate,
        OrderStatus.PAID,
        ("PaymentRequiresAction", "PaymentSucceeded"),
        1000,
    ),
    Scenario(
        "second attempt",
        (make_order, checkout("pm_card_chargeDeclined"), deliver),
        retry,
        OrderStatus.PAID,
        ("PaymentFailed", "PaymentSucceeded"),
        1000,
    ),
    Scenario(
        "authorized",
        (make_order,),
        checkout(**MANUAL),
        OrderStatus.AUTHORIZED,
        ("PaymentAuthorized",),
    ),
    Scenario(
        "captured in part",
        (make_order, checkout(**MANUAL), deliver),
        capture,
        OrderStatus.PAID,
        ("PaymentAuthorized", "PaymentCaptured"),
        900,
    ),
    Scenario(
        "returned",
        (make_order, checkout("pm_card_authenticationRequired"), deliver),
        come_back,
        OrderStatus.PAID,
        ("PaymentRequiresAction", "PaymentSucceeded"),
        1000,
    ),
    Scenario(
        "captured a part",
        (allow_parts, make_order, checkout(**MANUAL), deliver),
        capture_part,
        OrderStatus.AUTHORIZED,
        ("PaymentAuthorized", "PaymentCaptured"),
        400,
    ),
    Scenario(
        "rest voided",
        (allow_parts, make_order, checkout(**MANUAL), capture_part, deliver),
        cancel,
        OrderStatus.PAID,
        ("PaymentAuthorized", "PaymentCaptured", "PaymentCaptured"),
        400,
    ),
    Scenario("changed", (make_order, checkout(None)), change_amount, OrderStatus.PENDING_PAYMENT, ()),
    Scenario(
        "voided",
        (make_order, checkout(**MANUAL), deliver),
        cancel,
        OrderStatus.PAYMENT_FAILED,
        ("PaymentAuthorized", "PaymentCanceled"),
    ),
    Scenario(
        "refunded in part",
        (make_order, checkout(), deliver),
        refund,
        OrderStatus.PARTIALLY_REFUNDED,
        ("PaymentSucceeded", "RefundProcessed"),
        1000,
        400,
    ),
    Scenario(
        "approved",
        (make_order, checkout(), ask, deliver),
        approve,
        OrderStatus.PARTIALLY_REFUNDED,
        ("PaymentSucceeded", "RefundProcessed"),
        1000,
        400,
    ),
    Scenario(
        "retried",
        (make_order, checkout(), fail_refund, deliver),
        refund_again,
        OrderStatus.PARTIALLY_REFUNDED,
        ("PaymentSucceeded", "RefundProcessed", "RefundFailed", "RefundProcessed"),
        1000,
        400,
    ),
    Scenario(
        "refunded elsewhere",
        (make_order, checkout(), deliver),
        foreign_refund,
        OrderStatus.PARTIALLY_REFUNDED,
        ("PaymentSucceeded", "RefundProcessed"),
        1000,
        250,
    ),
]
BY_REQUEST = [scenario for scenario in SCENARIOS if scenario.name not in BY_WEBHOOK]


async def repeat(house: House, scenario: Scenario) -> None:
    await scenario.request(house)


async def recover(house: House, scenario: Scenario) -> None:
    await house.recover()


AFTERWARDS = {
    "repeated, recovered": (repeat, recover),
    "recovered, repeated": (recover, repeat),
}


@pytest.mark.parametrize("afterwards", AFTERWARDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_a_request_cut_off_anywhere_ends_as_if_it_had_not_been(
    scenario: Scenario, afterwards: str
) -> None:
    length = 0
    while True:
        length += 1
        fuse = Fuse(length)
        world = await _before(scenario)
        try:
            await scenario.request(House(world, fuse.attach))
        except Crash:
            house = House(world)
            for step in AFTERWARDS[afterwards]:
                await step(house, scenario)
            await house.deliver()
            _check(house, scenario, fuse.last)
        else:
            break
    assert length > 10


@pytest.mark.parametrize("scenario", BY_REQUEST, ids=str)
async def test_a_request_that_is_never_repeated_is_carried_out_or_undone(scenario: Scenario) -> None:
    """Recovery alone ends it; a request of which nothing was saved had no effect."""
    length = 0
    while True:
        length += 1
        fuse = Fuse(length)
        world = await _before(scenario)
        begun = len(world.orders.rows["attempt"]) + len(world.payments.rows["operation"])
        try:
            await scenario.request(House(world, fuse.attach))
        except Crash:
            house = House(world)
            saved = len(world.orders.rows["attempt"]) + len(world.payments.rows["operation"]) > begun
            await house.recover()
            if saved:
                _check(house, scenario, fuse.last)
            else:
                _check_gateway(house, fuse.last)
        else:
            break


@pytest.mark.parametrize("scenario", BY_REQUEST, ids=str)
@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER])
@pytest.mark.parametrize("call", [1, 2])
async def test_an_unknown_outcome_is_found_out(scenario: Scenario, outcome: Outcome, call: int) -> None:
    house = House(await _before(scenario))
    house.gateway.script(*[Outcome.NORMAL] * (call - 1), outcome)
    await scenario.request(house)
    house.gateway._scripted.clear()
    await house.recover()
    _check(house, scenario, str(outcome))
    await scenario.request(house)
    await house.deliver()
    _check(house, scenario, "repeated")


async def _before(scenario: Scenario) -> World:
    house = House()
    for step in scenario.before:
        await step(house)
    return house.world


def _check_gateway(house: House, where: str) -> Payment | None:
    """What is committed says what the gateway says, and the events count without gaps."""
    gateway, payments = house.gateway, house.world.payments.rows["payment"]
    assert len(gateway.intents) <= 1, where
    payment: Payment | None = payments.get(PAYMENT)
    if payment is None:
        assert not gateway.intents
        return None
    if payment.intent_id is not None:
        intent = gateway.intents[payment.intent_id]
        assert (payment.status, payment.amount_captured) == (intent.status, intent.amount_captured), where
        assert payment.amount == intent.amount, where
    given = [
        refund.amount for refund in gateway.refunds.values() if refund.status is GatewayRefundStatus.SUCCEEDED
    ]
    assert payment.amount_refunded == sum(given), where
    assert [event.sequence for event in house.log(PAYMENT)] == list(range(1, payment.sequence + 1)), where
    return payment


def _check(house: House, scenario: Scenario, where: str) -> None:
    payment = _check_gateway(house, where)
    assert payment is not None, where
    assert (payment.amount_captured, payment.amount_refunded) == (scenario.captured, scenario.refunded), where
    assert tuple(event.type for event in house.log(PAYMENT)) == scenario.events, where
    assert (payment.in_flight, payment.operation_unknown, payment.amount_refunding) == (None, False, 0), where
    assert payment.attention is None, where
    order = house.saved_order(ORDER)
    assert order.status is scenario.order, where
    assert (order.amount_paid, order.amount_refunded) == (scenario.captured, scenario.refunded), where
    assert all(attempt.status == "DONE" for attempt in house.world.orders.rows["attempt"].values()), where
    assert not any(operation.open for operation in house.world.payments.rows["operation"].values()), where
