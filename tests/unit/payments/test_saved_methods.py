"""Saving a method while paying, paying by it off session, and what is refused before anything is begun."""

from typing import Any

import pytest

from domain.payments.errors import (
    OffSessionForbidsSaving,
    PaymentMethodNotOwned,
    PaymentMethodNotSaved,
    PaymentMethodUnknown,
    StatementDescriptorInvalid,
    UserRequired,
)
from domain.payments.gateway import FutureUsage, GatewayRefused, IntentStatus
from domain.payments.payment import Payment
from domain.shared.errors import Refused
from tests.support.house import SERVICE, House, types

CHALLENGED = "pm_card_authenticationRequired"


async def saved_method(house: House, kind: str = "pm_card_visa") -> str:
    """A method that `u_1` has saved while paying."""
    await house.pay(await house.order(), setup_future_usage=FutureUsage.OFF_SESSION)
    [token] = house.gateway.methods
    house.gateway.kinds[token] = kind
    return token


async def declined_off_session(house: House, token: str) -> Payment:
    return await house.pay(await house.order(), token, off_session=True)


async def test_a_method_is_saved_while_paying_and_pays_off_session_later() -> None:
    house = House()
    token = await saved_method(house)
    paid = await house.pay(await house.order(), token, off_session=True)
    assert paid.status is IntentStatus.SUCCEEDED
    customers = {payment.gateway_customer_id for payment in house.world.payments.rows["payment"].values()}
    assert customers == {house.gateway.methods[token].gateway_customer_id}


async def test_an_off_session_decline_is_completed_by_the_customer_with_the_same_intent() -> None:
    house = House()
    token = await saved_method(house, CHALLENGED)
    declined = await declined_off_session(house, token)
    assert declined.status is IntentStatus.REQUIRES_PAYMENT_METHOD
    assert declined.last_error is not None
    assert declined.last_error.decline_code == "authentication_required"

    waiting = await house.confirm_again(declined, token)
    assert (waiting.status, waiting.intent_id) == (IntentStatus.REQUIRES_ACTION, declined.intent_id)
    done = house.gateway.complete_action(waiting.intent_id or "")
    await house.webhook(house.gateway.webhook("payment_intent.succeeded", done))
    told = ["PaymentFailed", "PaymentRequiresAction", "PaymentSucceeded"]
    assert types(house.log(declined.payment_id)) == told


async def test_a_saved_method_confirms_off_session_too() -> None:
    house = House()
    token = await saved_method(house)
    intent = await house.pay(await house.order(), None, confirm=False)
    confirmed = await house.confirm_again(intent, token, off_session=True)
    assert confirmed.status is IntentStatus.SUCCEEDED


async def test_the_payment_tells_what_its_method_is_saved_for() -> None:
    house = House()
    usage = FutureUsage.ON_SESSION
    intent = await house.pay(await house.order(), None, confirm=False, setup_future_usage=usage)
    assert intent.setup_future_usage is usage
    later = await house.pay(await house.order(), None, confirm=False)
    assert (await house.confirm_again(later, setup_future_usage=usage)).setup_future_usage is usage


@pytest.mark.parametrize(
    ("changes", "error", "pointer"),
    [
        (
            {"caller": SERVICE, "setup_future_usage": FutureUsage.ON_SESSION},
            UserRequired,
            "/setupFutureUsage",
        ),
        ({"caller": SERVICE, "off_session": True}, UserRequired, "/offSession"),
        (
            {"off_session": True, "setup_future_usage": FutureUsage.ON_SESSION},
            OffSessionForbidsSaving,
            "/offSession",
        ),
        ({"off_session": True}, PaymentMethodNotSaved, "/paymentMethodToken"),
        ({"payment_method_token": "pm_nobody"}, PaymentMethodUnknown, "/paymentMethodToken"),
        ({"payment_method_token": "pm_others"}, PaymentMethodNotOwned, "/paymentMethodToken"),
        (
            {"payment_method_token": "pm_others", "off_session": True},
            PaymentMethodNotOwned,
            "/paymentMethodToken",
        ),
        (
            {"statement_descriptor_suffix": "12"},
            StatementDescriptorInvalid,
            "/statementDescriptorSuffix",
        ),
    ],
)
async def test_what_is_refused_before_anything_is_begun(
    changes: dict[str, Any], error: type[Refused], pointer: str
) -> None:
    house = House()
    house.gateway.attach("pm_others", "cus_of_another")
    token = changes.pop("payment_method_token", "pm_card_visa")
    with pytest.raises(error) as refused:
        await house.pay(await house.order(), token, **changes)
    assert refused.value.pointer == pointer
    assert not house.world.payments.rows["payment"]
    assert house.gateway.sent == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"token": None, "off_session": True}, PaymentMethodNotSaved),
        ({"off_session": True}, PaymentMethodNotSaved),
        ({"token": "pm_nobody"}, PaymentMethodUnknown),
        ({"off_session": True, "setup_future_usage": FutureUsage.ON_SESSION}, OffSessionForbidsSaving),
    ],
)
async def test_what_a_confirmation_is_refused_for(changes: dict[str, Any], error: type[Refused]) -> None:
    house = House()
    intent = await house.pay(await house.order(), None, confirm=False)
    with pytest.raises(error):
        await house.confirm_again(intent, **changes)
    assert house.payment(intent.payment_id).in_flight is None


async def test_a_payment_whose_method_is_to_be_saved_is_not_confirmed_off_session() -> None:
    house = House()
    token = await saved_method(house)
    intent = await house.pay(
        await house.order(), None, confirm=False, setup_future_usage=FutureUsage.OFF_SESSION
    )
    with pytest.raises(OffSessionForbidsSaving):
        await house.confirm_again(intent, token, off_session=True)


async def test_a_guest_s_payment_saves_nothing_at_its_confirmation() -> None:
    house = House()
    intent = await house.pay(await house.order(caller=SERVICE), None, caller=SERVICE, confirm=False)
    for changes in ({"setup_future_usage": FutureUsage.ON_SESSION}, {"off_session": True}):
        with pytest.raises(UserRequired):
            await house.confirm_again(intent, caller=SERVICE, **changes)


async def test_the_field_that_the_gateway_refuses_is_named() -> None:
    house = House()
    refusal = GatewayRefused("email_invalid", "No.", param="receipt_email", pointer="/receiptEmail")
    house.gateway.script(refusal)
    with pytest.raises(Refused) as refused:
        await house.pay(await house.order(), receipt_email="a@b")
    assert refused.value.pointer == "/receiptEmail"
