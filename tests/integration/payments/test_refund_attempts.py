"""A refund that the bank sends back is retried at a real gateway: its objects and their webhooks are told apart."""

from typing import Any

from tests.integration.http.conftest import REFUNDER
from tests.support.shop import Shop


async def read(shop: Shop, refund_id: str) -> dict[str, Any]:
    refund: dict[str, Any] = (await shop.api.get(f"/v1/refunds/{refund_id}", scopes=REFUNDER)).json()
    return refund


async def test_each_attempt_has_its_own_object_and_late_news_of_the_first_changes_nothing(shop: Shop) -> None:
    payment_id = (await shop.pay("p", paymentMethodToken="pm_card_refundFail"))["paymentId"]
    refund_id = (await shop.refund(payment_id, 400, "r")).json()["refundId"]
    await shop.settle()
    shop.advance(3600)
    await shop.delivered()
    first = await read(shop, refund_id)
    assert (first["status"], first["attempt"]) == ("FAILED", 1)
    await shop.check_books(payment_id)

    retried = await shop.post(f"/v1/refunds/{refund_id}/retry", key="again")
    assert (retried.status_code, retried.json()["attempt"]) == (200, 2)
    await shop.tell_again()  # those of the first attempt once more, whatever has become of the second
    shop.advance(3600)
    await shop.delivered()
    second = await read(shop, refund_id)
    assert (second["status"], second["attempt"]) == ("FAILED", 2)
    await shop.tell_again()
    assert await read(shop, refund_id) == second
    assert (await shop.payment(payment_id))["amountRefunded"] == 0
    assert (await shop.payment(payment_id))["attention"] is None
    await shop.check_books(payment_id)
    told = [event["type"] for event in await shop.events(payment_id) if event.get("refundId") == refund_id]
    assert told == ["RefundProcessed", "RefundFailed"] * 2


async def test_a_retry_whose_answer_is_lost_is_found_by_its_number(shop: Shop) -> None:
    payment_id = (await shop.pay("p", paymentMethodToken="pm_card_refundFail"))["paymentId"]
    refund_id = (await shop.refund(payment_id, 400, "r")).json()["refundId"]
    shop.advance(3600)
    await shop.delivered()
    shop.sandbox.chaos(seed=1, api={"timeoutAfterSuccess": 1.0}, webhooks={"drop": 1.0})
    retried = await shop.post(f"/v1/refunds/{refund_id}/retry", key="again")
    told = retried.json()
    assert (retried.status_code, told["status"], told["operation"]) == (200, "PENDING", "UNKNOWN")
    shop.sandbox.chaos()
    await shop.settle()
    await shop.tell_again()
    found = await read(shop, refund_id)
    assert (found["attempt"], found["operation"]) == (2, None)
    await shop.check_books(payment_id)
