"""Stripe's objects as its API gives them, shortened to what is read and something more."""

import json
from pathlib import Path
from typing import Any

import pytest

_FIXTURES = Path(__file__).parents[4] / "shared" / "stripe" / "fixtures3.json"

CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "object": "charge",
    "payment_method_details": {
        "type": "card",
        "card": {
            "brand": "visa",
            "last4": "4242",
            "capture_before": 1_790_000_000,
            "multicapture": {"status": "available"},
        },
    },
}
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1099,
    "amount_capturable": 99,
    "amount_received": 1000,
    "cancellation_reason": None,
    "client_secret": "pi_1_secret_x",
    "currency": "usd",
    "customer": "cus_1",
    "last_payment_error": None,
    "latest_charge": CHARGE,
    "metadata": {"paymentId": "pay_1", "orderId": "ord_1"},
    "next_action": None,
    "status": "succeeded",
}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "object": "refund",
    "amount": 500,
    "charge": "ch_1",
    "currency": "usd",
    "metadata": {"paymentId": "pay_1", "refundId": "ref_1", "reason": "arrived broken"},
    "payment_intent": "pi_1",
    "reason": None,
    "status": "succeeded",
}
DISPUTE: dict[str, Any] = {
    "id": "dp_1",
    "object": "dispute",
    "amount": 1099,
    "balance_transactions": [{"amount": -1099, "currency": "usd", "fee": 1500}],
    "charge": "ch_1",
    "created": 1767225600,
    "currency": "usd",
    "evidence_details": {"due_by": 1768003199, "past_due": False},
    "is_charge_refundable": False,
    "payment_intent": "pi_1",
    "reason": "fraudulent",
    "status": "needs_response",
}


def published(kind: str) -> dict[str, Any]:
    """Stripe's own published example of an object; the test is skipped where it is not at hand."""
    if not _FIXTURES.exists():
        pytest.skip("Stripe's published fixtures are not here")
    example: dict[str, Any] = json.loads(_FIXTURES.read_text())["resources"][kind]
    return example
