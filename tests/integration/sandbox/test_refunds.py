"""Refunds: never more than was taken, whatever comes at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from tests.integration.sandbox.test_payments import charge_of, events, pay
from tests.support.sandbox import SandboxGateway


def refund_code(client: stripe.StripeClient, intent_id: str, amount: int) -> str:
    """What becomes of a refund: its status, or the error's code."""
    try:
        return client.v1.refunds.create({"payment_intent": intent_id, "amount": amount}).status or ""
    except stripe.InvalidRequestError as refused:
        return refused.code or ""


def test_partial_and_full(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    intent = pay(client)

    first = client.v1.refunds.create(
        {"payment_intent": intent.id, "amount": 99, "metadata": {"refundId": "ref_1"}}
    )
    assert (first.status, first.amount) == ("succeeded", 99)
    assert first.to_dict()["metadata"] == {"refundId": "ref_1"}
    assert refund_code(client, intent.id, 1001) == "amount_too_large"
    assert refund_code(client, intent.id, 0) == "parameter_invalid_integer"
    rest = client.v1.refunds.create({"charge": charge_of(intent).id})

    assert rest.amount == 1000
    charge = client.v1.charges.retrieve(charge_of(intent).id, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (1099, True)
    assert charge.refunds is not None
    assert [refund.id for refund in charge.refunds.data] == [rest.id, first.id]
    assert refund_code(client, intent.id, 1) == "charge_already_refunded"
    # The balance follows in its own time, so its event stands anywhere among them.
    assert [event for event in events(client) if event != "charge.updated"][-4:] == [
        "refund.created",
        "charge.refunded",
    ] * 2
    assert sandbox.state()["paymentIntents"][0]["refunded"] == 1099


def test_only_what_was_captured(client: stripe.StripeClient) -> None:
    intent = pay(client, capture_method="manual")
    assert refund_code(client, intent.id, 1) == "charge_not_refundable"
    client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 500})
    assert refund_code(client, intent.id, 501) == "amount_too_large"
    assert refund_code(client, intent.id, 500) == "succeeded"


def test_an_unpaid_intent_has_nothing_to_refund(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 1099, "currency": "usd"})
    assert refund_code(client, intent.id, 1) == "payment_intent_unexpected_state"


def test_fifty_at_once_never_exceed_the_charge(client: stripe.StripeClient) -> None:
    intent = pay(client)
    with ThreadPoolExecutor(50) as pool:
        codes = list(pool.map(lambda _: refund_code(client, intent.id, 100), range(50)))

    assert codes.count("succeeded") == 10
    assert codes.count("amount_too_large") == 40
    assert client.v1.charges.retrieve(charge_of(intent).id).amount_refunded == 1000


def test_one_that_fails_after_it_succeeded(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    intent = pay(client, "pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"

    sandbox.advance(2)

    failed = client.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    charge = client.v1.charges.retrieve(charge_of(intent).id)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert {"refund.updated", "refund.failed", "charge.refund.updated"} <= set(events(client))
    assert sandbox.state()["paymentIntents"][0]["refunded"] == 0


def test_one_that_pends(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    intent = pay(client, "pm_card_pendingRefund")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "pending"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.cancel(refund.id)

    sandbox.advance(2)

    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"


def test_lists_and_metadata(client: stripe.StripeClient) -> None:
    intent, other = pay(client), pay(client)
    refunds = [client.v1.refunds.create({"payment_intent": intent.id, "amount": 10}).id for _ in range(3)]
    client.v1.refunds.create({"payment_intent": other.id})

    listed = client.v1.refunds.list({"payment_intent": intent.id})
    assert [refund.id for refund in listed.data] == refunds[::-1]
    updated = client.v1.refunds.update(refunds[0], {"metadata": {"note": "x"}})
    assert updated.to_dict()["metadata"] == {"note": "x"}
