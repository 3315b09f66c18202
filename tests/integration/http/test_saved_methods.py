"""Paying with what a user has saved, over HTTP."""

from typing import Any

from tests.integration.http.conftest import CUSTOMER, Api
from tests.integration.http.test_problems import problem
from tests.support.fake_gateway import FakeGateway

VISA = {"paymentMethodToken": "pm_card_visa"}


async def body_of(api: Api, **changes: Any) -> dict[str, Any]:
    order = await api.order(userId="u_1")
    return {
        "orderId": order["orderId"],
        "amount": order["totalAmount"],
        "currency": "EUR",
        "userId": "u_1",
        **changes,
    }


async def test_saved_then_charged_off_session(api: Api, gateway: FakeGateway) -> None:
    first = await api.post(
        "/v1/payments",
        await body_of(
            api,
            **VISA,
            setupFutureUsage="OFF_SESSION",
            receiptEmail="books@example.org",
            statementDescriptorSuffix="TEA 12",
        ),
        key="k1",
    )
    assert (first.status_code, first.json()["status"]) == (201, "SUCCEEDED")
    assert first.json()["setupFutureUsage"] == "OFF_SESSION"
    create, _ = gateway.sent[0]
    assert create.params["receipt_email"] == "books@example.org"
    assert create.params["statement_descriptor_suffix"] == "TEA 12"
    [token] = gateway.methods.owners

    gateway.methods.kinds[token] = "pm_card_authenticationRequired"
    body = await body_of(api, paymentMethodToken=token, offSession=True)
    declined = await api.post("/v1/payments", body, key="k2")
    payment = declined.json()
    assert (declined.status_code, payment["status"]) == (201, "REQUIRES_PAYMENT_METHOD")
    assert payment["lastError"]["declineCode"] == "authentication_required"
    with_them = await api.post(
        f"/v1/payments/{payment['paymentId']}/confirm", {"paymentMethodToken": token}, key="k3"
    )
    assert with_them.json()["status"] == "REQUIRES_ACTION"
    assert with_them.json()["gatewayPaymentIntentId"] == payment["gatewayPaymentIntentId"]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"userId": None, "setupFutureUsage": "ON_SESSION"}, "user_required", "/setupFutureUsage"),
    ({"userId": None, "offSession": True}, "user_required", "/offSession"),
    (
        {"setupFutureUsage": "ON_SESSION", "offSession": True},
        "off_session_forbids_saving",
        "/offSession",
    ),
    ({"offSession": True}, "payment_method_not_saved", "/paymentMethodToken"),
    ({"paymentMethodToken": "pm_nobody"}, "payment_method_unknown", "/paymentMethodToken"),
    ({"statementDescriptorSuffix": "12"}, "statement_descriptor_invalid", "/statementDescriptorSuffix"),
]


async def test_what_cannot_be_done_names_its_field(api: Api, gateway: FakeGateway) -> None:
    for number, (changes, code, pointer) in enumerate(REFUSED):
        body = await body_of(api, **{**VISA, **changes})
        refused = await api.post("/v1/payments", body, key=f"k{number}")
        assert [fault["pointer"] for fault in problem(refused, 422, code)["errors"]] == [pointer]
    assert gateway.sent == []


NOT_CHARGED = [
    (49, "EUR", "amount_too_small", "/amount"),
    (100_000_000, "EUR", "amount_too_large", "/amount"),
    (1001, "KWD", "amount_not_representable", "/amount"),
    (1000, "BTN", "currency_unsupported", "/currency"),
]


async def test_what_is_not_charged_is_neither_by_payment_nor_by_order(api: Api, gateway: FakeGateway) -> None:
    for amount, currency, code, pointer in NOT_CHARGED:
        line = {"sku": "TEA", "name": "Tea", "quantity": 1, "unitAmount": amount}
        order = await api.order(userId="u_1", currency=currency, lines=[line], shippingAmount=0)
        body = {"orderId": order["orderId"], "amount": amount, "currency": currency, **VISA}
        by_payment = await api.post("/v1/payments", body, key=f"{code}-1")
        by_order = await api.post(f"/v1/orders/{order['orderId']}/confirm", VISA, key=f"{code}-2")
        for refused in (by_payment, by_order):
            assert [fault["pointer"] for fault in problem(refused, 422, code)["errors"]] == [pointer]
    assert (gateway.sent, gateway.customers) == ([], {})


async def test_malformed_fields(api: Api) -> None:
    wrong = {
        "setupFutureUsage": "SOMETIMES",
        "receiptEmail": "nobody",
        "statementDescriptorSuffix": "",
        "offSession": "yes",
    }
    refused = await api.post("/v1/payments", await body_of(api, **VISA, **wrong), key="k1")
    faults = problem(refused, 400, "malformed")["errors"]
    assert sorted(fault["pointer"] for fault in faults) == sorted(f"/{field}" for field in wrong)


async def test_an_intent_is_never_off_session(api: Api) -> None:
    refused = await api.post("/v1/payments/intents", await body_of(api, offSession=True), key="k1")
    problem(refused, 400, "malformed")


async def test_listing_and_detaching(api: Api, gateway: FakeGateway) -> None:
    for number in range(2):
        body = await body_of(api, **VISA, setupFutureUsage="ON_SESSION")
        await api.post("/v1/payments", body, key=f"k{number}")
    newest, oldest = reversed(gateway.methods.owners)
    page = (await api.get("/v1/payment-methods?userId=u_1&limit=1")).json()
    [method] = page["items"]
    assert method.pop("createdAt").endswith("Z")
    assert method == {
        "paymentMethodToken": newest,
        "type": "card",
        "brand": "visa",
        "last4": "4242",
        "expMonth": 12,
        "expYear": 2034,
    }
    rest = (await api.get(f"/v1/payment-methods?limit=1&cursor={page['nextCursor']}", CUSTOMER)).json()
    assert [method["paymentMethodToken"] for method in rest["items"]] == [oldest]
    assert rest["nextCursor"] is None

    path = f"/v1/payment-methods/{newest}"
    problem(await api.delete(path, CUSTOMER, sub="u_2"), 404, "payment_method_not_found")
    problem(await api.delete("/v1/payment-methods/pm_nobody"), 404, "payment_method_not_found")
    problem(await api.delete(path, ("payments:read",)), 403, "scope_missing")
    for _ in range(2):
        detached = await api.delete(path, CUSTOMER)
        assert (detached.status_code, detached.content) == (204, b"")
    left = (await api.get("/v1/payment-methods", CUSTOMER)).json()
    assert [method["paymentMethodToken"] for method in left["items"]] == [oldest]


async def test_lists_that_cannot_be_given(api: Api, gateway: FakeGateway) -> None:
    problem(await api.get("/v1/payment-methods"), 422, "user_required")
    problem(await api.get("/v1/payment-methods?userId=u_1&cursor=x"), 400, "malformed")
    assert (await api.get("/v1/payment-methods?userId=u_1", CUSTOMER, sub="u_2")).json()["items"] == []
    await api.post("/v1/payments", await body_of(api, **VISA), key="k1")
    gateway.down = True
    down = await api.get("/v1/payment-methods", CUSTOMER)
    problem(down, 503, "gateway_unavailable")
    assert down.headers["retry-after"]
    problem(await api.delete("/v1/payment-methods/pm_any", CUSTOMER), 503, "gateway_unavailable")
