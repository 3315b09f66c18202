"""The payment page: a person pays an intent that waits, by a test card, through the browser alone."""

from typing import Any

import httpx
import pytest
import stripe

from tests.integration.sandbox.receiver import Receiver
from tests.support.sandbox import SandboxGateway

CHALLENGED = "pm_card_authenticationRequired"


def waiting(client: stripe.StripeClient, order_id: str = "ord_1", **changes: Any) -> stripe.PaymentIntent:
    params: Any = {"amount": 1234, "currency": "eur", "metadata": {"orderId": order_id}, **changes}
    return client.v1.payment_intents.create(params)


def status(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> str:
    return client.v1.payment_intents.retrieve(intent.id).status


def press(sandbox: SandboxGateway, card: str) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/_sandbox/pay?orderId=ord_1", data={"card": card})


async def test_declined_then_paid(
    sandbox: SandboxGateway, client: stripe.StripeClient, receiver: Receiver
) -> None:
    receiver.secret = sandbox.add_webhook(receiver.url)
    waiting(client, "ord_2")
    intent = waiting(client)
    page = sandbox.get("/_sandbox/pay?orderId=ord_1")
    assert page.status_code == 200
    assert "12.34 EUR" in page.text
    declined = press(sandbox, "pm_card_chargeDeclined")
    assert (declined.status_code, "Your card was declined." in declined.text) == (402, True)
    assert status(client, intent) == "requires_payment_method"
    paid = press(sandbox, "pm_card_visa")
    assert (paid.status_code, paid.headers["location"]) == (303, f"{sandbox.url}/_sandbox/pay?orderId=ord_1")
    assert "It is paid" in sandbox.get("/_sandbox/pay?orderId=ord_1").text
    assert status(client, intent) == "succeeded"
    expected = {"payment_intent.payment_failed", "payment_intent.succeeded"}
    await receiver.until(lambda: expected <= set(receiver.types()))


def test_the_bank_asks_and_leads_back(sandbox: SandboxGateway, client: stripe.StripeClient) -> None:
    intent = waiting(client)
    bank = press(sandbox, CHALLENGED).headers["location"]
    assert "/_sandbox/authenticate/" in bank
    assert bank in httpx.get(f"{sandbox.url}/_sandbox/pay?orderId=ord_1").text
    back = sandbox.authenticate(bank)
    assert "It is paid" in httpx.get(back.headers["location"]).text
    assert status(client, intent) == "succeeded"


def test_what_cannot_be_paid(sandbox: SandboxGateway, client: stripe.StripeClient) -> None:
    assert httpx.get(f"{sandbox.url}/_sandbox/pay?orderId=ord_1").status_code == 404
    assert httpx.get(f"{sandbox.url}/_sandbox/pay").status_code == 404
    intent = waiting(client)
    assert press(sandbox, "pm_card_mastercard").status_code == 400
    client.v1.payment_intents.cancel(intent.id)
    refused = press(sandbox, "pm_card_visa")
    assert refused.status_code == 400
    assert "nothing can be paid any more" in refused.text
    assert status(client, intent) == "canceled"


@pytest.mark.parametrize("value", ["<script>", "%00", "é", "' OR 1=1 --"])
def test_a_strange_name_is_nothing(sandbox: SandboxGateway, client: stripe.StripeClient, value: str) -> None:
    waiting(client)
    assert httpx.get(f"{sandbox.url}/_sandbox/pay?orderId={value}").status_code == 404
