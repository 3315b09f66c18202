"""The balance, and how it is paid out by itself and by request."""

import pytest
import stripe

from tests.integration.sandbox.test_payments import pay
from tests.support.sandbox import SandboxGateway

DAY = 86400


def totals(client: stripe.StripeClient) -> tuple[int, int]:
    """What is available and what is pending, in the first currency."""
    balance = client.v1.balance.retrieve()
    return balance.available[0].amount, balance.pending[0].amount


def test_money_is_pending_then_available_then_paid_out(
    client: stripe.StripeClient, sandbox: SandboxGateway
) -> None:
    assert totals(client) == (0, 0)
    intent = pay(client, capture_method="automatic")
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 99})
    [refund, charge] = client.v1.balance_transactions.list().data
    assert (charge.amount, charge.fee, charge.net) == (1099, 62, 1037)
    assert (refund.amount, refund.fee) == (-99, 0), "a refund does not give the fee back"
    assert totals(client) == (0, 938)

    sandbox.advance(3 * DAY)

    [payout] = client.v1.payouts.list().data
    assert (payout.amount, payout.automatic, payout.status) == (938, True, "in_transit")
    assert totals(client) == (0, 0)
    parts = client.v1.balance_transactions.list({"payout": payout.id}).data
    assert [one.type for one in parts] == ["payout", "refund", "charge"]
    assert sum(one.net for one in parts) == 0
    assert (parts[0].amount, parts[0].source) == (-938, payout.id)

    sandbox.advance(DAY)
    assert client.v1.payouts.retrieve(payout.id).status == "paid"
    types = [event.type for event in client.v1.events.list({"type": "payout.*"}).data]
    assert types == ["payout.paid", "payout.created"]
    assert len(client.v1.payouts.list().data) == 1, "there was nothing more to pay out"


def test_each_payout_has_what_became_available_since_the_last(
    client: stripe.StripeClient, sandbox: SandboxGateway
) -> None:
    pay(client, capture_method="automatic")
    sandbox.advance(3 * DAY)
    intent = pay(client, capture_method="automatic")
    client.v1.refunds.create({"payment_intent": intent.id})
    sandbox.advance(3 * DAY)
    assert len(client.v1.payouts.list().data) == 1, "the fee is owed to the gateway"
    pay(client, capture_method="automatic")
    sandbox.advance(3 * DAY)
    newest, _ = client.v1.payouts.list().data
    assert newest.amount == 1037 - 62
    assert totals(client) == (0, 0)


def test_a_part_is_paid_out_by_request(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    pay(client, capture_method="automatic")
    currency = client.v1.balance.retrieve().pending[0].currency
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payouts.create({"amount": 100, "currency": currency})
    assert refused.value.code == "balance_insufficient"
    sandbox.advance(2 * DAY)
    available, pending = totals(client)
    if available:  # else the clock has passed a midnight on its way, and all of it is paid out
        payout = client.v1.payouts.create({"amount": 100, "currency": currency})
        assert not payout.automatic
        assert totals(client) == (available - 100, pending)
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.balance_transactions.list({"payout": payout.id})


def test_a_dispute_costs_a_fee_that_is_not_given_back(
    client: stripe.StripeClient, sandbox: SandboxGateway
) -> None:
    intent = pay(client, capture_method="automatic")
    sandbox.dispute(intent.id)
    assert totals(client) == (0, 1037 - 1099 - 1500)
