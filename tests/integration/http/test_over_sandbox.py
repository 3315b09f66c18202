"""Users, their customers at the gateway and their saved methods: HTTP, PostgreSQL and the sandbox together."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from entrypoints.bootstrap import build_container
from entrypoints.http.app import create_app_of
from tests.integration.http.conftest import CUSTOMER, Api, MakeSettings
from tests.support.sandbox import SandboxGateway

CHALLENGED = "pm_card_authenticationRequired"


@pytest.fixture
async def shop(make_settings: MakeSettings, sandbox: SandboxGateway) -> AsyncIterator[Api]:
    container = build_container(make_settings(stripe_api_base=sandbox.url, receipts="customer"))
    await container.start()
    client = Api(create_app_of(container), container)
    yield client
    await client.http.aclose()
    await container.stop()


async def pay(shop: Api, key: str, **changes: Any) -> dict[str, Any]:
    order = await shop.order(userId="u_1")
    body = {
        "orderId": order["orderId"],
        "amount": order["totalAmount"],
        "currency": "EUR",
        "userId": "u_1",
        "paymentMethodToken": "pm_card_visa",
        **changes,
    }
    answer = await shop.post("/v1/payments", body, key=key)
    assert answer.status_code == 201, answer.text
    payment: dict[str, Any] = answer.json()
    return payment


async def customers(shop: Api) -> list[str]:
    async with shop.container.payments.engine.connect() as connection:
        found = await connection.scalars(text("SELECT gateway_customer_id FROM payments.customer"))
        return list(found)


def intent(sandbox: SandboxGateway, payment: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.get(f"/v1/payment_intents/{payment['gatewayPaymentIntentId']}").json()
    return found


async def test_saved_listed_charged_off_session_and_detached(shop: Api, sandbox: SandboxGateway) -> None:
    first = await pay(
        shop,
        "k1",
        setupFutureUsage="OFF_SESSION",
        customer={"email": "ada@example.org"},
        statementDescriptorSuffix="TEA 12",
    )
    assert (first["status"], first["setupFutureUsage"]) == ("SUCCEEDED", "OFF_SESSION")
    made = intent(sandbox, first)
    assert made["receipt_email"] == "ada@example.org"
    assert made["statement_descriptor_suffix"] == "TEA 12"

    [method] = (await shop.get("/v1/payment-methods", CUSTOMER)).json()["items"]
    assert (method["type"], method["brand"], method["last4"]) == ("card", "visa", "4242")
    token = method["paymentMethodToken"]
    charged = await pay(shop, "k2", paymentMethodToken=token, offSession=True)
    assert charged["status"] == "SUCCEEDED"

    for _ in range(2):
        detached = await shop.delete(f"/v1/payment-methods/{token}", CUSTOMER)
        assert detached.status_code == 204
    assert (await shop.get("/v1/payment-methods", CUSTOMER)).json()["items"] == []


async def test_what_is_declined_off_session_is_completed_with_the_same_intent(
    shop: Api, sandbox: SandboxGateway
) -> None:
    await pay(shop, "k1")
    [customer] = await customers(shop)
    attached = sandbox.post(f"/v1/payment_methods/{CHALLENGED}/attach", {"customer": customer}).json()
    declined = await pay(shop, "k2", paymentMethodToken=attached["id"], offSession=True)
    assert declined["status"] == "REQUIRES_PAYMENT_METHOD"
    assert declined["lastError"]["declineCode"] == "authentication_required"

    path = f"/v1/payments/{declined['paymentId']}/confirm"
    waiting = (await shop.post(path, {"paymentMethodToken": attached["id"]}, key="k3")).json()
    assert waiting["status"] == "REQUIRES_ACTION"
    assert waiting["gatewayPaymentIntentId"] == declined["gatewayPaymentIntentId"]
    sandbox.authenticate(waiting["nextAction"]["redirectUrl"])
    assert intent(sandbox, waiting)["status"] == "succeeded"


async def test_first_payments_at_once_keep_one_customer(shop: Api, sandbox: SandboxGateway) -> None:
    payments = await asyncio.gather(*(pay(shop, f"k{number}") for number in range(4)))
    [kept] = await customers(shop)
    assert {intent(sandbox, payment)["customer"] for payment in payments} == {kept}


async def test_a_deleted_customer_is_made_anew(shop: Api, sandbox: SandboxGateway) -> None:
    await pay(shop, "k1")
    [deleted] = await customers(shop)
    sandbox.delete(f"/v1/customers/{deleted}")
    assert (await shop.get("/v1/payment-methods", CUSTOMER)).json()["items"] == []
    paid = await pay(shop, "k2", setupFutureUsage="ON_SESSION")
    [anew] = await customers(shop)
    assert anew != deleted
    assert (paid["status"], intent(sandbox, paid)["customer"]) == ("SUCCEEDED", anew)
    assert len((await shop.get("/v1/payment-methods", CUSTOMER)).json()["items"]) == 1
