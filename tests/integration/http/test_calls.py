"""The calls of the contract, each with its answer's fields."""

from typing import Any

from tests.integration.http.conftest import CART, CUSTOMER, OPERATOR, REFUNDER, Api
from tests.integration.http.test_problems import problem

VISA = {"paymentMethodToken": "pm_card_visa"}


async def pay(api: Api, **changes: Any) -> dict[str, Any]:
    """A new order's payment through `POST /v1/payments`."""
    order = await api.order()
    body = {"orderId": order["orderId"], "amount": order["totalAmount"], "currency": "EUR", **VISA, **changes}
    answer = await api.post("/v1/payments", body, key=order["orderId"])
    assert answer.status_code == 201, answer.text
    payment: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/payments/{payment['paymentId']}"
    return payment


async def test_an_order_from_cart_lines(api: Api) -> None:
    cart = {
        **CART,
        "userId": "u_1",
        "customer": {
            "name": "Ada",
            "email": "ada@example.org",
            "billingAddress": {"line1": "1 Way", "postalCode": "W1", "city": "London", "country": "GB"},
            "shippingAddress": {"line1": "1 Way"},
        },
        "lines": [
            {"sku": "A", "name": "A", "quantity": 3, "unitAmount": 100, "discountAmount": 50},
            {
                "sku": "B",
                "name": "B",
                "quantity": 1,
                "unitAmount": 1000,
                "taxAmount": 190,
                "commodityCode": "4411",
                "unitOfMeasure": "EA",
            },
        ],
        "metadata": {"channel": "web"},
    }
    answer = await api.post("/v1/orders", cart)
    order = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"/v1/orders/{order['orderId']}"
    assert (order["subtotalAmount"], order["discountAmount"], order["taxAmount"]) == (1300, 50, 190)
    assert (order["shippingAmount"], order["totalAmount"]) == (450, 1890)
    assert (order["status"], order["version"], order["userId"]) == ("DRAFT", 1, "u_1")
    assert (order["amountPaid"], order["amountRefunded"], order["fulfilledAt"]) == (0, 0, None)
    assert (order["attention"], order["payments"], order["payment"]) == (None, [], None)
    assert order["metadata"] == {"channel": "web"}
    assert order["lines"][1]["commodityCode"] == "4411"
    got = await api.get(f"/v1/orders/{order['orderId']}")
    assert got.json() == order
    assert got.headers["etag"] == '"1"'


async def test_checkout_a_decline_and_a_second_attempt(api: Api) -> None:
    order = await api.order()
    path = f"/v1/orders/{order['orderId']}"
    declined = await api.post(
        f"{path}/confirm",
        {"paymentMethodToken": "pm_card_chargeDeclined", "captureMethod": "AUTOMATIC"},
        key="k1",
    )
    assert declined.status_code == 200
    payment = declined.json()["payment"]
    assert payment["status"] == "REQUIRES_PAYMENT_METHOD"
    assert payment["lastError"]["declineCode"] == "generic_decline"
    assert payment["clientSecret"]
    again = await api.post(f"{path}/payments", VISA, key="k2")
    assert again.status_code == 200
    assert again.json()["payment"]["paymentId"] == payment["paymentId"]
    assert again.json()["payment"]["status"] == "SUCCEEDED"
    assert again.headers["etag"] == f'"{again.json()["version"]}"'


async def test_payment_terms(api: Api) -> None:
    order = await api.order()
    terms = (await api.get(f"/v1/orders/{order['orderId']}/payment-terms")).json()
    assert terms.pop("snapshot")
    assert terms == {
        "orderId": order["orderId"],
        "version": 1,
        "amount": 2747,
        "currency": "EUR",
        "payable": True,
    }


async def test_lists_go_page_by_page(api: Api) -> None:
    made = [(await api.order(userId=f"u_{number % 2}"))["orderId"] for number in range(5)]
    seen: list[str] = []
    path = "/v1/orders?limit=2"
    while True:
        page = (await api.get(path)).json()
        assert len(page["items"]) <= 2
        seen += [order["orderId"] for order in page["items"]]
        if page["nextCursor"] is None:
            break
        path = f"/v1/orders?limit=2&cursor={page['nextCursor']}"
    assert seen == made[::-1]
    of_user = (await api.get("/v1/orders?userId=u_1&status=DRAFT")).json()["items"]
    assert [order["orderId"] for order in of_user] == [made[3], made[1]]
    assert (await api.get("/v1/orders?status=PAID")).json() == {"items": [], "nextCursor": None}


async def test_an_intent_then_its_confirmation(api: Api) -> None:
    order = await api.order()
    body = {
        "orderId": order["orderId"],
        "amount": 2747,
        "currency": "EUR",
        "description": "Tea",
        "lines": CART["lines"],
        "shippingAmount": 450,
        "customer": CART["customer"],
        "captureMethod": "AUTOMATIC",
        "returnUrl": "https://shop.example/thanks",
        "orderSnapshot": "a.b.c",
    }
    made = await api.post("/v1/payments/intents", body, key="k1")
    assert made.status_code == 201
    payment = made.json()
    assert payment["status"] == "REQUIRES_PAYMENT_METHOD"
    assert payment["clientSecret"]
    assert payment["gatewayPaymentIntentId"]
    assert (payment["nextAction"], payment["operation"], payment["lastError"]) == (None, None, None)
    path = f"/v1/payments/{payment['paymentId']}"
    asked = await api.post(
        f"{path}/confirm", {"paymentMethodToken": "pm_card_authenticationRequired"}, key="k2"
    )
    assert asked.json()["status"] == "REQUIRES_ACTION"
    assert asked.json()["nextAction"]["type"] == "REDIRECT"
    assert asked.json()["nextAction"]["redirectUrl"].startswith("http")
    second = await api.post("/v1/payments/intents", body, key="k3")
    problem(second, 409, "payment_in_progress")
    canceled = await api.post(f"{path}/cancel", {"reason": "changed their mind"}, key="k4")
    assert canceled.json()["status"] == "CANCELED"
    assert (await api.get(path)).json()["status"] == "CANCELED"
    listed = (await api.get(f"/v1/payments?orderId={order['orderId']}")).json()
    assert [item["paymentId"] for item in listed["items"]] == [payment["paymentId"]]


async def test_a_manual_capture(api: Api) -> None:
    payment = await pay(api, captureMethod="MANUAL")
    assert (payment["status"], payment["amountCapturable"]) == ("REQUIRES_CAPTURE", 2747)
    assert payment["captureBefore"].endswith("Z")
    path = f"/v1/payments/{payment['paymentId']}/capture"
    problem(await api.post(path, {"amount": 2748}, key="k1"), 422, "capture_exceeds_authorized")
    problem(await api.post(path, {"final": False}, key="k2"), 409, "multicapture_unavailable")
    captured = await api.post(path, {"amount": 2000}, key="k3")
    assert captured.status_code == 200
    assert (captured.json()["status"], captured.json()["amountCaptured"]) == ("SUCCEEDED", 2000)


async def test_a_refund(api: Api) -> None:
    payment = await pay(api)
    body = {"paymentId": payment["paymentId"], "amount": 700, "currency": "EUR", "reason": "torn"}
    made = await api.post("/v1/refunds", body, key="k1", scopes=REFUNDER)
    assert made.status_code == 201
    refund = made.json()
    assert made.headers["location"] == f"/v1/refunds/{refund['refundId']}"
    assert (refund["status"], refund["amount"], refund["reason"]) == ("SUCCEEDED", 700, "torn")
    for scopes in (REFUNDER, ("refunds:approve", "users:any")):
        assert (await api.get(f"/v1/refunds/{refund['refundId']}", scopes)).json() == refund
    over = await api.post("/v1/refunds", {**body, "amount": 2748}, key="k2", scopes=REFUNDER)
    problem(over, 422, "refund_exceeds_captured")
    problem(await api.get("/v1/refunds/ref_none", REFUNDER), 404, "refund_not_found")
    stranger = await api.post("/v1/refunds", body, key="k3", scopes=("refunds:create",), sub="u_9")
    problem(stranger, 404, "payment_not_found")


async def test_the_event_log(api: Api) -> None:
    payments = [await pay(api), await pay(api)]
    page = (await api.get("/v1/events?limit=1", OPERATOR)).json()
    (event,) = page["items"]
    assert (event["type"], event["subject"]) == ("PaymentSucceeded", payments[0]["paymentId"])
    rest = (await api.get(f"/v1/events?after={page['nextCursor']}", OPERATOR)).json()
    assert [event["subject"] for event in rest["items"]] == [payments[1]["paymentId"]]
    end = (await api.get(f"/v1/events?after={rest['nextCursor']}", OPERATOR)).json()
    assert end == {"items": [], "nextCursor": None}
    order_id = payments[1]["orderId"]
    of_order = (await api.get(f"/v1/events?orderId={order_id}&type=PaymentSucceeded", OPERATOR)).json()
    assert [event["data"]["orderId"] for event in of_order["items"]] == [order_id]
    problem(await api.get("/v1/events?after=x", OPERATOR), 400, "malformed")


async def test_no_personal_data_in_the_log(api: Api, capsys: Any) -> None:
    order = await api.order()
    await api.post(f"/v1/orders/{order['orderId']}/confirm", VISA, key="k1")
    await api.post("/v1/orders", {**CART, "currency": "EUR", "nonsense": "x"}, scopes=CUSTOMER)
    printed = "".join(capsys.readouterr())
    for word in ("Ada", "ada@", "pm_card", "Bearer", "_secret"):
        assert word not in printed
