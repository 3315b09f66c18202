"""Saving a method while paying, paying by it off session, and what is refused before anything is begun."""

from dataclasses import replace
from typing import Any

import pytest

from domain.payments.errors import (
    GatewayUnavailable,
    OffSessionForbidsSaving,
    PaymentMethodNotFound,
    PaymentMethodNotOwned,
    PaymentMethodNotSaved,
    PaymentMethodUnknown,
    StatementDescriptorInvalid,
    UserRequired,
)
from domain.payments.gateway import FutureUsage, GatewayRefused, IntentStatus
from domain.payments.payment import Payment
from domain.payments.routing import Account, Gateways
from domain.shared.callers import Caller
from domain.shared.errors import Malformed, Refused
from tests.support.fake_gateway import FakeGateway
from tests.support.house import CUSTOMER, SERVICE, STRANGER, House, types

CHALLENGED = "pm_card_authenticationRequired"


async def saved_method(house: House, kind: str = "pm_card_visa") -> str:
    """A method that `u_1` has saved while paying."""
    await house.pay(await house.order(), setup_future_usage=FutureUsage.OFF_SESSION)
    [token] = house.gateway.methods.owners
    house.gateway.methods.kinds[token] = kind
    return token


async def declined_off_session(house: House, token: str) -> Payment:
    return await house.pay(await house.order(), token, off_session=True)


async def test_a_method_is_saved_while_paying_and_pays_off_session_later() -> None:
    house = House()
    token = await saved_method(house)
    paid = await house.pay(await house.order(), token, off_session=True)
    assert paid.status is IntentStatus.SUCCEEDED
    customers = {payment.gateway_customer_id for payment in house.world.payments.rows["payment"].values()}
    assert customers == {house.gateway.methods.owners[token]}


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


async def listed(house: House, caller: Caller = CUSTOMER, **changes: Any) -> tuple[list[str], str | None]:
    fields: dict[str, Any] = {"user_id": None, "after": None, "limit": 10, **changes}
    methods, place = await house.list_saved_methods(caller, **fields)
    return [method.token for method in methods], place


async def test_methods_are_listed_page_by_page_for_their_user_only() -> None:
    house = House()
    token = await saved_method(house)
    house.gateway.attach("pm_second", house.gateway.methods.owners[token] or "")
    assert await listed(house) == (["pm_second", token], None)
    assert await listed(house, SERVICE, user_id="u_1") == (["pm_second", token], None)
    first, place = await listed(house, limit=1)
    assert first == ["pm_second"]
    assert await listed(house, limit=1, after=place) == ([token], None)

    assert await listed(house, STRANGER) == ([], None)
    assert await listed(house, STRANGER, user_id="u_1") == ([], None)
    guest = replace(CUSTOMER, order_id="ord_1")
    assert await listed(house, guest) == ([], None)
    with pytest.raises(UserRequired):
        await listed(house, SERVICE)
    for after in ("pm_second", "x-y", "0-pm_gone"):
        with pytest.raises(Malformed):
            await listed(house, after=after)


async def test_methods_of_two_accounts_are_one_list() -> None:
    house = House()
    second = FakeGateway(house.clock, name="second")
    gateways = Gateways([*house.list_saved_methods.gateways.accounts, Account(second, house.world.verifier)])
    house.list_saved_methods = replace(house.list_saved_methods, gateways=gateways)
    token = await saved_method(house)
    async with house.payments_uow() as uow:
        await uow.customers.put("second", "u_1", "cus_there")
        await uow.commit()
    for name in ("pm_old", "pm_new"):
        second.attach(name, "cus_there")
    everything = [token, "pm_new", "pm_old"]
    assert await listed(house) == (everything, None)
    for limit in (1, 2, 3):
        tokens: list[str] = []
        place: str | None = None
        for _ in everything:
            page, place = await listed(house, limit=limit, after=place)
            tokens += page
            if place is None:
                break
        assert (tokens, place) == (everything, None)


async def test_a_method_is_detached_by_its_user_only_and_as_often_as_asked() -> None:
    house = House()
    token = await saved_method(house)
    for caller in (STRANGER, replace(CUSTOMER, order_id="ord_1")):
        with pytest.raises(PaymentMethodNotFound):
            await house.detach_saved_method(caller, token)
    for _ in range(2):
        await house.detach_saved_method(CUSTOMER, token)
    assert await listed(house) == ([], None)
    with pytest.raises(PaymentMethodNotSaved):
        await house.pay(await house.order(), token, off_session=True)

    house.gateway.attach("pm_theirs", "cus_not_ours")
    for unknown in ("pm_nobody", "pm_theirs"):
        with pytest.raises(PaymentMethodNotFound):
            await house.detach_saved_method(SERVICE, unknown)


async def test_a_gateway_that_is_down_lists_and_detaches_nothing() -> None:
    house = House()
    token = await saved_method(house)
    house.gateway.down = True
    with pytest.raises(GatewayUnavailable):
        await listed(house)
    with pytest.raises(GatewayUnavailable):
        await house.detach_saved_method(CUSTOMER, token)
