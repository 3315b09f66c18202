"""Level 2/3 data over HTTP: the preflight, and what an answer says of its lines."""

from typing import Any

from tests.integration.http.conftest import CUSTOMER, Api
from tests.integration.http.test_problems import problem, stored_rows
from tests.support.fake_gateway import FakeGateway

LINE = {
    "sku": "TEA",
    "name": "Tea",
    "quantity": 2,
    "unitAmount": 990,
    "taxAmount": 317,
    "unitOfMeasure": "each",
}
BODY: dict[str, Any] = {
    "orderId": "o-1",
    "amount": 2747,
    "currency": "EUR",
    "lines": [LINE],
    "shippingAmount": 450,
}


async def test_a_preflight_stores_and_asks_nothing(api: Api, gateway: FakeGateway) -> None:
    gateway.down = True
    before = await stored_rows(api)
    good = await api.post("/v1/payments/preflight", BODY, scopes=CUSTOMER)
    level = {"qualifies": True, "faults": []}
    assert (good.status_code, good.json()) == (200, {"level2": level, "level3": level})

    wrong = await api.post("/v1/payments/preflight", {**BODY, "shippingAmount": 0})
    assert [fault["pointer"] for fault in wrong.json()["level3"]["faults"]] == ["/lines"]
    assert wrong.json()["level2"]["qualifies"] is False
    assert await stored_rows(api) == before


async def test_what_a_preflight_refuses(api: Api) -> None:
    problem(await api.post("/v1/payments/preflight", {}), 400, "malformed")
    problem(await api.post("/v1/payments/preflight", BODY, scopes=("payments:read",)), 403, "scope_missing")
    other = await api.post("/v1/payments/preflight", {**BODY, "userId": "u_2"}, scopes=CUSTOMER)
    problem(other, 403, "user_differs")
    small = await api.post("/v1/payments/preflight", {**BODY, "amount": 49})
    problem(small, 422, "amount_too_small")


async def test_a_payment_tells_what_became_of_its_lines(api: Api) -> None:
    for shipping, became, pointers in ((450, "SENT", []), (0, "LEFT_OUT", ["/lines"])):
        order = await api.order()
        body = {**BODY, "orderId": order["orderId"], "shippingAmount": shipping}
        made = (await api.post("/v1/payments/intents", body, key=became)).json()
        read = (await api.get(f"/v1/payments/{made['paymentId']}")).json()
        for payment in (made, read):
            assert payment["lineItems"] == became
            assert [fault["pointer"] for fault in payment["lineItemFaults"]] == pointers
