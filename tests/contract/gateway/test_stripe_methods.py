"""What Stripe's answers about saved methods become, the garbled ones included."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.stripe.gateway import StripeGateway
from adapters.stripe.saved_methods import saved_method
from adapters.stripe.snapshots import Unreadable
from domain.payments.gateway import GatewayRefused, GatewayUnknown
from domain.payments.saved_method import MethodPage
from domain.shared.errors import Malformed
from tests.contract.gateway.scripted_server import ScriptedServer, scripted_server

METHOD: dict[str, Any] = {
    "id": "pm_1",
    "object": "payment_method",
    "created": 1_790_000_000,
    "customer": "cus_1",
    "type": "card",
    "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034},
}
PAGE = {"object": "list", "data": [METHOD], "has_more": False}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def gateway(server: ScriptedServer) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(api_key="sk_test_x", api_base=server.url, lookup_retries=0)
    yield gateway
    await gateway.aclose()


def refusal(code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"type": "invalid_request_error", "message": "No.", "code": code, "param": param}}


async def methods(gateway: StripeGateway, after: str | None = None) -> MethodPage:
    return await gateway.list_methods("cus_1", after=after, limit=7)


async def test_a_page_is_asked_for_as_it_is_wanted(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(200, {**PAGE, "has_more": True})]
    page = await methods(gateway, "pm_0")
    assert ([method.token for method in page.methods], page.more) == (["pm_1"], True)
    [request] = server.requests
    assert request.path.startswith("/v1/customers/cus_1/payment_methods")
    assert request.fields == {"limit": "7", "starting_after": "pm_0"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": []},
        {"data": {}, "has_more": False},
        {"data": ["pm_1"], "has_more": False},
        {"data": [{**METHOD, "object": "card"}], "has_more": False},
        {"data": [{**METHOD, "created": "yesterday"}], "has_more": False},
    ],
)
async def test_a_list_that_cannot_be_read_is_no_empty_one(
    server: ScriptedServer, gateway: StripeGateway, answer: dict[str, Any]
) -> None:
    server.answers = [(200, answer)]
    with pytest.raises(GatewayUnknown):
        await methods(gateway)


async def test_only_a_customer_who_is_gone_has_an_empty_list(
    server: ScriptedServer, gateway: StripeGateway
) -> None:
    server.answers = [(404, refusal("resource_missing", "customer"))]
    assert await methods(gateway) == MethodPage([], more=False)
    server.answers = [(400, refusal("resource_missing", "starting_after"))]
    with pytest.raises(Malformed):
        await methods(gateway, "pm_gone")
    server.answers = [(401, refusal("invalid_api_key"))]
    with pytest.raises(GatewayRefused):
        await methods(gateway)
    server.answers = [(500, refusal(None))]
    with pytest.raises(GatewayUnknown):
        await methods(gateway)


async def test_a_refused_detachment_is_looked_into(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(400, refusal(None)), (200, {**METHOD, "customer": None})]
    await gateway.detach_method("pm_1")
    server.answers = [(400, refusal(None)), (200, METHOD)]
    with pytest.raises(GatewayRefused):
        await gateway.detach_method("pm_1")
    server.answers = [(503, refusal(None))]
    with pytest.raises(GatewayUnknown):
        await gateway.detach_method("pm_1")


def test_another_type_of_method_shows_what_it_has() -> None:
    account = {**METHOD, "type": "us_bank_account", "us_bank_account": {"last4": "6789", "bank_name": "B"}}
    shown = saved_method(account)
    assert (shown.type, shown.last4) == ("us_bank_account", "6789")
    assert (shown.brand, shown.exp_month, shown.exp_year) == (None, None, None)
    assert saved_method({**METHOD, "type": "link"}).last4 is None


@pytest.mark.parametrize("change", [{"id": None}, {"type": 7}, {"created": None}])
def test_a_method_without_its_essentials_is_not_guessed(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        saved_method({**METHOD, **change})
