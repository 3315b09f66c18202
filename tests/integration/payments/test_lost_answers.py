"""The gateway forgets a key after a day: what becomes of a refund whose answer was lost before that."""

from typing import Any

import pytest

from domain.payments.gateway import GatewayRequest, GatewayUnknown, IntentSnapshot, RefundSnapshot
from tests.support.sandbox import SandboxGateway
from tests.support.shop import Shop

HOUR = 3600


def refunds_at(sandbox: SandboxGateway) -> int:
    found: int = sandbox.state()["counts"].get("refund", 0)
    return found


async def refund_row(shop: Shop) -> dict[str, Any]:
    [row] = await shop.rows(
        "SELECT refund_id, status, operation_unknown, failure_reason FROM payments.refund"
    )
    return row


async def operations(shop: Shop) -> list[str]:
    rows = await shop.rows("SELECT status FROM payments.operation WHERE kind = 'REFUND' ORDER BY created_at")
    return [row["status"] for row in rows]


async def recover(shop: Shop) -> None:
    while await shop.container.payments.recover_operations():
        pass


async def test_a_refund_done_whose_answer_was_lost_is_found_25_hours_later(shop: Shop) -> None:
    payment = await shop.pay("p")
    shop.sandbox.chaos(seed=1, api={"timeoutAfterSuccess": 1.0}, webhooks={"drop": 1.0})
    answer = await shop.refund(payment["paymentId"], 400, "r")
    assert (answer.status_code, answer.json()["status"], answer.json()["operation"]) == (
        201,
        "PENDING",
        "UNKNOWN",
    )
    shop.sandbox.chaos()
    shop.advance(25 * HOUR)  # the gateway has forgotten the key: the request would be done once more
    await recover(shop)
    assert (await refund_row(shop))["status"] == "SUCCEEDED"
    assert refunds_at(shop.sandbox) == 1
    await shop.check_books(payment["paymentId"])


async def test_a_refund_that_never_arrived_is_not_sent_again_25_hours_later(shop: Shop) -> None:
    payment = await shop.pay("p")
    shop.sandbox.chaos(seed=3, api={"error500": 1.0})
    answer = await shop.refund(payment["paymentId"], 400, "r")
    assert answer.json()["operation"] == "UNKNOWN"
    assert refunds_at(shop.sandbox) == 0, "this seed fails before the work"
    shop.advance(25 * HOUR)
    await recover(shop)
    # The look-up fails as well, and proves nothing: the operation stays open.
    assert await operations(shop) == ["UNKNOWN"]
    shop.sandbox.chaos()
    shop.advance(HOUR)
    await recover(shop)
    row = await refund_row(shop)
    assert (row["status"], row["failure_reason"]) == ("FAILED", "never_arrived")
    assert refunds_at(shop.sandbox) == 0
    again = await shop.refund(payment["paymentId"], 1000, "r2")
    assert again.json()["status"] == "SUCCEEDED"
    await shop.check_books(payment["paymentId"])


async def test_within_20_hours_the_identical_request_is_sent_again_with_its_key(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await shop.pay("p")
    gateway = shop.container.payments.gateways.accounts[0].gateway
    sent: list[tuple[GatewayRequest, str]] = []
    execute = gateway.execute

    async def lose_the_first(request: GatewayRequest, key: str) -> IntentSnapshot | RefundSnapshot:
        sent.append((request, key))
        if len(sent) == 1:
            raise GatewayUnknown("lost on its way")
        return await execute(request, key)

    monkeypatch.setattr(gateway, "execute", lose_the_first)
    answer = await shop.refund(payment["paymentId"], 400, "r")
    assert answer.json()["operation"] == "UNKNOWN"
    shop.advance(19 * HOUR)
    await recover(shop)
    assert (await refund_row(shop))["status"] == "SUCCEEDED"
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert refunds_at(shop.sandbox) == 1
    await shop.check_books(payment["paymentId"])


async def test_the_key_changes_only_after_a_proven_failure(shop: Shop) -> None:
    """The client repeats its own request: an unknown outcome is taken up under the same key."""
    payment = await shop.pay("p")
    shop.sandbox.chaos(seed=1, api={"timeoutAfterSuccess": 1.0}, webhooks={"drop": 1.0})
    first = await shop.refund(payment["paymentId"], 400, "r")
    shop.sandbox.chaos()
    again = await shop.refund(payment["paymentId"], 400, "r")
    assert again.json()["refundId"] == first.json()["refundId"]
    # Another request is another refund with another key, whatever the first one comes to.
    other = await shop.refund(payment["paymentId"], 400, "other")
    assert other.json()["refundId"] != first.json()["refundId"]
    assert (await shop.refund(payment["paymentId"], 400, "third")).json()["code"] == "refund_exceeds_captured"
    await shop.settle()
    assert refunds_at(shop.sandbox) == 2
    await shop.check_books(payment["paymentId"])
