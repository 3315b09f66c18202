"""Journeys of customers, guests and merchants over HTTP, through every process of a running system."""

import itertools
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import RunningSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("e2e")]

_keys = itertools.count(1)
LINE = {"sku": "JOURNEY-TEA", "name": "Tea", "quantity": 2, "unitAmount": 990, "taxAmount": 317}
VISA = {"paymentMethodToken": "pm_card_visa"}


class Shop:
    """Whoever a ready token speaks for, or a guest by their own."""

    def __init__(self, system: RunningSystem) -> None:
        self.tokens: dict[str, str] = dict(system.ready["tokens"])
        self.http = httpx.Client(base_url=system.ready["apiUrl"], timeout=30)

    def call(
        self, method: str, path: str, body: Any = None, *, by: str = "customer", **headers: str
    ) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.tokens.get(by, by)}"}
        if method == "POST":
            sent["Idempotency-Key"] = f"journey-{next(_keys)}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        json = None if method == "GET" else body or {}
        return self.http.request(method, path, json=json, headers=sent)

    def done(self, method: str, path: str, body: Any = None, *, by: str = "customer", **headers: str) -> Any:
        """What a call answers that is to succeed."""
        answer = self.call(method, path, body, by=by, **headers)
        assert answer.is_success, answer.text
        return answer.json()

    def order(self, *, by: str = "customer", **changes: Any) -> Any:
        return self.done("POST", "/v1/orders", {"currency": "EUR", "lines": [LINE], **changes}, by=by)

    def until(self, order: Any, *statuses: str, by: str = "service") -> Any:
        """The order once it is in one of these statuses, to which events take it."""
        deadline = time.monotonic() + 30
        while True:
            found = self.done("GET", f"/v1/orders/{order['orderId']}", by=by)
            if found["status"] in statuses:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def authenticate(self, order: Any) -> None:
        """Complete the authentication on the gateway's page, as a person does."""
        page_url = order["payment"]["nextAction"]["redirectUrl"]
        page = httpx.get(page_url).raise_for_status()
        button = re.search(r'<button[^>]*name="(\w+)"[^>]*value="complete"', page.text)
        assert button, page.text
        answer = httpx.post(page_url, data={button[1]: "complete"})
        assert answer.status_code in (200, 303), answer.text


@pytest.fixture
def shop(system: RunningSystem) -> Iterator[Shop]:
    made = Shop(system)
    with made.http:
        yield made


def test_a_guest_fills_a_cart_authenticates_and_is_sent_the_goods(shop: Shop) -> None:
    order = shop.order(by="service")
    guest = order["orderToken"]
    path = f"/v1/orders/{order['orderId']}"
    assert shop.call("GET", path, by="customer").status_code == 404

    changed = shop.done("PATCH", path, {"shippingAmount": 450}, by=guest, If_Match='"1"')
    assert shop.call("PATCH", path, {}, by=guest, If_Match='"1"').status_code == 412
    begun = shop.done(
        "POST",
        f"{path}/confirm",
        {"paymentMethodToken": "pm_card_authenticationRequired"},
        by=guest,
        If_Match=f'"{changed["version"]}"',
    )
    assert begun["payment"]["status"] == "REQUIRES_ACTION"
    shop.until(order, "AWAITING_USER_PAYMENT_ACTION", by=guest)
    assert shop.call("PATCH", path, {}, by=guest, If_Match="*").status_code == 409
    shop.authenticate(begun)
    paid = shop.until(order, "PROCESSING_FULFILLMENT", by=guest)
    assert (paid["amountPaid"], paid["totalAmount"]) == (2747, 2747)

    assert shop.call("POST", f"{path}/fulfil", by=guest).status_code == 403
    shipped = shop.done("POST", f"{path}/fulfil", by="service")
    assert shipped["status"] == "FULFILLED"
    again = shop.done("POST", f"{path}/fulfil", by="service")
    assert again["fulfilledAt"] == shipped["fulfilledAt"]
    assert shop.call("POST", f"{path}/cancel", by="refunder").status_code == 409


def test_stock_goes_with_the_order_from_its_confirmation_to_its_shipping(shop: Shop) -> None:
    sku = "JOURNEY-LAST"
    shop.done("PUT", f"/v1/inventory/{sku}", {"onHand": 2}, by="operator")

    def stock() -> tuple[int, int]:
        found = shop.done("GET", f"/v1/inventory/{sku}", by="operator")
        return found["onHand"], found["reserved"]

    first, second = (shop.order(lines=[{**LINE, "sku": sku}]) for _ in range(2))
    declined = {"paymentMethodToken": "pm_card_chargeDeclined"}
    shop.done("POST", f"/v1/orders/{first['orderId']}/confirm", declined)
    shop.until(first, "PAYMENT_FAILED")
    assert stock() == (2, 0)

    shop.done("POST", f"/v1/orders/{second['orderId']}/confirm", VISA)
    lacking = shop.call("POST", f"/v1/orders/{first['orderId']}/payments", VISA)
    assert (lacking.status_code, lacking.json()["code"]) == (409, "stock_insufficient")
    assert [fault["pointer"] for fault in lacking.json()["errors"]] == ["/lines/0"]
    shop.until(second, "PROCESSING_FULFILLMENT")
    assert stock() == (2, 2)
    shop.done("POST", f"/v1/orders/{second['orderId']}/fulfil", by="service")
    assert stock() == (0, 0)

    shop.done("PUT", f"/v1/inventory/{sku}", {"onHand": 5}, by="operator")
    shop.done("POST", f"/v1/orders/{first['orderId']}/payments", VISA)
    shop.until(first, "PROCESSING_FULFILLMENT")
    assert stock() == (5, 2)


def test_what_is_called_off_is_given_up_or_given_back(shop: Shop) -> None:
    draft, held, paid = (shop.order() for _ in range(3))
    assert shop.done("POST", f"/v1/orders/{draft['orderId']}/cancel")["status"] == "CANCELED"

    shop.done("POST", f"/v1/orders/{held['orderId']}/confirm", {**VISA, "captureMethod": "MANUAL"})
    shop.until(held, "AUTHORIZED")
    shop.done("POST", f"/v1/orders/{held['orderId']}/cancel", {"reason": "found it cheaper"})
    assert shop.until(held, "CANCELED")["payments"][0]["status"] == "CANCELED"

    shop.done("POST", f"/v1/orders/{paid['orderId']}/confirm", VISA)
    shop.until(paid, "PROCESSING_FULFILLMENT")
    assert shop.call("POST", f"/v1/orders/{paid['orderId']}/cancel").status_code == 403
    shop.done("POST", f"/v1/orders/{paid['orderId']}/cancel", by="refunder")
    canceled = shop.until(paid, "CANCELED")
    assert canceled["amountPaid"] == canceled["amountRefunded"] == paid["totalAmount"]
    for order in (draft, held, paid):
        again = shop.call("POST", f"/v1/orders/{order['orderId']}/confirm", VISA)
        assert (again.status_code, again.json()["code"]) == (409, "order_state_forbids")


def test_a_capture_in_the_merchants_own_time_and_refunds_to_the_last_cent(shop: Shop) -> None:
    order = shop.order()
    begun = shop.done("POST", f"/v1/orders/{order['orderId']}/confirm", {**VISA, "captureMethod": "MANUAL"})
    shop.until(order, "AUTHORIZED")
    payment_id = begun["payment"]["paymentId"]
    shop.done("POST", f"/v1/payments/{payment_id}/capture", by="service")
    shop.until(order, "PROCESSING_FULFILLMENT")
    refund = {"paymentId": payment_id, "currency": "EUR", "reason": "torn"}
    shop.done("POST", "/v1/refunds", {**refund, "amount": 297}, by="refunder")
    part = shop.until(order, "PARTIALLY_REFUNDED")
    assert part["amountRefunded"] == 297
    shop.done("POST", f"/v1/orders/{order['orderId']}/fulfil", by="service")
    shop.done("POST", "/v1/refunds", {**refund, "amount": 2000}, by="refunder")
    assert shop.until(order, "REFUNDED")["fulfilledAt"] is not None
