"""Whatever an order asks of its money is cut off at each step, then recovered: money, stock and order agree."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from domain.orders.cart import OrderLine
from domain.orders.effects import EffectType
from domain.orders.history import EntryKind
from domain.orders.money_policy import MoneyPolicy, OnPaidAfterCancel
from domain.orders.refunds import RefundedLine
from domain.orders.status import NOT_TO_BE_SHIPPED, OrderStatus
from domain.payments.gateway import GatewayRefundStatus, IntentStatus
from tests.support.crash import Crash, Fuse
from tests.support.fake_gateway import Outcome
from tests.support.house import RETURN_URL, SERVICE, House, World

Step = Callable[[House], Awaitable[Any]]
S = OrderStatus
ORDER, PAYMENT = "ord_order", "pay_first"
ON_HAND, PIECES = 5, 2
LINE = OrderLine(sku="OAK", name="Oak board", quantity=PIECES, unit_amount=500)
MANUAL = {"capture_method": "MANUAL"}
AUTHENTICATE = "pm_card_authenticationRequired"


@dataclass(frozen=True)
class Scenario:
    """`before` runs undisturbed; `request` is cut off; the rest is what must hold in the end."""

    name: str
    before: tuple[Step, ...]
    request: Step
    order: OrderStatus
    stock: tuple[int, int]
    """How many pieces are on hand, and how many of these are reserved."""
    captured: int = 0
    refunded: int = 0
    ships: bool = False
    """Whether the warehouse is told of it, once."""
    stops: bool = False
    """Whether it is told, once, not to ship it any more: also where it was paid while it was canceled."""

    def __str__(self) -> str:
        return self.name


# Steps


async def make_order(house: House) -> None:
    await house.count("OAK", ON_HAND)
    await house.order(request_id="order", lines=(LINE,))


def confirm(token: str | None = "pm_card_visa", **changes: Any) -> Step:
    async def step(house: House) -> None:
        await house.confirm(ORDER, token, request_id="first", **changes)

    return step


async def deliver(house: House) -> None:
    await house.deliver()


async def sweep(house: House) -> None:
    house.clock.advance(minutes=16)
    await house.recover_operations()
    await house.recover_attempts()
    await house.deliver()


async def recover(house: House) -> None:
    for _ in range(2):
        await sweep(house)


async def cancel(house: House) -> None:
    await house.call_off(ORDER, caller=SERVICE, request_id="cancel")


async def refund_amount(house: House) -> None:
    await house.refund_by_order(ORDER, request_id="refund", amount=400)


async def refund_goods(house: House) -> None:
    lines = (RefundedLine(sku="OAK", quantity=1),)
    await house.refund_by_order(ORDER, request_id="refund", lines=lines, restock=True)


async def restock(house: House) -> None:
    """Its consumer has each effect at least once."""
    for number, effect in enumerate(house.world.orders.effects):
        if effect.type is EffectType.RESTOCK:
            await house.restock_goods(effect, f"effect_{number}")


async def ship(house: House) -> None:
    await house.fulfil_order("ship", SERVICE, ORDER)


async def allow_parts(house: House) -> None:
    house.gateway.multicapture = True


async def capture_part(house: House) -> None:
    await house.capture(house.payment(PAYMENT), 400, request_id="part", final=False)


async def pay_the_draft(house: House) -> None:
    """Begun beside the checkout: the order has not heard of this payment when it is canceled."""
    order = house.saved_order(ORDER)
    await house.pay(order, AUTHENTICATE, request_id="first", return_url=RETURN_URL)


async def authenticate(house: House) -> None:
    """The customer does, and the gateway's webhook is on its way."""
    done = house.gateway.complete_action(house.payment(PAYMENT).intent_id or "")
    house.world.verifier.body(house.gateway.webhook("payment_intent.succeeded", done))


async def hear_of_it(house: House) -> None:
    for event in list(house.world.verifier.events.values()):
        await house.webhook(event)


async def reopen(house: House) -> None:
    house.world.policy = MoneyPolicy(paid_after_cancel=OnPaidAfterCancel.REOPEN)


async def wait(house: House) -> None:
    house.clock.advance(hours=1)


async def expire(house: House) -> None:
    await house.expire_checkouts()


LATE_MONEY = (make_order, pay_the_draft, cancel, authenticate, hear_of_it)
PAID = (make_order, confirm(), deliver)
KEPT, FREE = (ON_HAND, PIECES), (ON_HAND, 0)
BY_CLIENT = [
    Scenario("paid", (make_order,), confirm(), S.PAID, KEPT, 1000, ships=True),
    Scenario("declined", (make_order,), confirm("pm_card_chargeDeclined"), S.PAYMENT_FAILED, FREE),
    Scenario("a draft", (make_order,), cancel, S.CANCELED, FREE),
    Scenario("no method yet", (make_order, confirm(None), deliver), cancel, S.CANCELED, FREE),
    Scenario("not authenticated", (make_order, confirm(AUTHENTICATE), deliver), cancel, S.CANCELED, FREE),
    Scenario("authorized", (make_order, confirm(**MANUAL), deliver), cancel, S.CANCELED, FREE),
    Scenario("given back", PAID, cancel, S.CANCELED, FREE, 1000, 1000, ships=True, stops=True),
    Scenario(
        "captured a part",
        (allow_parts, make_order, confirm(**MANUAL), capture_part, deliver),
        cancel,
        S.CANCELED,
        FREE,
        400,
        400,
        stops=True,
    ),
    Scenario("an amount", PAID, refund_amount, S.PARTIALLY_REFUNDED, KEPT, 1000, 400, ships=True),
    Scenario("lines kept", PAID, refund_goods, S.PARTIALLY_REFUNDED, (5, 1), 1000, 500, ships=True),
    Scenario(
        "lines shipped", (*PAID, ship), refund_goods, S.PARTIALLY_REFUNDED, (4, 0), 1000, 500, ships=True
    ),
]
BY_ITSELF = [
    Scenario(
        "paid while it was canceled",
        (make_order, confirm(AUTHENTICATE), deliver, authenticate, cancel),
        recover,
        S.CANCELED,
        FREE,
        1000,
        1000,
        stops=True,
    ),
    Scenario("paid too late", LATE_MONEY, deliver, S.CANCELED, FREE, 1000, 1000),
    Scenario("paid too late, recovered", (*LATE_MONEY, deliver), recover, S.CANCELED, FREE, 1000, 1000),
    Scenario("reopened", (reopen, *LATE_MONEY), deliver, S.PAID, KEPT, 1000, ships=True),
    Scenario(
        "restocked", (*PAID, refund_goods, deliver), restock, S.PARTIALLY_REFUNDED, (5, 1), 1000, 500, True
    ),
    Scenario("expired", (make_order, confirm(None), wait), expire, S.CANCELED, FREE),
    Scenario("expired, recovered", (make_order, confirm(None), wait, expire), recover, S.CANCELED, FREE),
    Scenario(
        "paid as it expired",
        (make_order, confirm(AUTHENTICATE), deliver, wait, expire, authenticate),
        recover,
        S.PAID,
        KEPT,
        1000,
        ships=True,
    ),
]
"""Nobody asks for these again: what runs them does so by itself."""


async def settle(house: House) -> None:
    """The gateway's webhooks come, and all that runs by itself has its turn until nothing is left to do."""
    await hear_of_it(house)
    for _ in range(3):
        await sweep(house)
        await restock(house)


async def repeat_then_settle(house: House, scenario: Scenario) -> None:
    await scenario.request(house)
    await settle(house)


@pytest.mark.parametrize("scenario", [*BY_CLIENT, *BY_ITSELF], ids=str)
async def test_an_order_cut_off_anywhere_ends_as_its_money_does(scenario: Scenario) -> None:
    length = 0
    while True:
        length += 1
        fuse = Fuse(length)
        world = await _before(scenario)
        try:
            await scenario.request(House(world, fuse.attach))
        except Crash:
            _read_the_inbox(world)
            house = House(world)
            await repeat_then_settle(house, scenario)
            _check(house, scenario, fuse.last)
        else:
            break
    assert length > 6


@pytest.mark.parametrize("scenario", BY_CLIENT, ids=str)
async def test_what_is_not_asked_again_is_carried_out_or_was_never_asked(scenario: Scenario) -> None:
    """Asked again much later it ends the same."""
    length = 0
    while True:
        length += 1
        fuse = Fuse(length)
        world = await _before(scenario)
        order, known, sent = world.orders.rows["order"][ORDER], len(world.orders.history), world.gateway.sent
        before = list(sent)
        try:
            await scenario.request(House(world, fuse.attach))
        except Crash:
            house = House(world)
            was_asked = len(world.orders.history) > known
            await settle(house)
            if was_asked:
                _check(house, scenario, fuse.last)
            else:
                assert (house.saved_order(ORDER), sent) == (order, before), fuse.last
            await repeat_then_settle(house, scenario)
            _check(house, scenario, f"{fuse.last}, asked again")
        else:
            break


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER])
@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("scenario", BY_CLIENT, ids=str)
async def test_an_order_whose_gateway_does_not_answer_finds_out(
    scenario: Scenario, call: int, outcome: Outcome
) -> None:
    house = House(await _before(scenario))
    house.gateway.script(*[Outcome.NORMAL] * (call - 1), outcome)
    await scenario.request(house)
    await settle(house)
    _check(house, scenario, str(outcome))
    await repeat_then_settle(house, scenario)
    _check(house, scenario, "repeated")


async def _before(scenario: Scenario) -> World:
    house = House()
    for step in scenario.before:
        await step(house)
    return house.world


def _read_the_inbox(world: World) -> None:
    """What was applied is counted by the transaction that applied it, as the inbox's cursor is."""
    applied = [one for one in world.orders.history if one.entry.kind is EntryKind.EVENT]
    world.delivered = len(applied)


def _check(house: House, scenario: Scenario, where: str) -> None:
    order, gateway, rows = house.saved_order(ORDER), house.gateway, house.world.orders.rows
    assert (order.status, order.attention, order.is_canceling) == (scenario.order, None, False), where
    assert (order.amount_paid, order.amount_refunded) == (scenario.captured, scenario.refunded), where
    assert house.stock("OAK") == scenario.stock, where

    intents, refunds = list(gateway.intents.values()), list(gateway.refunds.values())
    assert len(intents) == len(order.payments) <= 1, where
    assert sum(intent.amount_captured for intent in intents) == scenario.captured, where
    assert [one.amount for one in refunds] == [scenario.refunded] * (scenario.refunded > 0), where
    assert all(refund.status is GatewayRefundStatus.SUCCEEDED for refund in refunds), where
    assert [refund.status for refund in order.refunds] == ["SUCCEEDED"] * len(refunds), where
    if order.status is S.CANCELED:
        assert scenario.captured == scenario.refunded
        assert all(one.status in (IntentStatus.CANCELED, IntentStatus.SUCCEEDED) for one in intents), where

    asked = [effect.type for effect in house.world.orders.effects]
    to_warehouse = [
        effect.about in NOT_TO_BE_SHIPPED
        for effect in house.world.orders.effects
        if effect.type is EffectType.NOTIFY_WAREHOUSE
    ]
    assert to_warehouse.count(False) == scenario.ships, where
    assert to_warehouse.count(True) == scenario.stops, where
    assert asked.count(EffectType.RESTOCK) == any(refund.restock for refund in order.refunds), where
    assert all(attempt.status != "STARTED" for attempt in rows["attempt"].values()), where
    assert not any(operation.open for operation in house.world.payments.rows["operation"].values()), where
