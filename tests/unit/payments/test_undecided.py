"""A gateway whose word stays out, or cannot be read: nothing is guessed, and a person is called."""

from typing import Any

import pytest

from domain.payments.gateway import GatewayUnreadable, IntentStatus
from domain.payments.payment import Payment
from domain.payments.refund import RefundStatus
from tests.support.fake_gateway import Outcome
from tests.support.house import House, types

STRANGE = GatewayUnreadable("an unknown status")


async def test_an_answer_that_cannot_be_read_calls_for_a_person_at_once_and_moves_nothing() -> None:
    house = House()
    held = await house.authorized()
    house.gateway.script(STRANGE)
    payment = await house.capture(held)
    assert (payment.status, payment.operation_unknown) == (IntentStatus.REQUIRES_CAPTURE, True)
    saved = house.payment(held.payment_id)
    assert (saved.attention, saved.amount_captured) == ("OPERATION_UNKNOWN", 0)
    assert types(house.log()) == ["PaymentAuthorized"]

    await house.recover()
    saved = house.payment(held.payment_id)
    assert (saved.status, saved.amount_captured) == (IntentStatus.SUCCEEDED, 1000)
    assert (saved.operation_unknown, saved.attention) == (False, None)


async def test_a_refund_s_too() -> None:
    house = House()
    payment = await house.paid()
    house.gateway.script(STRANGE)
    refund = await house.refund(payment, 400)
    assert (refund.status, refund.operation_unknown) == (RefundStatus.PENDING, True)
    assert house.payment(payment.payment_id).attention == "OPERATION_UNKNOWN"
    await house.recover()
    assert house.payment(payment.payment_id).attention is None


@pytest.mark.parametrize(("minutes", "attention"), [(14, None), (16, "OPERATION_UNKNOWN")])
async def test_an_outcome_that_is_out_for_long_calls_for_a_person(
    minutes: int, attention: str | None
) -> None:
    house = House()
    held = await house.authorized()
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    await house.capture(held)
    assert house.payment(held.payment_id).attention is None
    house.gateway.down = True
    house.clock.advance(minutes=minutes)
    await house.recover_operations()
    assert house.payment(held.payment_id).attention == attention
    house.gateway.down = False
    await house.recover()
    assert house.payment(held.payment_id).attention is None


async def test_a_broken_rule_takes_its_place_and_stays() -> None:
    house = House()
    held = await house.authorized()
    house.gateway.script(STRANGE)
    await house.capture(held)
    taken = house.gateway.put_intent(
        held.intent_id or "", status=IntentStatus.SUCCEEDED, amount_captured=1200, amount_capturable=0
    )
    await house.webhook(house.gateway.webhook("payment_intent.succeeded", taken))
    await house.recover()
    saved = house.payment(held.payment_id)
    assert (saved.attention, saved.operation_unknown) == ("CAPTURE_EXCEEDS_AUTHORIZED", False)


async def test_a_creation_answered_in_strange_words_is_found_and_never_made_twice() -> None:
    house = House()
    order = await house.order()
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    get_intent = house.gateway.find_intent

    async def strange(*_: Any, **__: Any) -> Any:
        raise STRANGE

    house.gateway.find_intent = strange  # type: ignore[method-assign]
    payment = await house.pay(order, request_id="p")
    await house.recover()
    flagged: Payment = house.payment(payment.payment_id)
    assert (flagged.attention, flagged.intent_id) == ("OPERATION_UNKNOWN", None)
    house.gateway.find_intent = get_intent  # type: ignore[method-assign]
    await house.recover()
    assert house.payment(payment.payment_id).attention is None
    assert len(house.gateway.intents) == 1
