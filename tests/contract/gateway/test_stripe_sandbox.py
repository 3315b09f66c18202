"""StripeGateway on the sandbox, where it does more than the port's contract says or the sandbox misbehaves."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.stripe.gateway import StripeGateway
from domain.payments.gateway import (
    CaptureMethod,
    GatewayUnknown,
    IntentDraft,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
)
from tests.support.sandbox import SandboxGateway

DRAFT = IntentDraft(
    payment_id="pay_1",
    order_id="ord_1",
    amount=1099,
    currency="EUR",
    capture_method=CaptureMethod.MANUAL,
    payment_method_token="pm_card_visa",
)


@pytest.fixture
async def gateway(sandbox: SandboxGateway) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(
        api_key=sandbox.secret_key,
        api_base=sandbox.url,
        timeout_seconds=5,
        lookup_retries=0,
        multicapture=True,
    )
    yield gateway
    await gateway.aclose()


async def test_a_capture_in_parts(gateway: StripeGateway) -> None:
    intent = await gateway.execute(gateway.prepare_create(DRAFT), "key-create")
    assert isinstance(intent, IntentSnapshot)
    confirm = gateway.prepare_confirm(
        intent.intent_id, payment_method_token=None, return_url="https://shop.test"
    )
    await gateway.execute(confirm, "key-confirm")
    part = gateway.prepare_capture(intent.intent_id, amount=500, currency="EUR", final=False)
    first = await gateway.execute(part, "key-part")
    assert isinstance(first, IntentSnapshot)
    assert (first.status, first.amount_captured, first.amount_capturable) == (
        IntentStatus.REQUIRES_CAPTURE,
        500,
        599,
    )
    rest = gateway.prepare_capture(intent.intent_id, amount=599, currency="EUR", final=True)
    last = await gateway.execute(rest, "key-rest")
    assert isinstance(last, IntentSnapshot)
    assert (last.status, last.amount_captured) == (IntentStatus.SUCCEEDED, 1099)


async def test_a_repetition_after_a_time_out_finds_what_was_done(
    sandbox: SandboxGateway, gateway: StripeGateway
) -> None:
    hasty = StripeGateway(api_key=sandbox.secret_key, api_base=sandbox.url, timeout_seconds=0.5)
    request = hasty.prepare_create(DRAFT)
    sandbox.chaos(api={"timeoutAfterSuccess": 1.0})
    with pytest.raises(GatewayUnknown):
        await hasty.execute(request, "key-create")
    await hasty.aclose()
    sandbox.chaos()
    repeated = await gateway.execute(request, "key-create")
    assert isinstance(repeated, IntentSnapshot)
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert await gateway.find_intent("pay_1", created_after=since) == repeated
    assert len(sandbox.state()["paymentIntents"]) == 1


async def test_a_stored_500_is_unknown_each_time(sandbox: SandboxGateway, gateway: StripeGateway) -> None:
    request = gateway.prepare_create(DRAFT)
    sandbox.chaos(api={"error500": 1.0})
    with pytest.raises(GatewayUnknown):
        await gateway.execute(request, "key-create")
    sandbox.chaos()
    with pytest.raises(GatewayUnknown):
        await gateway.execute(request, "key-create")


async def test_a_list_is_read_to_its_end(sandbox: SandboxGateway, gateway: StripeGateway) -> None:
    intent = await gateway.execute(gateway.prepare_create(DRAFT), "key-create")
    assert isinstance(intent, IntentSnapshot)
    confirm = gateway.prepare_confirm(
        intent.intent_id, payment_method_token=None, return_url="https://shop.test"
    )
    await gateway.execute(confirm, "key-confirm")
    whole = gateway.prepare_capture(intent.intent_id, amount=1099, currency="EUR", final=True)
    await gateway.execute(whole, "key-capture")
    for number in range(101):
        refund = gateway.prepare_refund(
            intent.intent_id,
            refund_id=f"ref_{number}",
            payment_id="pay_1",
            order_id="ord_1",
            amount=1,
            currency="EUR",
            reason="duplicate",
        )
        await gateway.execute(refund, f"key-refund-{number}")
    oldest = await gateway.find_refund(intent.intent_id, "ref_0")
    assert isinstance(oldest, RefundSnapshot)
    assert oldest.refund_id == "ref_0"
