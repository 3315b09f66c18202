"""The amount of a payment follows its order, until somebody confirms it."""

import pytest

from domain.orders.status import OrderStatus
from domain.payments.errors import (
    GatewayRefusedRequest,
    OperationInFlight,
    OrderTermsDiffer,
    PaymentNotFound,
    PaymentStateForbids,
)
from domain.payments.gateway import GatewayRefused, IntentStatus
from domain.payments.operation import OperationStatus
from domain.payments.payment import Payment
from tests.support.fake_gateway import Outcome
from tests.support.house import CUSTOMER, STRANGER, House, all_of, types


async def unconfirmed(house: House, token: str | None = None) -> Payment:
    return await house.pay(await house.order(), token, confirm=False)


async def test_a_payment_follows_its_order_and_then_pays_it() -> None:
    house = House()
    payment = await unconfirmed(house)
    changed = await house.change(payment, 1500, description="Two boards")
    assert (changed.amount, changed.description, changed.status) == (1500, "Two boards", payment.status)
    assert house.gateway.intents[payment.intent_id or ""].amount == 1500
    assert house.log() == []
    paid = await house.confirm_again(changed)
    assert (paid.amount_captured, paid.attention) == (1500, None)
    await house.deliver()
    assert house.saved_order(payment.order_id).status is OrderStatus.PAID


@pytest.mark.parametrize("token", ["pm_card_visa", "pm_card_chargeDeclined"])
async def test_a_payment_that_waits_for_its_next_attempt_may_change(token: str) -> None:
    house = House()
    payment = await house.pay(await house.order(), token, confirm=token == "pm_card_chargeDeclined")
    assert (await house.change(payment, 900)).amount == 900
    assert (await house.confirm_again(payment)).amount_captured == 900


@pytest.mark.parametrize(
    ("token", "method"),
    [
        ("pm_card_authenticationRequired", "AUTOMATIC"),
        ("pm_success_de", "AUTOMATIC"),
        ("pm_card_visa", "MANUAL"),
        ("pm_card_visa", "AUTOMATIC"),
    ],
)
async def test_a_confirmed_payment_stays_as_it_is(token: str, method: str) -> None:
    house = House()
    payment = await house.pay(await house.order(), token, capture_method=method)
    sent = len(house.gateway.sent)
    with pytest.raises(PaymentStateForbids):
        await house.change(payment, 1500)
    assert len(house.gateway.sent) == sent


async def test_the_order_must_want_just_this_amount() -> None:
    house = House()
    payment = await unconfirmed(house)
    with pytest.raises(OrderTermsDiffer) as differs:
        await house.change(payment, 1500, asked=1400)
    assert differs.value.pointer == "/amount"
    with pytest.raises(PaymentNotFound):
        await house.change(payment, 1500, caller=STRANGER)
    assert house.payment(payment.payment_id).amount == 1000


async def test_an_update_is_done_once_per_request() -> None:
    house = House()
    payment = await unconfirmed(house)
    for _ in range(2):
        assert (await house.change(payment, 1500, request_id="u")).amount == 1500
    assert sum(request.path == "update" for request, _ in house.gateway.sent) == 1
    await all_of(house.change(payment, 1600, request_id="v"), house.change(payment, 1600, request_id="v"))
    await house.recover()
    assert sum(request.path == "update" for request, _ in house.gateway.performed.values()) == 2


@pytest.mark.parametrize("arrived", [True, False])
async def test_an_update_whose_answer_was_lost_is_looked_up(arrived: bool) -> None:
    house = House()
    payment = await unconfirmed(house)
    house.gateway.script(Outcome.UNKNOWN_AFTER if arrived else Outcome.UNKNOWN_BEFORE)
    waiting = await house.change(payment, 1500, request_id="u")
    assert (waiting.amount, waiting.operation_unknown) == (1000, True)
    with pytest.raises(OperationInFlight):
        await house.confirm_again(payment)
    await house.recover()
    saved = house.payment(payment.payment_id)
    assert (saved.amount, saved.operation_unknown, saved.attention) == (1500, False, None)
    assert sum(request.path == "update" for request, _ in house.gateway.sent) == (1 if arrived else 2)


async def test_an_update_lost_for_a_day_is_not_repeated() -> None:
    house = House()
    payment = await unconfirmed(house)
    house.gateway.script(Outcome.UNKNOWN_BEFORE)
    await house.change(payment, 1500, request_id="u")
    sent = len(house.gateway.sent)
    house.clock.advance(hours=25)
    await house.recover()
    assert len(house.gateway.sent) == sent
    assert house.world.payments.rows["operation"]["u-update"].status is OperationStatus.FAILED
    assert house.payment(payment.payment_id).amount == 1000
    with pytest.raises(GatewayRefusedRequest):
        await house.change(payment, 1500, request_id="u")


async def test_a_customer_who_pays_while_the_update_is_unknown_pays_the_new_amount_unflagged() -> None:
    """Through the client secret; the webhook is the first to tell of both."""
    house = House()
    payment = await unconfirmed(house, "pm_card_visa")
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    await house.change(payment, 1500)
    paid = house.gateway.complete_action(payment.intent_id or "")
    await house.webhook(house.gateway.webhook("payment_intent.succeeded", paid))
    saved = house.payment(payment.payment_id)
    assert (saved.amount, saved.amount_captured, saved.attention) == (1500, 1500, None)
    await house.recover()
    assert types(house.log()) == ["PaymentSucceeded"]
    assert house.saved_order(payment.order_id).status is OrderStatus.PAID


async def test_a_customer_who_paid_the_old_amount_first_forestalls_the_update() -> None:
    house = House()
    payment = await unconfirmed(house, "pm_card_visa")
    house.gateway.complete_action(payment.intent_id or "")
    with pytest.raises(PaymentStateForbids, match="SUCCEEDED"):
        await house.change(payment, 1500)
    saved = house.payment(payment.payment_id)
    assert (saved.amount, saved.status, saved.in_flight) == (1000, IntentStatus.SUCCEEDED, None)
    await house.deliver()
    assert house.saved_order(payment.order_id).attention == "AMOUNT_MISMATCH"


async def test_the_same_where_the_answer_was_lost() -> None:
    house = House()
    payment = await unconfirmed(house, "pm_card_visa")
    house.gateway.script(Outcome.UNKNOWN_BEFORE)
    await house.change(payment, 1500, request_id="u")
    house.gateway.complete_action(payment.intent_id or "")
    await house.recover()
    assert house.world.payments.rows["operation"]["u-update"].status is OperationStatus.FAILED
    assert house.payment(payment.payment_id).amount_captured == 1000


async def test_what_the_gateway_refuses_changes_nothing() -> None:
    house = House()
    payment = await unconfirmed(house)
    house.gateway.script(GatewayRefused("amount_too_small", "Too small.", param="amount"))
    with pytest.raises(GatewayRefusedRequest):
        await house.change(payment, 1500)
    saved = house.payment(payment.payment_id)
    assert (saved.amount, saved.in_flight) == (1000, None)
    assert (await house.refresh_payment(CUSTOMER, payment.payment_id)).attention is None


async def test_an_update_gives_way_to_a_cancellation() -> None:
    house = House()
    payment = await unconfirmed(house)
    house.gateway.script(Outcome.UNKNOWN_BEFORE)
    await house.change(payment, 1500, request_id="u")
    assert (await house.cancel(payment)).status is IntentStatus.CANCELED
    await house.recover()
    assert house.world.payments.rows["operation"]["u-update"].status is OperationStatus.FAILED
    assert types(house.log()) == ["PaymentCanceled"]
