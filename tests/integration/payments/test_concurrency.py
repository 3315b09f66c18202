"""Everything at once on one payment: row locks decide, the loser gets 409 or the same result, money moves once."""

import asyncio
from collections import Counter

import httpx

from tests.support.shop import Shop


def codes(answers: list[httpx.Response]) -> Counter[str]:
    """How often each answer came: the status's number, and a problem's code."""
    return Counter(f"{answer.status_code} {answer.json().get('code', '')}".strip() for answer in answers)


async def test_two_captures_at_once_take_the_money_once(shop: Shop) -> None:
    payment = await shop.pay("p", captureMethod="MANUAL")
    path = f"/v1/payments/{payment['paymentId']}/capture"
    answers = await asyncio.gather(*(shop.post(path, {}, key=f"c{n}") for n in range(6)))
    told = codes(answers)
    assert told["200"] == 1
    assert set(told) <= {"200", "409 operation_in_flight", "409 payment_state_forbids"}
    await shop.settle()
    await shop.check_books(payment["paymentId"])
    assert (await shop.payment(payment["paymentId"]))["amountCaptured"] == 1000


async def test_the_same_capture_sent_twice_at_once_has_one_answer(shop: Shop) -> None:
    payment = await shop.pay("p", captureMethod="MANUAL")
    path = f"/v1/payments/{payment['paymentId']}/capture"
    answers = await asyncio.gather(*(shop.post(path, {}, key="same") for _ in range(6)))
    told = codes(answers)
    assert told["200"] >= 1
    assert set(told) <= {"200", "409 request_in_flight"}
    again = await shop.post(path, {}, key="same")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["amountCaptured"] == 1000
    await shop.check_books(payment["paymentId"])


async def test_capture_against_void_ends_one_way(shop: Shop) -> None:
    for round in range(4):
        payment = await shop.pay(f"p{round}", captureMethod="MANUAL")
        path = f"/v1/payments/{payment['paymentId']}"
        captured, voided = await asyncio.gather(
            shop.post(f"{path}/capture", {}, key=f"c{round}"),
            shop.post(f"{path}/cancel", {}, key=f"v{round}"),
        )
        assert sorted([captured.status_code, voided.status_code]) == [200, 409]
        await shop.settle()
        await shop.check_books(payment["paymentId"])
        after = await shop.payment(payment["paymentId"])
        won = ("SUCCEEDED", 1000) if captured.status_code == 200 else ("CANCELED", 0)
        assert (after["status"], after["amountCaptured"]) == won


async def test_two_confirmations_at_once_pay_once(shop: Shop) -> None:
    payment = await shop.pay("p", paymentMethodToken="pm_card_chargeDeclined")
    path = f"/v1/payments/{payment['paymentId']}/confirm"
    body = {"paymentMethodToken": "pm_card_visa"}
    answers = await asyncio.gather(*(shop.post(path, body, key=f"c{n}") for n in range(5)))
    told = codes(answers)
    assert told["200"] == 1
    assert set(told) <= {"200", "409 operation_in_flight", "409 payment_state_forbids"}
    await shop.settle()
    await shop.check_books(payment["paymentId"])


async def test_the_webhook_may_be_quicker_than_the_answer(shop: Shop) -> None:
    """The gateway answers late, and tells of it at once: whoever is first, it is recorded once."""
    shop.sandbox.chaos(seed=1, api={"latencyMs": 150})
    payments = await asyncio.gather(*(shop.pay(f"p{n}") for n in range(4)))
    shop.sandbox.chaos()
    await shop.settle()
    for payment in payments:
        await shop.check_books(payment["paymentId"])
        assert [event["type"] for event in await shop.events(payment["paymentId"])] == ["PaymentSucceeded"]


async def test_fifty_refunds_at_once_give_back_what_was_captured_and_no_cent_more(shop: Shop) -> None:
    payment = await shop.pay("p", 1000)
    payment_id = payment["paymentId"]
    answers = await asyncio.gather(*(shop.refund(payment_id, 30, f"r{n}") for n in range(50)))
    told = codes(answers)
    assert told == {"201": 33, "422 refund_exceeds_captured": 17}
    await shop.settle()
    await shop.check_books(payment_id)
    assert (await shop.payment(payment_id))["amountRefunded"] == 990
    assert (await shop.refund(payment_id, 11, "more")).json()["code"] == "refund_exceeds_captured"
    assert (await shop.refund(payment_id, 10, "rest")).json()["status"] == "SUCCEEDED"
    await shop.check_books(payment_id)


async def test_fifty_refunds_at_once_through_a_gateway_that_fails_and_forgets_to_answer(shop: Shop) -> None:
    payment = await shop.pay("p", 1000)
    payment_id = payment["paymentId"]
    shop.sandbox.chaos(
        seed=4,
        api={"error500": 0.3, "timeoutAfterSuccess": 0.05},
        webhooks={"duplicate": 0.3, "drop": 0.3, "reorder": True},
    )
    answers = await asyncio.gather(*(shop.refund(payment_id, 30, f"r{n}") for n in range(50)))
    assert codes(answers) == {"201": 33, "422 refund_exceeds_captured": 17}
    assert any(answer.json().get("operation") == "UNKNOWN" for answer in answers)
    shop.sandbox.chaos()
    await shop.settle()
    await shop.check_books(payment_id)
    ended = await shop.rows("SELECT status, operation_unknown, failure_reason FROM payments.refund")
    assert len(ended) == 33
    assert not any(row["operation_unknown"] for row in ended)
    # What never reached the gateway, which answers a stored 500 again and again, is given up for good
    # and may be begun again under another key.
    given_up = [row for row in ended if row["status"] == "FAILED"]
    assert all(row["failure_reason"] == "never_arrived" for row in given_up)
    assert len(given_up) < 33
    for n in range(len(given_up)):
        assert (await shop.refund(payment_id, 30, f"again{n}")).json()["status"] == "SUCCEEDED"
    await shop.check_books(payment_id)
    assert (await shop.at_the_gateway(payment_id))["refunded"] == 990
