"""What time brings: authorizations that lapse, banks that take days, webhooks that never come."""

from datetime import timedelta

import pytest

from domain.orders.errors import OrderStateForbids
from domain.orders.status import OrderStatus
from domain.payments.errors import GatewayUnavailable, PaymentNotFound, PaymentStateForbids
from domain.payments.gateway import AUTHORIZATION_EXPIRED, IntentStatus
from domain.payments.payment import AUTHORIZATION_EXPIRING, Payment
from domain.shared.payment_events import PaymentCanceled
from tests.support.fake_gateway import HOLD
from tests.support.house import CUSTOMER, SERVICE, STRANGER, House, all_of, types


async def tell(house: House, payment: Payment) -> None:
    """The webhook of what the gateway holds now."""
    intent = house.gateway.intents[payment.intent_id or ""]
    await house.webhook(house.gateway.webhook("payment_intent.any", intent))


async def test_an_authorization_that_lapses_soon_is_warned_of_once() -> None:
    house = House()
    payment = await house.authorized()
    house.clock.advance(seconds=(HOLD - timedelta(hours=25)).total_seconds())
    assert (await house.check_payments()).warned == []
    house.clock.advance(hours=1)
    warned = (await house.check_payments()).warned
    assert [one.payment_id for one in warned] == [payment.payment_id]
    assert house.payment(payment.payment_id).attention == AUTHORIZATION_EXPIRING
    house.clock.advance(hours=1)
    assert (await house.check_payments()).warned == []


@pytest.mark.parametrize("captures", [True, False])
async def test_the_warning_goes_with_its_reason(captures: bool) -> None:
    house = House()
    payment = await house.authorized()
    house.clock.advance(days=6, hours=1)
    await house.check_payments()
    after = await (house.capture(payment) if captures else house.cancel(payment))
    assert after.attention is None


async def test_a_flag_of_money_is_not_hidden_by_the_warning() -> None:
    house = House()
    payment = await house.authorized()
    house.gateway.put_intent(payment.intent_id or "", amount=1100, amount_capturable=1100)
    await house.refresh_payment(SERVICE, payment.payment_id)
    house.clock.advance(days=6, hours=1)
    assert len((await house.check_payments()).warned) == 1
    assert house.payment(payment.payment_id).attention == "AMOUNT_MISMATCH"


async def test_many_authorizations_are_warned_of_in_one_round_by_several_processes() -> None:
    house = House()
    for _ in range(7):
        await house.authorized()
    house.clock.advance(days=6, hours=1)
    rounds = await all_of(*(house.check_payments(limit=2) for _ in range(3)))
    warned = [payment.payment_id for done in rounds for payment in done.warned]
    assert len(warned) == len(set(warned)) == 7


@pytest.mark.parametrize("by_webhook", [True, False])
async def test_a_lapse_cancels_with_its_reason_whether_or_not_the_webhook_comes(by_webhook: bool) -> None:
    house = House()
    payment = await house.authorized()
    await house.deliver()
    house.clock.advance(seconds=HOLD.total_seconds())
    house.gateway.lapse(payment.intent_id or "")
    if by_webhook:
        await tell(house, payment)
    house.clock.advance(minutes=9)
    await house.check_payments()
    assert (house.payment(payment.payment_id).status is IntentStatus.CANCELED) is by_webhook
    house.clock.advance(minutes=1)
    await house.check_payments()
    await tell(house, payment)
    assert types(house.log()) == ["PaymentAuthorized", "PaymentCanceled"]
    canceled = house.log()[-1]
    assert isinstance(canceled, PaymentCanceled)
    assert canceled.reason == AUTHORIZATION_EXPIRED
    saved = house.payment(payment.payment_id)
    assert (saved.attention, saved.check_at) == (None, None)
    await house.deliver()
    assert house.saved_order(payment.order_id).status is OrderStatus.PAYMENT_FAILED


async def test_a_lapse_after_a_part_was_captured_is_the_final_capture() -> None:
    house = House()
    house.gateway.multicapture = True
    payment = await house.capture(await house.authorized(), 400, final=False)
    house.clock.advance(seconds=HOLD.total_seconds())
    house.gateway.lapse(payment.intent_id or "")
    house.clock.advance(minutes=10)
    await house.check_payments()
    assert types(house.log()) == ["PaymentAuthorized", "PaymentCaptured", "PaymentCaptured"]
    assert (house.log()[-1].amount, house.log()[-1].amount_captured) == (0, 400)
    await house.deliver()
    order = house.saved_order(payment.order_id)
    assert (order.status, order.attention) == (OrderStatus.PAID, "CAPTURED_LESS_THAN_TOTAL")


async def test_an_authorization_that_the_gateway_still_holds_is_looked_up_ever_less_often() -> None:
    house = House()
    payment = await house.authorized()
    house.clock.advance(seconds=HOLD.total_seconds())
    looks = 0
    for _ in range(24 * 60):
        house.clock.advance(minutes=1)
        looks += len((await house.check_payments()).looked_up)
    assert 5 <= looks <= 15
    assert house.payment(payment.payment_id).status is IntentStatus.REQUIRES_CAPTURE


@pytest.mark.parametrize(("token", "paid"), [("pm_success_de", True), ("pm_failed_de", False)])
async def test_a_bank_debit_is_shown_as_processing_until_the_bank_answers(token: str, paid: bool) -> None:
    house = House()
    order = await house.order()
    checked_out = await house.confirm(order.order_id, token)
    assert checked_out.payment.status == "PROCESSING"
    await house.deliver()
    waiting = house.saved_order(order.order_id)
    assert (waiting.status, waiting.payments[0].status) == (OrderStatus.PENDING_PAYMENT, "PROCESSING")
    assert house.log() == []
    payment = house.payment(checked_out.payment.payment_id)
    house.clock.advance(days=4)
    house.gateway.settle_debit(payment.intent_id or "")
    await tell(house, payment)
    await house.deliver()
    assert types(house.log()) == ["PaymentSucceeded" if paid else "PaymentFailed"]
    order = house.saved_order(order.order_id)
    assert order.status is (OrderStatus.PAID if paid else OrderStatus.PAYMENT_FAILED)
    if not paid:
        await house.retry(order.order_id, "pm_card_visa")
        await house.deliver()
        assert house.saved_order(order.order_id).status is OrderStatus.PAID


async def test_while_the_bank_is_at_work_no_other_attempt_begins() -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id, "pm_card_chargeDeclined")
    await house.deliver()
    await house.retry(order.order_id, "pm_success_de")
    assert house.saved_order(order.order_id).payments[0].status == "PROCESSING"
    with pytest.raises((PaymentStateForbids, OrderStateForbids)):
        await house.retry(order.order_id, "pm_card_visa")
    assert house.saved_order(order.order_id).status is OrderStatus.PENDING_PAYMENT


async def test_a_bank_debit_without_news_is_looked_up() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_success_de")
    looks = 0
    for _ in range(4 * 24 * 6):
        house.clock.advance(minutes=10)
        looks += len((await house.check_payments()).looked_up)
    assert 15 <= looks <= 40
    house.gateway.settle_debit(payment.intent_id or "")
    house.gateway.down = True
    house.clock.advance(hours=6)
    assert list((await house.check_payments()).failed) == [payment.payment_id]
    house.gateway.down = False
    house.clock.advance(hours=6)
    assert (await house.check_payments()).looked_up == [payment.payment_id]
    assert types(house.log()) == ["PaymentSucceeded"]
    assert house.payment(payment.payment_id).check_at is None


@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("first", ["return", "webhook", "both"])
async def test_the_return_and_the_webhook_race_to_one_event(first: str, passes: bool) -> None:
    house = House()
    order = await house.order()
    payment = await house.pay(order, "pm_card_authenticationRequired")
    act = house.gateway.complete_action if passes else house.gateway.fail_action
    act(payment.intent_id or "")
    back, report = house.refresh_payment(CUSTOMER, payment.payment_id), tell(house, payment)
    if first == "both":
        await all_of(back, report)
    elif first == "return":
        await back
        await report
    else:
        await report
        await back
    outcome = "PaymentSucceeded" if passes else "PaymentFailed"
    assert types(house.log()) == ["PaymentRequiresAction", outcome]
    await house.deliver()
    expected = OrderStatus.PAID if passes else OrderStatus.PAYMENT_FAILED
    assert house.saved_order(order.order_id).status is expected


async def test_a_payment_is_looked_up_at_a_client_s_wish_every_two_seconds_at_most() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    assert (await house.refresh_payment(CUSTOMER, payment.payment_id)).status == "REQUIRES_ACTION"
    house.gateway.complete_action(payment.intent_id or "")
    assert (await house.refresh_payment(CUSTOMER, payment.payment_id)).status == "REQUIRES_ACTION"
    house.clock.advance(seconds=2)
    assert (await house.refresh_payment(CUSTOMER, payment.payment_id)).status == "SUCCEEDED"
    house.gateway.down = True
    assert (await house.refresh_payment(CUSTOMER, payment.payment_id)).status == "SUCCEEDED"


async def test_a_look_up_that_fails_is_said_and_one_of_others_is_not_made() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    with pytest.raises(PaymentNotFound):
        await house.refresh_payment(STRANGER, payment.payment_id)
    house.gateway.down = True
    with pytest.raises(GatewayUnavailable):
        await house.refresh_payment(CUSTOMER, payment.payment_id)


async def test_a_customer_who_comes_back_is_known_by_the_client_secret() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    house.gateway.complete_action(payment.intent_id or "")
    for intent_id, secret in (
        (payment.intent_id or "", "pi_other_secret"),
        ("pi_unknown", payment.client_secret or ""),
        (payment.intent_id or "", "gehéim"),
    ):
        with pytest.raises(PaymentNotFound):
            await house.refresh_payment.returning(intent_id, secret)
    back = await house.refresh_payment.returning(payment.intent_id or "", payment.client_secret or "")
    assert back.status is IntentStatus.SUCCEEDED


async def test_a_look_up_that_is_overtaken_is_made_again() -> None:
    """The gateway's answer was on its way while the webhook told something newer."""
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    look_up, answers = house.gateway.get_intent, []

    async def slow(intent_id: str) -> object:
        answers.append(await look_up(intent_id))
        if len(answers) == 1:
            house.gateway.complete_action(intent_id)
            house.gateway.get_intent = look_up  # type: ignore[method-assign]
            await tell(house, payment)
        return answers[0]

    house.gateway.get_intent = slow  # type: ignore[method-assign,assignment]
    refreshed = await house.refresh_payment(CUSTOMER, payment.payment_id)
    assert (refreshed.status, refreshed.attention) == (IntentStatus.SUCCEEDED, None)
    assert types(house.log()) == ["PaymentRequiresAction", "PaymentSucceeded"]
