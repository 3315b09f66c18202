"""Disputes and inquiries, by Stripe's test cards and magic evidence."""

import httpx
import pytest
import stripe

from tests.integration.sandbox.test_payments import charge_of, events, pay
from tests.integration.sandbox.test_refunds import refund_code
from tests.support.sandbox import SandboxGateway

NINE_DAYS = 9 * 86400


def dispute_of(
    client: stripe.StripeClient, sandbox: SandboxGateway, method: str = "pm_card_createDispute"
) -> tuple[stripe.PaymentIntent, stripe.Dispute]:
    """Pay with a card that is disputed, and let it be."""
    intent = pay(client, method)
    sandbox.advance(2)
    [dispute] = client.v1.disputes.list({"payment_intent": intent.id}).data
    return intent, dispute


def answer(
    client: stripe.StripeClient, sandbox: SandboxGateway, dispute_id: str, text: str
) -> stripe.Dispute:
    client.v1.disputes.update(dispute_id, {"evidence": {"uncategorized_text": text}})
    sandbox.advance(2)
    return client.v1.disputes.retrieve(dispute_id)


def test_a_dispute_takes_the_money_and_blocks_refunds(
    client: stripe.StripeClient, sandbox: SandboxGateway
) -> None:
    intent, dispute = dispute_of(client, sandbox)

    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 1099)
    assert not dispute.is_charge_refundable
    assert [(moved.amount, moved.fee) for moved in dispute.balance_transactions] == [(-1099, 1500)]
    assert client.v1.charges.retrieve(charge_of(intent).id).disputed
    assert refund_code(client, intent.id, 1) == "charge_disputed"
    assert {"charge.dispute.created", "charge.dispute.funds_withdrawn"} <= set(events(client))


@pytest.mark.parametrize(
    ("text", "status", "returned"), [("winning_evidence", "won", 2), ("losing_evidence", "lost", 1)]
)
def test_evidence_decides(
    client: stripe.StripeClient, sandbox: SandboxGateway, text: str, status: str, returned: int
) -> None:
    _, dispute = dispute_of(client, sandbox)
    decided = answer(client, sandbox, dispute.id, text)
    assert (decided.status, len(decided.balance_transactions)) == (status, returned)
    assert "charge.dispute.closed" in events(client)


def test_silence_and_acceptance_lose(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    _, accepted = dispute_of(client, sandbox)
    assert client.v1.disputes.close(accepted.id).status == "lost"
    _, silent = dispute_of(client, sandbox)
    sandbox.advance(NINE_DAYS)
    assert client.v1.disputes.retrieve(silent.id).status == "lost"


def test_an_inquiry_leaves_the_money(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    intent, inquiry = dispute_of(client, sandbox, "pm_card_createDisputeInquiry")
    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    assert inquiry.balance_transactions == []

    assert refund_code(client, intent.id, 1099) == "succeeded"

    assert client.v1.disputes.retrieve(inquiry.id).status == "warning_closed"


def test_an_inquiry_escalates(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    _, inquiry = dispute_of(client, sandbox, "pm_card_createDisputeInquiry")
    escalated = answer(client, sandbox, inquiry.id, "escalate_inquiry_evidence")
    assert (escalated.status, escalated.is_charge_refundable) == ("needs_response", False)
    assert len(escalated.balance_transactions) == 1


def test_any_payment_is_disputed_on_request(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    intent = pay(client)
    assert refund_code(client, intent.id, 99) == "succeeded"
    dispute = client.v1.disputes.retrieve(sandbox.dispute(intent.id))
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 1099)
    inquiry = client.v1.disputes.retrieve(
        sandbox.dispute(pay(client).id, inquiry=True, reason="product_not_received")
    )
    assert (inquiry.status, inquiry.reason) == ("warning_needs_response", "product_not_received")


@pytest.mark.parametrize(
    "body", [{}, {"paymentIntent": "pi_x"}, {"paymentIntent": "pi_x", "reason": "spite"}]
)
def test_what_cannot_be_disputed_is_refused(sandbox: SandboxGateway, body: dict[str, str]) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        sandbox._post("/_sandbox/disputes", body)
