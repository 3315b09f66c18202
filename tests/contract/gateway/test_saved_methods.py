"""Saving a method while paying, and paying by it when the customer is not there."""

import pytest

from domain.payments.errors import StatementDescriptorInvalid
from domain.payments.gateway import (
    FutureUsage,
    GatewayMethod,
    GatewayRefused,
    IntentSnapshot,
    IntentStatus,
    PaymentGateway,
)
from domain.shared.errors import Malformed
from tests.contract.gateway.bench import Bench
from tests.contract.gateway.test_gateway_contract import RETURN_URL, confirm, create, intent_of, new_key, pay


async def confirm_off_session(gateway: PaymentGateway, intent_id: str, token: str) -> IntentSnapshot:
    request = gateway.prepare_confirm(
        intent_id, payment_method_token=token, return_url=RETURN_URL, off_session=True
    )
    return await intent_of(gateway, request)


@pytest.mark.parametrize("usage", list(FutureUsage))
async def test_the_intent_tells_what_its_method_is_saved_for(
    gateway: PaymentGateway, usage: FutureUsage
) -> None:
    owner = await gateway.create_customer("u_1", None, new_key())
    paid = await pay(gateway, gateway_customer_id=owner, setup_future_usage=usage)
    assert (paid.status, paid.setup_future_usage) == (IntentStatus.SUCCEEDED, usage)
    assert (await pay(gateway, gateway_customer_id=owner)).setup_future_usage is None


async def test_saving_can_be_asked_for_at_the_confirmation(gateway: PaymentGateway) -> None:
    owner = await gateway.create_customer("u_1", None, new_key())
    intent = await create(gateway, gateway_customer_id=owner)
    request = gateway.prepare_confirm(
        intent.intent_id,
        payment_method_token="pm_card_visa",
        return_url=RETURN_URL,
        setup_future_usage=FutureUsage.ON_SESSION,
    )
    assert (await intent_of(gateway, request)).setup_future_usage is FutureUsage.ON_SESSION


async def test_a_saved_method_pays_off_session(bench: Bench) -> None:
    owner = await bench.gateway.create_customer("u_1", None, new_key())
    token = bench.save_method(owner)
    intent = await create(bench.gateway, gateway_customer_id=owner)
    paid = await confirm_off_session(bench.gateway, intent.intent_id, token)
    assert paid.status is IntentStatus.SUCCEEDED


async def test_what_needs_the_customer_is_declined_and_completed_with_them_later(bench: Bench) -> None:
    owner = await bench.gateway.create_customer("u_1", None, new_key())
    token = bench.save_method(owner, kind="pm_card_authenticationRequired")
    intent = await create(bench.gateway, gateway_customer_id=owner)
    declined = await confirm_off_session(bench.gateway, intent.intent_id, token)
    assert declined.status is IntentStatus.REQUIRES_PAYMENT_METHOD
    assert declined.last_error is not None
    assert (declined.last_error.code, declined.last_error.decline_code) == ("authentication_required",) * 2

    waiting = await confirm(bench.gateway, intent.intent_id, token)
    assert waiting.status is IntentStatus.REQUIRES_ACTION
    bench.authenticate(waiting, passes=True)
    assert (await bench.gateway.get_intent(intent.intent_id)).status is IntentStatus.SUCCEEDED


async def test_nothing_is_saved_off_session(bench: Bench) -> None:
    owner = await bench.gateway.create_customer("u_1", None, new_key())
    token = bench.save_method(owner)
    intent = await create(
        bench.gateway, gateway_customer_id=owner, setup_future_usage=FutureUsage.OFF_SESSION
    )
    with pytest.raises(GatewayRefused) as refused:
        await confirm_off_session(bench.gateway, intent.intent_id, token)
    assert refused.value.param == "off_session"


async def test_a_receipt_and_the_statement(gateway: PaymentGateway) -> None:
    gateway.check_descriptor_suffix("OAK 2")
    paid = await pay(gateway, receipt_email="ada@example.org", statement_descriptor_suffix="OAK 2")
    assert paid.status is IntentStatus.SUCCEEDED
    for suffix in ("x" * 19, "12", "OAK*"):
        with pytest.raises(StatementDescriptorInvalid):
            gateway.check_descriptor_suffix(suffix)


async def methods_of(gateway: PaymentGateway, customer_id: str) -> list[str]:
    page = await gateway.list_methods(customer_id, after=None, limit=100)
    assert not page.more
    return [method.token for method in page.methods]


async def test_what_is_shown_of_a_saved_method(bench: Bench) -> None:
    owner = await bench.gateway.create_customer("u_1", None, new_key())
    token = bench.save_method(owner)
    page = await bench.gateway.list_methods(owner, after=None, limit=10)
    [method] = page.methods
    assert (method.token, method.type, method.brand, method.last4) == (token, "card", "visa", "4242")
    assert (method.exp_month, method.exp_year) == (12, 2034)
    assert method.created_at.tzinfo is not None


async def test_methods_come_newest_first_and_page_by_page(bench: Bench) -> None:
    owner = await bench.gateway.create_customer("u_1", None, new_key())
    bench.save_method(await bench.gateway.create_customer("u_2", None, new_key()))
    saved = [bench.save_method(owner) for _ in range(3)]
    first = await bench.gateway.list_methods(owner, after=None, limit=2)
    assert ([method.token for method in first.methods], first.more) == ([saved[2], saved[1]], True)
    rest = await bench.gateway.list_methods(owner, after=saved[1], limit=2)
    assert ([method.token for method in rest.methods], rest.more) == ([saved[0]], False)
    with pytest.raises(Malformed):
        await bench.gateway.list_methods(owner, after="pm_nobody", limit=2)


async def test_a_method_is_saved_by_the_payment_that_asked_for_it(gateway: PaymentGateway) -> None:
    owner = await gateway.create_customer("u_1", None, new_key())
    await pay(gateway, gateway_customer_id=owner)
    assert await methods_of(gateway, owner) == []
    await pay(gateway, gateway_customer_id=owner, setup_future_usage=FutureUsage.ON_SESSION)
    assert len(await methods_of(gateway, owner)) == 1


async def test_a_detached_method_is_nobody_s_and_pays_no_more(bench: Bench) -> None:
    owner = await bench.gateway.create_customer("u_1", None, new_key())
    token, kept = bench.save_method(owner), bench.save_method(owner)
    for _ in range(2):
        await bench.gateway.detach_method(token)
        assert await bench.gateway.find_method(token) == GatewayMethod(token, None)
    assert await methods_of(bench.gateway, owner) == [kept]
    with pytest.raises(GatewayRefused):
        await pay(bench.gateway, token, gateway_customer_id=owner)


async def test_a_deleted_customer_has_no_methods_and_no_payments(bench: Bench) -> None:
    owner = await bench.gateway.create_customer("u_1", None, new_key())
    bench.save_method(owner)
    bench.delete_customer(owner)
    assert await methods_of(bench.gateway, owner) == []
    with pytest.raises(GatewayRefused) as refused:
        await create(bench.gateway, gateway_customer_id=owner)
    assert (refused.value.code, refused.value.param) == ("resource_missing", "customer")
