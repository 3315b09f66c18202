"""Disputes from the sandbox's bank, over its webhooks, to what the API tells."""

from typing import Any

from tests.support.shop import Shop

DAY = 86400


async def disputes(shop: Shop, payment_id: str) -> list[dict[str, Any]]:
    answer = await shop.api.get(f"/v1/disputes?paymentId={payment_id}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def open_dispute(shop: Shop, *, refunded: int = 0, inquiry: bool = False) -> dict[str, Any]:
    """A payment that its bank disputes; the dispute as our API tells it."""
    payment = await shop.pay("p")
    if refunded:
        assert (await shop.refund(payment["paymentId"], refunded, "before")).status_code == 201
    shop.sandbox.dispute(payment["gatewayPaymentIntentId"], inquiry=inquiry)
    await shop.delivered()
    [dispute] = await disputes(shop, payment["paymentId"])
    return dispute


async def answer_bank(shop: Shop, dispute: dict[str, Any], text: str) -> dict[str, Any]:
    form = {"evidence[uncategorized_text]": text}
    shop.sandbox.post(f"/v1/disputes/{dispute['disputeId']}", form).raise_for_status()
    shop.advance(2)
    await shop.delivered()
    answer = await shop.api.get(f"/v1/disputes/{dispute['disputeId']}")
    found: dict[str, Any] = answer.json()
    return found


async def types(shop: Shop, payment_id: str) -> list[str]:
    return [event["type"] for event in await shop.events(payment_id)]


async def test_a_chargeback_is_told_blocks_refunds_and_is_won(shop: Shop) -> None:
    dispute = await open_dispute(shop)
    payment_id = dispute["paymentId"]
    assert (dispute["status"], dispute["closed"], dispute["chargeRefundable"]) == (
        "needs_response",
        False,
        False,
    )
    assert (dispute["amount"], dispute["amountWithdrawn"], dispute["currency"]) == (1000, 1000, "EUR")
    assert dispute["evidenceDueBy"] is not None
    assert (await shop.payment(payment_id))["attention"] == "DISPUTED"
    refused = await shop.refund(payment_id, 100, "r")
    assert (refused.status_code, refused.json()["code"]) == (409, "charge_disputed")

    won = await answer_bank(shop, dispute, "winning_evidence")
    assert (won["status"], won["closed"], won["amountWithdrawn"]) == ("won", True, 0)
    assert (await shop.payment(payment_id))["attention"] is None
    assert await types(shop, payment_id) == ["PaymentSucceeded", "DisputeOpened", "DisputeClosed"]
    await shop.check_books(payment_id)


async def test_a_dispute_of_which_only_the_gateway_knows(shop: Shop) -> None:
    shop.sandbox.chaos(seed=1, webhooks={"drop": 1.0})
    payment = await shop.pay("p")
    shop.sandbox.dispute(payment["gatewayPaymentIntentId"])
    refused = await shop.refund(payment["paymentId"], 100, "r")
    assert (refused.status_code, refused.json()["code"]) == (409, "charge_disputed")
    again = await shop.refund(payment["paymentId"], 100, "r")
    assert again.json() == refused.json()
    await shop.check_books(payment["paymentId"])
    assert await disputes(shop, payment["paymentId"]) == []


async def test_evidence_that_is_due_and_never_given(shop: Shop) -> None:
    dispute = await open_dispute(shop, refunded=400)
    payment_id = dispute["paymentId"]
    shop.advance(7 * DAY)
    assert await shop.container.payments.remind_of_evidence() == 1
    assert (await shop.payment(payment_id))["attention"] == "DISPUTE_EVIDENCE_DUE"
    shop.advance(3 * DAY)
    await shop.delivered()
    [lost] = await disputes(shop, payment_id)
    assert (lost["status"], lost["amountWithdrawn"]) == ("lost", 1000)
    after = await shop.payment(payment_id)
    assert (after["amountRefunded"], after["attention"]) == (400, "REFUNDED_AND_DISPUTE_LOST")
    await shop.check_books(payment_id)


async def test_an_inquiry_is_answered_by_a_refund(shop: Shop) -> None:
    inquiry = await open_dispute(shop, inquiry=True)
    assert (inquiry["status"], inquiry["chargeRefundable"], inquiry["amountWithdrawn"]) == (
        "warning_needs_response",
        True,
        0,
    )
    assert (await shop.refund(inquiry["paymentId"], 1000, "r")).json()["status"] == "SUCCEEDED"
    await shop.delivered()
    [closed] = await disputes(shop, inquiry["paymentId"])
    assert closed["status"] == "warning_closed"
    await shop.check_books(inquiry["paymentId"])


async def test_an_inquiry_becomes_a_chargeback_and_is_lost(shop: Shop) -> None:
    inquiry = await open_dispute(shop, inquiry=True)
    escalated = await answer_bank(shop, inquiry, "escalate_inquiry_evidence")
    assert (escalated["status"], escalated["amountWithdrawn"]) == ("needs_response", 1000)
    assert (await shop.refund(inquiry["paymentId"], 1, "r")).json()["code"] == "charge_disputed"
    lost = await answer_bank(shop, inquiry, "losing_evidence")
    assert lost["status"] == "lost"
    assert (await shop.payment(inquiry["paymentId"]))["attention"] == "DISPUTE_LOST"


async def test_whatever_the_order_of_its_webhooks_a_dispute_ends_the_same(shop: Shop) -> None:
    shop.sandbox.chaos(seed=5, webhooks={"duplicate": 0.5, "reorder": True, "delayMsMax": 50})
    dispute = await open_dispute(shop)
    won = await answer_bank(shop, dispute, "winning_evidence")
    assert (won["status"], won["amountWithdrawn"]) == ("won", 0)
    assert await types(shop, dispute["paymentId"]) == ["PaymentSucceeded", "DisputeOpened", "DisputeClosed"]


async def test_bad_requests_for_disputes_are_answered_clearly(shop: Shop) -> None:
    dispute = await open_dispute(shop)
    for path, status, code in (
        ("/v1/disputes", 400, "malformed"),
        ("/v1/disputes?paymentId=pay_x&colour=red", 400, "malformed"),
        ("/v1/disputes?paymentId=pay_01kaq3vb1c2d3e4f5g6h7j8k9m", 404, "payment_not_found"),
        ("/v1/disputes/du_nothing", 404, "dispute_not_found"),
    ):
        answer = await shop.api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    stranger = ("payments:read",)
    for path in (f"/v1/disputes/{dispute['disputeId']}", f"/v1/disputes?paymentId={dispute['paymentId']}"):
        assert (await shop.api.get(path, scopes=stranger, sub="u_2")).status_code == 404
    page = await shop.api.get(f"/v1/disputes?paymentId={dispute['paymentId']}&limit=1")
    assert (len(page.json()["items"]), page.json()["nextCursor"]) == (1, None)
