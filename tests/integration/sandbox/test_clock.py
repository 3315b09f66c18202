"""Time by the sandbox's own clock, and chaos that a seed brings back."""

from typing import Any

import pytest
import stripe

from tests.integration.sandbox.test_payments import charge_of, events, pay
from tests.support.sandbox import SandboxGateway

WEEK = 7 * 86400


def test_an_authorization_expires(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    intent = pay(client, capture_method="manual")
    card = charge_of(intent).payment_method_details
    assert card is not None
    assert card.card is not None
    assert card.card.capture_before == charge_of(intent).created + WEEK

    sandbox.advance(WEEK - 60)
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"
    sandbox.advance(120)

    expired = client.v1.payment_intents.retrieve(intent.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "expired")
    assert expired.canceled_at == charge_of(intent).created + WEEK
    assert events(client)[-2:] == ["charge.expired", "payment_intent.canceled"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


def test_what_was_captured_stays_taken(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    options: Any = {"card": {"request_multicapture": "if_available"}}
    intent = pay(client, capture_method="manual", payment_method_options=options)
    client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 400, "final_capture": False})

    sandbox.advance(WEEK)

    after = client.v1.payment_intents.retrieve(intent.id)
    assert (after.status, after.amount_received, after.amount_capturable) == ("succeeded", 400, 0)
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 400})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 1})


def test_a_balance_becomes_available(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    pay(client, capture_method="automatic")
    [transaction] = client.v1.balance_transactions.list().data
    assert transaction.status == "pending"
    sandbox.advance(2 * 86400)
    assert client.v1.balance_transactions.retrieve(transaction.id).status == "available"


def test_reset_clears_chaos_and_clock(sandbox: SandboxGateway) -> None:
    sandbox.advance(1000)
    sandbox.chaos(seed=7, api={"error500": 1})
    sandbox.reset()
    assert sandbox.get("/_sandbox/clock").json()["offsetSeconds"] == 0
    chaos = sandbox.get("/_sandbox/chaos").json()
    assert (chaos["seed"], chaos["api"]["error500"]) == (0, 0)


def test_a_seed_brings_the_same_faults(sandbox: SandboxGateway) -> None:
    def statuses(seed: int) -> list[int]:
        sandbox.chaos(seed=seed, api={"error500": 0.5})
        return [sandbox.get("/v1/events").status_code for _ in range(20)]

    first = statuses(1)
    assert set(first) == {200, 500}
    assert statuses(1) == first
    assert statuses(2) != first
