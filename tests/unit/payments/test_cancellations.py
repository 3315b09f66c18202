"""Canceling in every state: what is not yet paid, what is under way, what nobody knows."""

import pytest

from domain.orders.status import OrderStatus
from domain.payments.errors import OperationInFlight, PaymentStateForbids
from domain.payments.gateway import CaptureMethod, IntentStatus
from domain.payments.operation import OperationStatus
from domain.shared.payment_events import PaymentCanceled
from tests.support.fake_gateway import Outcome
from tests.support.house import House, all_of, types


@pytest.mark.parametrize(
    ("token", "confirm", "capture_method", "before"),
    [
        (None, False, "AUTOMATIC", IntentStatus.REQUIRES_PAYMENT_METHOD),
        ("pm_card_visa", False, "AUTOMATIC", IntentStatus.REQUIRES_CONFIRMATION),
        ("pm_card_chargeDeclined", True, "AUTOMATIC", IntentStatus.REQUIRES_PAYMENT_METHOD),
        ("pm_card_authenticationRequired", True, "AUTOMATIC", IntentStatus.REQUIRES_ACTION),
        ("pm_card_visa", True, "MANUAL", IntentStatus.REQUIRES_CAPTURE),
    ],
)
async def test_a_payment_that_took_nothing_is_canceled_once_with_its_reason(
    token: str | None, confirm: bool, capture_method: str, before: IntentStatus
) -> None:
    house = House()
    payment = await house.pay(
        await house.order(), token, confirm=confirm, capture_method=CaptureMethod(capture_method)
    )
    assert payment.status is before
    canceled = await house.cancel(payment, reason="changed their mind", request_id="c")
    assert (canceled.status, canceled.amount_capturable, canceled.next_action) == ("CANCELED", 0, None)
    assert (await house.cancel(payment, reason="changed their mind", request_id="c")).status == "CANCELED"
    with pytest.raises(PaymentStateForbids):
        await house.cancel(payment, request_id="d")
    told = [event for event in house.log() if isinstance(event, PaymentCanceled)]
    assert [event.reason for event in told] == ["changed their mind"]


async def test_a_paid_payment_is_not_canceled() -> None:
    house = House()
    with pytest.raises(PaymentStateForbids):
        await house.cancel(await house.paid())


async def test_a_payment_that_the_bank_is_working_on_is_canceled_only_if_the_gateway_can() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_success_de")
    with pytest.raises(PaymentStateForbids, match="cannot cancel this payment now"):
        await house.cancel(payment, reason="too late", request_id="c")
    with pytest.raises(PaymentStateForbids):
        await house.cancel(payment, reason="too late", request_id="c")
    saved = house.payment(payment.payment_id)
    assert (saved.status, saved.in_flight, saved.cancellation_reason) == ("PROCESSING", None, None)


async def test_a_cancellation_that_the_payment_forestalled_tells_its_state() -> None:
    """The customer paid through the client secret, and the webhook is late."""
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    house.gateway.complete_action(payment.intent_id or "")
    with pytest.raises(PaymentStateForbids, match="SUCCEEDED"):
        await house.cancel(payment)
    assert types(house.log()) == ["PaymentRequiresAction", "PaymentSucceeded"]


async def test_a_confirmation_that_nobody_knows_of_gives_way_to_a_cancellation() -> None:
    for arrived in (False, True):
        house = House()
        payment = await house.authorized_later()
        house.gateway.script(Outcome.UNKNOWN_AFTER if arrived else Outcome.UNKNOWN_BEFORE)
        payment = await house.confirm_again(payment, request_id="a")
        assert payment.operation_unknown
        canceled = await house.cancel(payment)
        assert (canceled.status, canceled.operation_unknown) == (IntentStatus.CANCELED, False)
        await house.recover()
        assert house.world.payments.rows["operation"]["a-confirm"].status is OperationStatus.SUCCEEDED
        assert sum(request.path == "confirm" for request, _ in house.gateway.sent) == 1
        assert types(house.log()) == ["PaymentCanceled"]


async def test_a_confirmation_that_gave_way_is_not_repeated_while_the_cancellation_is_unknown_too() -> None:
    house = House()
    payment = await house.pay(await house.order(), None, confirm=False)
    house.gateway.script(Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_BEFORE)
    payment = await house.confirm_again(payment, request_id="a")
    assert (await house.cancel(payment)).operation_unknown
    await house.recover()
    assert sum(request.path == "confirm" for request, _ in house.gateway.sent) == 1
    assert house.payment(payment.payment_id).status is IntentStatus.CANCELED
    assert types(house.log()) == ["PaymentCanceled"]
    assert not any(operation.open for operation in house.world.payments.rows["operation"].values())


async def test_a_payment_whose_creation_nobody_knows_of_is_found_and_canceled() -> None:
    house = House()
    order = await house.order()
    for outcome in (Outcome.UNKNOWN_AFTER, Outcome.UNKNOWN_BEFORE):
        house.gateway.script(outcome)
        payment = await house.pay(order)
        assert payment.intent_id is None
        assert (await house.cancel(payment)).status is IntentStatus.CANCELED
    await house.recover()
    assert [intent.status for intent in house.gateway.intents.values()] == [IntentStatus.CANCELED] * 2
    assert not any(request.path == "confirm" for request, _ in house.gateway.sent)


async def test_a_cancellation_waits_while_the_creation_cannot_be_looked_up() -> None:
    house = House()
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    payment = await house.pay(await house.order())
    house.gateway.down = True
    with pytest.raises(OperationInFlight):
        await house.cancel(payment, request_id="c")
    house.gateway.down = False
    assert (await house.cancel(payment, request_id="c")).status is IntentStatus.CANCELED


async def test_a_cancellation_whose_answer_was_lost_is_done_once() -> None:
    for outcome in (Outcome.UNKNOWN_AFTER, Outcome.UNKNOWN_BEFORE):
        house = House()
        payment = await house.authorized()
        house.gateway.script(outcome)
        assert (await house.cancel(payment, reason="no stock")).operation_unknown
        await house.recover()
        saved = house.payment(payment.payment_id)
        assert (saved.status, saved.cancellation_reason) == (IntentStatus.CANCELED, "no stock")
        assert types(house.log()) == ["PaymentAuthorized", "PaymentCanceled"]
        assert house.saved_order(payment.order_id).status is OrderStatus.PAYMENT_FAILED


async def test_two_cancellations_at_once_are_one() -> None:
    house = House()
    payment = await house.authorized()
    results = await all_of(house.cancel(payment), house.cancel(payment))
    assert sum(isinstance(result, OperationInFlight | PaymentStateForbids) for result in results) == 1
    assert types(house.log()) == ["PaymentAuthorized", "PaymentCanceled"]
