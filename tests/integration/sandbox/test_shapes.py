"""Every object has each key of Stripe's published example, with a value of the same JSON type or null."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.integration.sandbox.test_payments import charge_of, pay
from tests.support.sandbox import SandboxGateway

_FIXTURES = Path(__file__).parents[4] / "shared" / "stripe" / "fixtures3.json"


@pytest.fixture(scope="module")
def fixtures() -> dict[str, Any]:
    if not _FIXTURES.exists():
        pytest.skip("Stripe's fixtures3.json is not beside this checkout")
    resources: dict[str, Any] = json.loads(_FIXTURES.read_text())["resources"]
    return resources


def differences(expected: Any, actual: Any, path: str) -> Iterator[str]:
    """A hash whose example is an open map (metadata and its like) or null here says nothing more."""
    if actual is None or expected is None:
        return
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    if kinds[type(expected)] != kinds[type(actual)] and not (
        isinstance(expected, str) and isinstance(actual, dict)
    ):
        yield f"{path}: {type(actual).__name__} instead of {type(expected).__name__}"
    if isinstance(expected, dict) and isinstance(actual, dict) and not path.endswith("metadata"):
        for name, value in expected.items():
            if name not in actual:
                yield f"{path}.{name} is missing"
            else:
                yield from differences(value, actual[name], f"{path}.{name}")


def test_objects_have_the_published_keys(
    client: stripe.StripeClient, sandbox: SandboxGateway, fixtures: dict[str, Any]
) -> None:
    customer = client.v1.customers.create({"email": "a@example.com"})
    method = client.v1.payment_methods.attach("pm_card_createDispute", {"customer": customer.id})
    intent = pay(client, method.id, customer=customer.id)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    endpoint = client.v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9/", "enabled_events": ["payout.paid"]}
    )
    sandbox.advance(2)
    dispute = client.v1.disputes.list().data[0]
    waiting = pay(client, "pm_card_authenticationRequired")
    pending = pay(client, "pm_usBankAccount_success")
    transaction = client.v1.balance_transactions.list().data[0]
    pay(client)
    sandbox.advance(3 * 86400)
    payout = client.v1.payouts.list().data[0]
    event = client.v1.events.list().data[0]
    paths = {
        "customer": [f"customers/{customer.id}"],
        "payment_method": [f"payment_methods/{method.id}", f"payment_methods/{pending.payment_method}"],
        "payment_intent": [f"payment_intents/{one.id}" for one in (intent, waiting, pending)],
        "charge": [
            f"charges/{charge_of(intent).id}?expand[]=refunds",
            f"charges/{charge_of(pending).id}",
        ],
        "refund": [f"refunds/{refund.id}"],
        "dispute": [f"disputes/{dispute.id}"],
        "balance_transaction": [f"balance_transactions/{transaction.id}"],
        "payout": [f"payouts/{payout.id}"],
        "balance": ["balance"],
        "event": [f"events/{event.id}"],
        "webhook_endpoint": [f"webhook_endpoints/{endpoint.id}"],
    }
    found = []
    for kind, several in paths.items():
        expected = {**fixtures[kind]}
        if kind == "event":
            del expected["data"]  # of another kind of event
        for path in several:
            shown = sandbox.get(f"/v1/{path}").raise_for_status().json()
            if kind == "charge" and "us_bank_account" in shown["payment_method_details"]:
                expected = {**expected, "payment_method_details": {"type": "x"}}
            found += list(differences(expected, shown, kind))
    assert found == []


def test_a_missing_key_would_be_seen(fixtures: dict[str, Any]) -> None:
    refund = {**fixtures["refund"], "amount": "100"}
    del refund["status"]
    assert list(differences(fixtures["refund"], refund, "refund")) == [
        "refund.amount: str instead of int",
        "refund.status is missing",
    ]
