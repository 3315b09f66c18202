"""A payment's life against the sandbox and its clock: held, taken in parts, lapsed, debited, authenticated."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog

from domain.payments.payment import AUTHORIZATION_EXPIRING
from entrypoints.worker.waiting import check_payments
from tests.support.sandbox import SandboxGateway
from tests.support.shop import Shop, open_shop

HOUR = 3600
DAY = 24 * HOUR
LOST = {"api": {"timeoutAfterSuccess": 1.0}, "webhooks": {"drop": 1.0}}
FAILS_BEFORE_THE_WORK: dict[str, Any] = {"seed": 3, "api": {"error500": 1.0}}


@pytest.fixture
async def shop(
    sandbox: SandboxGateway, database_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Shop]:
    changes = {"stripe_multicapture": True, "stripe_timeout_seconds": 1.0}
    async with open_shop(sandbox, database_url, valkey_url, tmp_path, **changes) as shop:
        yield shop


async def recover(shop: Shop) -> None:
    while await shop.container.payments.recover_operations():
        pass


async def types(shop: Shop, payment: dict[str, Any]) -> list[str]:
    return [event["type"] for event in await shop.events(payment["paymentId"])]


async def capture(shop: Shop, payment: dict[str, Any], key: str, **body: Any) -> dict[str, Any]:
    answer = await shop.post(f"/v1/payments/{payment['paymentId']}/capture", body, key=key)
    told: dict[str, Any] = answer.json()
    return told


async def test_captures_in_parts_and_the_lapse_of_the_rest(shop: Shop) -> None:
    payment = await shop.pay("p", captureMethod="MANUAL")
    assert payment["multicapture"] is True
    await capture(shop, payment, "c1", amount=300, final=False)
    await capture(shop, payment, "c2", amount=200, final=False)
    await shop.delivered()
    shop.advance(7 * DAY)
    await shop.delivered()
    assert (await capture(shop, payment, "c3", amount=1))["code"] == "payment_state_forbids"
    told = [
        (event["amount"], event["amountCaptured"], event["final"])
        for event in await shop.events(payment["paymentId"])
        if event["type"] == "PaymentCaptured"
    ]
    assert told == [(300, 300, False), (200, 500, False), (0, 500, True)]
    await shop.check_books(payment["paymentId"])


async def test_a_card_without_multicapture_is_captured_once(shop: Shop) -> None:
    payment = await shop.pay(
        "p", captureMethod="MANUAL", paymentMethodToken="pm_card_credit_disableEnterpriseCardFeatures"
    )
    assert (await capture(shop, payment, "c1", amount=1, final=False))["code"] == "multicapture_unavailable"
    assert (await capture(shop, payment, "c2", amount=300))["amountCaptured"] == 300
    await shop.check_books(payment["paymentId"])


async def test_a_capture_done_whose_answer_was_lost_is_found_25_hours_later(shop: Shop) -> None:
    payment = await shop.pay("p", captureMethod="MANUAL")
    shop.sandbox.chaos(seed=1, **LOST)
    assert (await capture(shop, payment, "c", amount=600, final=False))["operation"] == "UNKNOWN"
    shop.sandbox.chaos()
    shop.advance(25 * HOUR)  # the gateway has forgotten the key: the request would take as much once more
    await recover(shop)
    saved = await shop.payment(payment["paymentId"])
    assert (saved["amountCaptured"], saved["amountCapturable"], saved["operation"]) == (600, 400, None)
    await shop.check_books(payment["paymentId"])


async def test_a_capture_that_never_arrived_is_not_sent_again_25_hours_later(shop: Shop) -> None:
    payment = await shop.pay("p", captureMethod="MANUAL")
    shop.sandbox.chaos(**FAILS_BEFORE_THE_WORK)
    assert (await capture(shop, payment, "c", amount=600))["operation"] == "UNKNOWN"
    shop.sandbox.chaos()
    shop.advance(25 * HOUR)
    await recover(shop)
    assert (await shop.at_the_gateway(payment["paymentId"]))["captured"] == 0
    saved = await shop.payment(payment["paymentId"])
    assert (saved["status"], saved["operation"]) == ("REQUIRES_CAPTURE", None)
    assert (await capture(shop, payment, "c2", amount=600))["amountCaptured"] == 600
    await shop.check_books(payment["paymentId"])


async def test_a_confirmation_whose_answer_was_lost_is_found_25_hours_later(shop: Shop) -> None:
    payment = await shop.pay("p", paymentMethodToken="pm_card_chargeDeclined")
    path = f"/v1/payments/{payment['paymentId']}/confirm"
    shop.sandbox.chaos(seed=1, **LOST)
    answer = await shop.post(path, {"paymentMethodToken": "pm_card_visa"}, key="a")
    assert answer.json()["operation"] == "UNKNOWN"
    shop.sandbox.chaos()
    shop.advance(25 * HOUR)
    await recover(shop)
    assert await types(shop, payment) == ["PaymentFailed", "PaymentSucceeded"]
    await shop.check_books(payment["paymentId"])


async def test_an_authorization_is_warned_of_and_its_lapse_found_though_no_webhook_comes(shop: Shop) -> None:
    payment = await shop.pay("p", captureMethod="MANUAL")
    await shop.delivered()
    shop.sandbox.chaos(webhooks={"drop": 1.0})
    shop.advance(6 * DAY + HOUR)
    with structlog.testing.capture_logs() as told:
        for _ in range(2):
            await check_payments(shop.container)
    assert [(line["event"], line["payment_id"]) for line in told] == [
        ("authorization_expiring", payment["paymentId"])
    ]
    assert (await shop.payment(payment["paymentId"]))["attention"] == AUTHORIZATION_EXPIRING
    shop.advance(DAY)
    done = await shop.container.payments.check_payments()
    assert done.looked_up == [payment["paymentId"]]
    saved = await shop.payment(payment["paymentId"])
    assert (saved["status"], saved["attention"]) == ("CANCELED", None)
    assert saved["cancellationReason"] == "authorization_expired"
    assert (await capture(shop, payment, "c"))["code"] == "authorization_expired"
    assert await types(shop, payment) == ["PaymentAuthorized", "PaymentCanceled"]
    await shop.check_books(payment["paymentId"])


@pytest.mark.parametrize(("token", "event"), [("pm_success_de", "Succeeded"), ("pm_failed_de", "Failed")])
@pytest.mark.parametrize("webhooks", [True, False])
async def test_a_sepa_debit_is_decided_days_later(shop: Shop, token: str, event: str, webhooks: bool) -> None:
    shop.sandbox.chaos(webhooks={"drop": 0.0 if webhooks else 1.0})
    payment = await shop.pay("p", paymentMethodToken=token)
    assert payment["status"] == "PROCESSING"
    refused = await shop.post(f"/v1/payments/{payment['paymentId']}/cancel", {}, key="c")
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_state_forbids")
    shop.advance(4 * DAY)
    await shop.delivered()
    await shop.container.payments.check_payments()
    assert await types(shop, payment) == [f"Payment{event}"]
    await shop.check_books(payment["paymentId"])


@pytest.mark.parametrize("result", ["complete", "fail"])
@pytest.mark.parametrize("first", ["return", "webhook", "both"])
async def test_the_customer_s_return_and_the_webhook_end_in_one_event(
    shop: Shop, first: str, result: str
) -> None:
    payment = await shop.pay("p", paymentMethodToken="pm_card_authenticationRequired")
    await shop.delivered()
    if first == "return":
        shop.sandbox.chaos(webhooks={"delayMsMax": 500})
    page = payment["nextAction"]["redirectUrl"]
    back = await asyncio.to_thread(shop.sandbox.authenticate, page, result)
    if first == "webhook":
        await shop.delivered()
    query = {name: value for name, [value] in parse_qs(urlsplit(back.headers["location"]).query).items()}
    shown, refreshed = await asyncio.gather(
        shop.api.http.get("/checkout/return", params=query),
        shop.api.post(f"/v1/payments/{payment['paymentId']}/refresh"),
    )
    assert (shown.status_code, refreshed.status_code) == (200, 200)
    if first == "webhook":
        assert ("went through" in shown.text) is (result == "complete")
    await shop.delivered()
    outcome = "PaymentSucceeded" if result == "complete" else "PaymentFailed"
    assert await types(shop, payment) == ["PaymentRequiresAction", outcome]
    await shop.check_books(payment["paymentId"])


async def test_a_cancellation_takes_the_place_of_a_confirmation_that_nobody_knows_of(shop: Shop) -> None:
    payment = await shop.pay("p", paymentMethodToken="pm_card_chargeDeclined", captureMethod="MANUAL")
    path = f"/v1/payments/{payment['paymentId']}"
    shop.sandbox.chaos(seed=1, **LOST)
    answer = await shop.post(f"{path}/confirm", {"paymentMethodToken": "pm_card_visa"}, key="a")
    assert answer.json()["operation"] == "UNKNOWN"
    shop.sandbox.chaos()
    canceled = await shop.post(f"{path}/cancel", {"reason": "too slow"}, key="c")
    assert (canceled.json()["status"], canceled.json()["cancellationReason"]) == ("CANCELED", "too slow")
    await shop.settle()
    assert await types(shop, payment) == ["PaymentFailed", "PaymentCanceled"]
    await shop.check_books(payment["paymentId"])
