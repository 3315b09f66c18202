"""Taking authorized funds: whole, in part, in parts, too late, twice at once."""

from datetime import timedelta

import pytest

from domain.orders.status import OrderStatus
from domain.payments.errors import (
    AuthorizationExpired,
    CaptureExceedsAuthorized,
    MulticaptureUnavailable,
    OperationInFlight,
    PaymentStateForbids,
)
from domain.payments.gateway import AUTHORIZATION_EXPIRED, IntentStatus
from domain.payments.operation import OperationStatus
from domain.payments.payment import Payment
from domain.shared.payment_events import PaymentCanceled, PaymentCaptured
from tests.support.fake_gateway import HOLD, Outcome
from tests.support.house import House, all_of, types


def in_parts() -> House:
    house = House()
    house.gateway.multicapture = True
    return house


def captured(house: House, payment: Payment) -> list[tuple[int, int, bool]]:
    """Amount, total so far and `final` of each capture that was told."""
    return [
        (event.amount, event.amount_captured, event.final)
        for event in house.log(payment.payment_id)
        if isinstance(event, PaymentCaptured)
    ]


async def tell(house: House, payment: Payment) -> None:
    """The webhook of what the gateway holds now."""
    intent = house.gateway.intents[payment.intent_id or ""]
    await house.webhook(house.gateway.webhook("payment_intent.any", intent))


async def test_a_final_partial_capture_releases_the_rest() -> None:
    house = House()
    payment = await house.capture(await house.authorized(), 700)
    assert (payment.status, payment.amount_captured, payment.amount_capturable) == ("SUCCEEDED", 700, 0)
    assert payment.capture_before is None
    assert captured(house, payment) == [(700, 700, True)]
    with pytest.raises(PaymentStateForbids):
        await house.capture(payment, 100)
    await house.deliver()
    order = house.saved_order(payment.order_id)
    assert (order.status, order.attention) == (OrderStatus.PAID, "CAPTURED_LESS_THAN_TOTAL")


async def test_captures_in_parts_are_told_one_by_one_and_the_last_pays_the_order() -> None:
    house = in_parts()
    payment = await house.authorized()
    assert payment.multicapture
    for amount, left in ((300, 700), (200, 500)):
        payment = await house.capture(payment, amount, final=False)
        assert (payment.status, payment.amount_capturable) == (IntentStatus.REQUIRES_CAPTURE, left)
        await tell(house, payment)  # the webhook of what the answer told
    await house.deliver()
    assert house.saved_order(payment.order_id).status is OrderStatus.AUTHORIZED
    payment = await house.capture(payment)
    assert (payment.status, payment.amount_captured) == (IntentStatus.SUCCEEDED, 1000)
    assert captured(house, payment) == [(300, 300, False), (200, 500, False), (500, 1000, True)]
    assert [event.sequence for event in house.log()] == [1, 2, 3, 4]
    await house.deliver()
    order = house.saved_order(payment.order_id)
    assert (order.status, order.amount_paid, order.attention) == (OrderStatus.PAID, 1000, None)


async def test_a_part_captured_before_may_be_refunded_while_the_rest_is_held() -> None:
    house = in_parts()
    payment = await house.capture(await house.authorized(), 300, final=False)
    assert (await house.refund(payment, 300)).status == "SUCCEEDED"
    payment = await house.capture(payment, 700)
    assert (payment.amount_captured, payment.amount_refunded) == (1000, 300)


async def test_what_is_left_after_a_part_is_voided_by_a_cancellation() -> None:
    house = in_parts()
    payment = await house.capture(await house.authorized(), 300, final=False)
    payment = await house.cancel(payment)
    assert (payment.status, payment.amount_captured, payment.amount_capturable) == ("SUCCEEDED", 300, 0)
    assert captured(house, payment) == [(300, 300, False), (0, 300, True)]


async def test_without_the_gateway_s_grant_there_is_one_capture_only() -> None:
    house = in_parts()
    order = await house.order()
    payment = await house.pay(order, "pm_card_credit_disableEnterpriseCardFeatures", capture_method="MANUAL")
    assert not payment.multicapture
    with pytest.raises(MulticaptureUnavailable):
        await house.capture(payment, 300, final=False)
    assert (await house.capture(payment, 300)).amount_captured == 300


async def test_a_capture_of_the_wrong_payment_is_refused_before_anything_is_sent() -> None:
    house = House()
    held, paid = await house.authorized(), await house.paid()
    canceled = await house.cancel(await house.authorized())
    sent = len(house.gateway.sent)
    for payment, amount, error in (
        (held, 1001, CaptureExceedsAuthorized),
        (held, 2**53 - 1, CaptureExceedsAuthorized),
        (paid, 100, PaymentStateForbids),
        (canceled, 100, PaymentStateForbids),
    ):
        with pytest.raises(error):
            await house.capture(payment, amount)
    assert len(house.gateway.sent) == sent


async def test_a_capture_after_the_lapse_tells_that_it_has_lapsed() -> None:
    house = House()
    payment = await house.authorized()
    house.clock.advance(seconds=HOLD.total_seconds())
    house.gateway.lapse(payment.intent_id or "")  # and its webhook is late
    for _ in range(2):
        with pytest.raises(AuthorizationExpired):
            await house.capture(payment)
    saved = house.payment(payment.payment_id)
    assert (saved.status, saved.cancellation_reason) == (IntentStatus.CANCELED, AUTHORIZATION_EXPIRED)
    assert saved.in_flight is None
    await tell(house, payment)
    assert types(house.log()) == ["PaymentAuthorized", "PaymentCanceled"]


async def test_a_capture_the_gateway_refuses_as_too_late_before_it_lapses_the_intent() -> None:
    house = House()
    payment = await house.authorized()
    house.clock.advance(seconds=HOLD.total_seconds())
    with pytest.raises(AuthorizationExpired):
        await house.capture(payment)
    assert house.payment(payment.payment_id).status is IntentStatus.REQUIRES_CAPTURE


async def test_a_capture_whose_answer_was_lost_and_that_the_lapse_forestalled_failed() -> None:
    house = House()
    payment = await house.authorized()
    house.gateway.script(Outcome.UNKNOWN_BEFORE)
    assert (await house.capture(payment, request_id="c")).operation_unknown
    house.clock.advance(seconds=HOLD.total_seconds())
    house.gateway.lapse(payment.intent_id or "")
    await house.recover()
    assert house.world.payments.rows["operation"]["c-capture"].status is OperationStatus.FAILED
    with pytest.raises(AuthorizationExpired):
        await house.capture(payment, request_id="c")
    assert types(house.log()) == ["PaymentAuthorized", "PaymentCanceled"]
    canceled = house.log()[-1]
    assert isinstance(canceled, PaymentCanceled)
    assert canceled.reason == AUTHORIZATION_EXPIRED


async def test_what_somebody_forestalled_at_the_gateway_is_not_sent_again() -> None:
    """In the dashboard, while we did not know what had become of our own call."""
    for status, call in (
        (IntentStatus.CANCELED, "capture"),
        (IntentStatus.SUCCEEDED, "cancel"),
    ):
        house = House()
        payment = await house.authorized()
        house.gateway.script(Outcome.UNKNOWN_BEFORE)
        await getattr(house, call)(payment, request_id="c")
        taken = 900 if status is IntentStatus.SUCCEEDED else 0
        house.gateway.put_intent(
            payment.intent_id or "", status=status, amount_capturable=0, amount_captured=taken
        )
        sent = len(house.gateway.sent)
        await house.recover()
        assert len(house.gateway.sent) == sent
        assert house.world.payments.rows["operation"][f"c-{call}"].status is OperationStatus.FAILED
        with pytest.raises(PaymentStateForbids):
            await getattr(house, call)(payment, request_id="c")
        saved = house.payment(payment.payment_id)
        assert (saved.status, saved.amount_captured, saved.attention) == (status, taken, None)


async def test_a_capture_that_came_before_the_lapse_stands() -> None:
    house = in_parts()
    payment = await house.authorized()
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    await house.capture(payment, 400, final=False, request_id="c")
    house.clock.advance(seconds=HOLD.total_seconds())
    house.gateway.lapse(payment.intent_id or "")
    await house.recover()
    assert house.world.payments.rows["operation"]["c-capture"].status is OperationStatus.SUCCEEDED
    assert captured(house, payment) == [(400, 400, True)]


async def test_a_part_whose_capture_was_lost_is_taken_once_though_a_refund_came_between() -> None:
    """The refund changes the payment, and tells nothing of the capture."""
    house = in_parts()
    payment = await house.capture(await house.authorized(), 300, final=False)
    house.gateway.script(Outcome.UNKNOWN_BEFORE)
    await house.capture(payment, 200, final=False)
    await house.refund(payment, 100)
    await house.recover()
    saved = house.payment(payment.payment_id)
    assert (saved.amount_captured, saved.amount_refunded, saved.operation_unknown) == (500, 100, False)
    assert captured(house, payment) == [(300, 300, False), (200, 500, False)]


async def test_a_capture_lost_for_a_day_is_looked_up_and_not_repeated() -> None:
    for lost, status, amount in (
        (Outcome.UNKNOWN_AFTER, OperationStatus.SUCCEEDED, 600),
        (Outcome.UNKNOWN_BEFORE, OperationStatus.FAILED, 0),
    ):
        house = House()
        payment = await house.authorized()
        house.gateway.script(lost)
        await house.capture(payment, 600, request_id="c")
        sent = len(house.gateway.sent)
        house.clock.advance(hours=25)
        await house.recover()
        assert len(house.gateway.sent) == sent
        assert house.world.payments.rows["operation"]["c-capture"].status is status
        saved = house.payment(payment.payment_id)
        assert (saved.amount_captured, saved.in_flight) == (amount, None)
        assert house.gateway.intents[payment.intent_id or ""].amount_captured == amount


async def test_two_captures_at_once_take_the_money_once() -> None:
    house = House()
    payment = await house.authorized()
    results = await all_of(house.capture(payment, 600), house.capture(payment, 600))
    refused = [result for result in results if isinstance(result, Exception)]
    assert len(refused) == 1
    assert isinstance(refused[0], OperationInFlight | PaymentStateForbids)
    assert captured(house, payment) == [(600, 600, True)]


async def test_a_capture_against_a_void_is_decided_once() -> None:
    house = House()
    payment = await house.authorized()
    results = await all_of(house.capture(payment), house.cancel(payment), house.capture(payment))
    assert sum(not isinstance(result, Exception) for result in results) == 1
    await house.recover()
    final = house.payment(payment.payment_id)
    assert final.status in (IntentStatus.SUCCEEDED, IntentStatus.CANCELED)
    assert len(house.log()) == 2


async def test_a_stale_report_of_an_earlier_part_changes_nothing() -> None:
    house = in_parts()
    payment = await house.capture(await house.authorized(), 300, final=False)
    first = house.gateway.webhook("payment_intent.any", house.gateway.intents[payment.intent_id or ""])
    await house.capture(payment, 200, final=False)
    house.clock.advance(seconds=timedelta(days=3).total_seconds())
    await house.webhook(first)
    saved = house.payment(payment.payment_id)
    assert (saved.amount_captured, saved.amount_capturable) == (500, 500)
    assert captured(house, payment) == [(300, 300, False), (200, 500, False)]
