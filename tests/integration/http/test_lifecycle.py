"""Payments on their way, over HTTP: captures in parts, the customer's return, changed amounts."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.integration.http.conftest import CUSTOMER, SERVICE, Api
from tests.integration.http.test_calls import pay
from tests.integration.http.test_problems import problem
from tests.support.fake_gateway import FakeGateway


@pytest.fixture
def gateway(gateway: FakeGateway) -> FakeGateway:
    gateway.multicapture = True
    return gateway


async def test_captures_in_parts(api: Api) -> None:
    payment = await pay(api, captureMethod="MANUAL")
    assert payment["multicapture"] is True
    path = f"/v1/payments/{payment['paymentId']}"
    part = await api.post(f"{path}/capture", {"amount": 1000, "final": False}, key="k1")
    assert (part.json()["status"], part.json()["amountCapturable"]) == ("REQUIRES_CAPTURE", 1747)
    for wrong in (0, -1, 1.5, 2**53, "1", None):
        answer = await api.post(f"{path}/capture", {"amount": wrong}, key=f"w{wrong}")
        if wrong is None:
            assert answer.json()["amountCaptured"] == 2747
        else:
            problem(answer, 400, "malformed")
            assert answer.json()["errors"][0]["pointer"] == "/amount"
    problem(await api.post(f"{path}/capture", {"amount": 1}, key="k2"), 409, "payment_state_forbids")


async def test_what_captures_left_is_voided(api: Api) -> None:
    payment = await pay(api, captureMethod="MANUAL")
    path = f"/v1/payments/{payment['paymentId']}"
    await api.post(f"{path}/capture", {"amount": 1000, "final": False}, key="k1")
    released = (await api.post(f"{path}/cancel", {"reason": "out of stock"}, key="k2")).json()
    assert (released["status"], released["amountCaptured"]) == ("SUCCEEDED", 1000)
    assert (released["amountCapturable"], released["cancellationReason"]) == (0, None)


async def test_a_capture_after_the_lapse(api: Api, gateway: FakeGateway) -> None:
    payment = await pay(api, captureMethod="MANUAL")
    gateway.lapse(payment["gatewayPaymentIntentId"])
    path = f"/v1/payments/{payment['paymentId']}"
    problem(await api.post(f"{path}/capture", {}, key="k1"), 409, "authorization_expired")
    lapsed = (await api.get(path)).json()
    assert (lapsed["status"], lapsed["cancellationReason"]) == ("CANCELED", "authorization_expired")
    replayed = await api.post(f"{path}/capture", {}, key="k1")
    problem(replayed, 409, "authorization_expired")
    assert replayed.headers["idempotency-replayed"] == "true"


async def test_a_payment_is_refreshed_for_its_owner(api: Api, gateway: FakeGateway) -> None:
    payment = await pay(api, paymentMethodToken="pm_card_authenticationRequired", userId="u_1")
    gateway.complete_action(payment["gatewayPaymentIntentId"])
    path = f"/v1/payments/{payment['paymentId']}"
    assert (await api.get(path)).json()["status"] == "REQUIRES_ACTION"
    stranger = await api.post(f"{path}/refresh", scopes=CUSTOMER, sub="u_2")
    problem(stranger, 404, "payment_not_found")
    problem(await api.post(f"{path}/refresh", scopes=("payments:write",)), 403, "scope_missing")
    problem(await api.post(f"{path}/refresh", {"x": 1}), 400, "malformed")
    refreshed = await api.post(f"{path}/refresh", scopes=CUSTOMER)
    assert (refreshed.status_code, refreshed.json()["status"]) == (200, "SUCCEEDED")
    assert (await api.get(path)).json() == refreshed.json()


def coming_back(payment: dict[str, Any]) -> dict[str, str]:
    """What the gateway appends to the return URL."""
    return {
        "payment_intent": payment["gatewayPaymentIntentId"],
        "payment_intent_client_secret": payment["clientSecret"],
        "redirect_status": "succeeded",
    }


async def test_the_return_page_without_word_of_the_gateway(api: Api, gateway: FakeGateway) -> None:
    payment = await pay(api, paymentMethodToken="pm_card_authenticationRequired")
    gateway.down = True
    page = await api.http.get("/checkout/return", params=coming_back(payment))
    assert page.status_code == 200
    assert "One moment" in page.text


async def test_the_return_page(api: Api, gateway: FakeGateway) -> None:
    payment = await pay(api, paymentMethodToken="pm_card_authenticationRequired")
    given = coming_back(payment)
    gateway.complete_action(payment["gatewayPaymentIntentId"])
    page = await api.http.get("/checkout/return", params=given)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "went through" in page.text
    assert payment["clientSecret"] not in page.text
    assert (await api.get(f"/v1/payments/{payment['paymentId']}")).json()["status"] == "SUCCEEDED"
    for wrong in (
        {},
        {**given, "payment_intent_client_secret": "guess"},
        {**given, "payment_intent": "pi_\x00"},
        {**given, "payment_intent": "x" * 300},
    ):
        problem(await api.http.get("/checkout/return", params=wrong), 404, "payment_not_found")


async def change(api: Api, payment: dict[str, Any], body: Any, key: str | None = None) -> Any:
    headers = api.bearer(*SERVICE) | ({"Idempotency-Key": key} if key else {})
    return await api.http.patch(f"/v1/payments/{payment['paymentId']}", json=body, headers=headers)


async def reprice(api: Api, order_id: str, amount: int) -> None:
    """The order's line costs something else now."""
    async with api.container.orders.engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE orders.orders SET total_amount = :amount, shipping_amount = 0,"
                " lines = jsonb_build_array(lines -> 0 || jsonb_build_object('quantity', 1,"
                " 'unit_amount', CAST(:amount AS bigint), 'tax_amount', 0)) WHERE order_id = :order_id"
            ),
            {"amount": amount, "order_id": order_id},
        )


async def test_the_amount_follows_the_order(api: Api, gateway: FakeGateway) -> None:
    order = await api.order()
    body = {"orderId": order["orderId"], "amount": 2747, "currency": "EUR"}
    payment = (await api.post("/v1/payments/intents", body, key="k1")).json()
    differs = problem(await change(api, payment, {"amount": 3000}), 422, "order_terms_differ")
    assert differs["errors"][0]["pointer"] == "/amount"
    await reprice(api, order["orderId"], 3000)
    line = {"sku": "TEA", "name": "Tea", "quantity": 1, "unitAmount": 3000}
    for _ in range(2):
        changed = await change(api, payment, {"amount": 3000, "lines": [line]}, key="k2")
        assert (changed.status_code, changed.json()["amount"]) == (200, 3000)
    assert changed.headers["idempotency-replayed"] == "true"
    assert gateway.intents[payment["gatewayPaymentIntentId"]].amount == 3000
    for wrong, pointer in (
        ({}, "/amount"),
        ({"amount": 0}, "/amount"),
        ({"amount": 3000, "currency": "USD"}, "/currency"),
    ):
        assert problem(await change(api, payment, wrong), 400, "malformed")["errors"][0]["pointer"] == pointer
    path = f"/v1/payments/{payment['paymentId']}"
    paid = await api.post(f"{path}/confirm", {"paymentMethodToken": "pm_card_visa"}, key="k3")
    assert paid.json()["amountCaptured"] == 3000
    problem(await change(api, payment, {"amount": 3000}), 409, "payment_state_forbids")
