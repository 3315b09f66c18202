"""Customers of a system that a person started find their mails in the sandbox's mailbox."""

import re
import time
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import RunningSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]


def mails_to(system: RunningSystem, email: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 60
    while True:
        items: list[dict[str, Any]] = httpx.get(system.ready["mailboxUrl"], params={"to": email}).json()[
            "items"
        ]
        if len(items) >= count:
            return items
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_who_is_declined_pays_by_the_link_in_the_mail(system: RunningSystem) -> None:
    ready = system.ready
    http = httpx.Client(
        base_url=ready["apiUrl"],
        headers={"Authorization": f"Bearer {ready['tokens']['service']}"},
        timeout=60,
    )
    body = {
        "currency": "EUR",
        "customer": {"name": "Grace Hopper", "email": "grace@example.org"},
        "lines": [{"sku": "NANO", "name": "Nanosecond", "quantity": 1, "unitAmount": 1180}],
    }
    with http:
        order = http.post("/v1/orders", json=body).raise_for_status().json()
        path = f"/v1/orders/{order['orderId']}"
        declined = {"paymentMethodToken": "pm_card_visa_chargeDeclined"}
        http.post(f"{path}/confirm", json=declined, headers={"Idempotency-Key": "1"}).raise_for_status()
        [failed] = mails_to(system, "grace@example.org", 1)
        [link] = re.findall(r"Try again: (\S+)", failed["text"])
        assert httpx.post(link, data={"card": "pm_card_visa"}).status_code == 303
        paid, _ = mails_to(system, "grace@example.org", 2)
    assert failed["subject"] == f"Your payment for order {order['orderId']} failed"
    assert paid["subject"] == f"Payment received for order {order['orderId']}"
    assert paid["from"] == "Payonce <orders@payonce.example>"
    assert "€11.80" in paid["text"]
    assert "€11.80" in paid["html"]
