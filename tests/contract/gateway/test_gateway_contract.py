"""What every implementation of the PaymentGateway port does, the fake of the use case tests included."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import (
    AUTHORIZATION_EXPIRED,
    Address,
    CaptureMethod,
    Customer,
    GatewayMethod,
    GatewayRefundStatus,
    GatewayRefused,
    GatewayRequest,
    GatewayUnknown,
    IntentDraft,
    IntentSnapshot,
    IntentStatus,
    LineItem,
    PaymentGateway,
    RefundSnapshot,
)
from domain.shared.payment_events import CardMethod, NextActionType
from tests.contract.gateway.bench import Bench

RETURN_URL = "https://shop.test/back"
_keys = count(1)


def new_key() -> str:
    return f"key-{next(_keys)}"


def draft(**changes: Any) -> IntentDraft:
    fields: dict[str, Any] = {
        "payment_id": "pay_1",
        "order_id": "ord_1",
        "amount": 1099,
        "currency": "EUR",
        "capture_method": CaptureMethod.AUTOMATIC,
        **changes,
    }
    return IntentDraft(**fields)


async def intent_of(
    gateway: PaymentGateway, request: GatewayRequest, key: str | None = None
) -> IntentSnapshot:
    snapshot = await gateway.execute(request, key or new_key())
    assert isinstance(snapshot, IntentSnapshot)
    return snapshot


async def create(gateway: PaymentGateway, **changes: Any) -> IntentSnapshot:
    return await intent_of(gateway, gateway.prepare_create(draft(**changes)))


async def confirm(gateway: PaymentGateway, intent_id: str, token: str | None) -> IntentSnapshot:
    request = gateway.prepare_confirm(intent_id, payment_method_token=token, return_url=RETURN_URL)
    return await intent_of(gateway, request)


async def pay(gateway: PaymentGateway, token: str = "pm_card_visa", **changes: Any) -> IntentSnapshot:
    return await confirm(gateway, (await create(gateway, **changes)).intent_id, token)


async def capture(
    gateway: PaymentGateway, intent_id: str, amount: int, *, final: bool = True
) -> IntentSnapshot:
    request = gateway.prepare_capture(intent_id, amount=amount, currency="EUR", final=final)
    return await intent_of(gateway, request)


def refund_request(
    gateway: PaymentGateway, intent_id: str, amount: int, refund_id: str = "ref_1", attempt: int = 1
) -> GatewayRequest:
    return gateway.prepare_refund(
        intent_id,
        refund_id=refund_id,
        attempt=attempt,
        payment_id="pay_1",
        order_id="ord_1",
        amount=amount,
        currency="EUR",
        reason="arrived broken",
    )


async def refund(
    gateway: PaymentGateway, intent_id: str, amount: int, refund_id: str = "ref_1"
) -> RefundSnapshot:
    snapshot = await gateway.execute(refund_request(gateway, intent_id, amount, refund_id), new_key())
    assert isinstance(snapshot, RefundSnapshot)
    return snapshot


async def test_an_intent_is_created_unpaid_and_names_payment_and_order(gateway: PaymentGateway) -> None:
    intent = await create(gateway)
    assert intent.status is IntentStatus.REQUIRES_PAYMENT_METHOD
    assert (intent.amount, intent.currency) == (1099, "EUR")
    assert (intent.amount_capturable, intent.amount_captured) == (0, 0)
    assert (intent.payment_id, intent.order_id) == ("pay_1", "ord_1")
    assert intent.client_secret
    assert (intent.charge_id, intent.last_error, intent.next_action) == (None, None, None)


async def test_with_a_payment_method_only_the_confirmation_is_missing(gateway: PaymentGateway) -> None:
    intent = await create(gateway, payment_method_token="pm_card_visa")
    assert intent.status is IntentStatus.REQUIRES_CONFIRMATION
    paid = await confirm(gateway, intent.intent_id, None)
    assert paid.status is IntentStatus.SUCCEEDED


async def test_everything_a_draft_may_hold_is_accepted(gateway: PaymentGateway) -> None:
    customer = Customer(
        name="Jenny Rosen",
        email="jenny@example.com",
        phone="+15555555555",
        shipping_address=Address(line1="1 Main St", city="Oakland", postal_code="94607", country="US"),
    )
    customer_id = await gateway.create_customer("u_1", customer, new_key())
    intent = await create(
        gateway,
        amount=2600,
        gateway_customer_id=customer_id,
        description="Order 1",
        customer=customer,
        lines=(
            LineItem(
                name="Oak board",
                quantity=2,
                unit_amount=1000,
                sku="OAK-BOARD-2400-MM",
                discount_amount=100,
                tax_amount=300,
                commodity_code="301036",
                unit_of_measure="each",
            ),
        ),
        shipping_amount=400,
    )
    assert intent.customer_id == customer_id
    assert intent.amount == 2600


async def test_a_request_is_the_same_after_it_was_saved(gateway: PaymentGateway) -> None:
    line = LineItem(name="Oak board", quantity=1, unit_amount=1099)
    prepared = gateway.prepare_create(draft(customer=Customer(name="Jenny Rosen"), lines=(line,)))
    loaded = GatewayRequest(prepared.path, json.loads(json.dumps(prepared.params)))
    first = await intent_of(gateway, prepared, "key-saved")
    assert (await intent_of(gateway, loaded, "key-saved")).intent_id == first.intent_id


async def test_the_amount_changes_until_somebody_confirms(gateway: PaymentGateway) -> None:
    lines = (LineItem(name="Oak board", quantity=1, unit_amount=1099),)
    intent = await create(gateway, lines=lines)
    for amount, more in ((2000, {}), (1500, {"lines": (LineItem(name="Oak", quantity=3, unit_amount=500),)})):
        wanted = draft(amount=amount, description="Changed", **more)
        changed = await intent_of(gateway, gateway.prepare_update(intent.intent_id, wanted))
        assert (changed.intent_id, changed.amount, changed.status) == (
            intent.intent_id,
            amount,
            intent.status,
        )
        assert (changed.payment_id, changed.order_id) == ("pay_1", "ord_1")
    paid = await confirm(gateway, intent.intent_id, "pm_card_visa")
    assert paid.amount_captured == 1500
    with pytest.raises(GatewayRefused) as refused:
        await gateway.execute(gateway.prepare_update(intent.intent_id, draft(amount=1600)), new_key())
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_a_working_card_pays_at_once(gateway: PaymentGateway) -> None:
    paid = await pay(gateway)
    assert paid.status is IntentStatus.SUCCEEDED
    assert (paid.amount_captured, paid.amount_capturable) == (1099, 0)
    assert paid.method == CardMethod("visa", "4242")
    assert paid.charge_id
    assert paid.failed_charge_id is None
    assert await gateway.get_intent(paid.intent_id) == paid


async def test_amounts_keep_iso_s_minor_unit(gateway: PaymentGateway) -> None:
    paid = await pay(gateway, amount=1200, currency="ISK")
    assert (paid.amount, paid.amount_captured, paid.currency) == (1200, 1200, "ISK")


async def test_a_decline_is_a_result_and_the_next_attempt_may_succeed(gateway: PaymentGateway) -> None:
    declined = await pay(gateway, "pm_card_chargeDeclinedInsufficientFunds")
    assert declined.status is IntentStatus.REQUIRES_PAYMENT_METHOD
    assert declined.last_error is not None
    assert (declined.last_error.code, declined.last_error.decline_code) == (
        "card_declined",
        "insufficient_funds",
    )
    assert declined.failed_charge_id
    assert declined.amount_captured == 0

    again = await confirm(gateway, declined.intent_id, "pm_card_visa_chargeDeclined")
    assert again.last_error is not None
    assert again.last_error.decline_code == "generic_decline"
    assert again.failed_charge_id not in (None, declined.failed_charge_id)

    paid = await confirm(gateway, declined.intent_id, "pm_card_visa")
    assert paid.status is IntentStatus.SUCCEEDED
    assert (paid.last_error, paid.failed_charge_id) == (None, None)
    assert paid.charge_id not in (again.failed_charge_id, declined.failed_charge_id)


async def test_a_repeated_decline_is_the_same_decline(gateway: PaymentGateway) -> None:
    intent = await create(gateway)
    request = gateway.prepare_confirm(
        intent.intent_id, payment_method_token="pm_card_chargeDeclined", return_url=RETURN_URL
    )
    first = await intent_of(gateway, request, "key-declined")
    assert await intent_of(gateway, request, "key-declined") == first


@pytest.mark.parametrize("passes", [True, False])
async def test_the_customer_may_have_to_authenticate(bench: Bench, passes: bool) -> None:
    waiting = await pay(bench.gateway, "pm_card_authenticationRequired")
    assert waiting.status is IntentStatus.REQUIRES_ACTION
    assert waiting.next_action is not None
    assert waiting.next_action.type is NextActionType.REDIRECT
    assert waiting.next_action.redirect_url

    bench.authenticate(waiting, passes=passes)
    after = await bench.gateway.get_intent(waiting.intent_id)
    assert after.next_action is None
    if passes:
        assert (after.status, after.amount_captured) == (IntentStatus.SUCCEEDED, 1099)
    else:
        assert after.status is IntentStatus.REQUIRES_PAYMENT_METHOD
        assert after.last_error is not None
        assert after.last_error.code == "payment_intent_authentication_failure"
        assert after.failed_charge_id is None


async def test_a_paid_intent_is_not_confirmed_again(gateway: PaymentGateway) -> None:
    paid = await pay(gateway)
    with pytest.raises(GatewayRefused) as refused:
        await confirm(gateway, paid.intent_id, "pm_card_visa")
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_a_manual_payment_is_held_then_captured(gateway: PaymentGateway) -> None:
    held = await pay(gateway, capture_method=CaptureMethod.MANUAL)
    assert held.status is IntentStatus.REQUIRES_CAPTURE
    assert (held.amount_capturable, held.amount_captured) == (1099, 0)
    assert held.capture_before is not None
    assert held.capture_before > datetime.now(UTC) + timedelta(days=1)

    captured = await capture(gateway, held.intent_id, 1000)
    assert captured.status is IntentStatus.SUCCEEDED
    assert (captured.amount_capturable, captured.amount_captured) == (0, 1000)
    with pytest.raises(GatewayRefused):
        await capture(gateway, held.intent_id, 99)


async def test_no_more_is_captured_than_is_held(gateway: PaymentGateway) -> None:
    held = await pay(gateway, capture_method=CaptureMethod.MANUAL)
    with pytest.raises(GatewayRefused) as refused:
        await capture(gateway, held.intent_id, 1100)
    assert refused.value.code == "amount_too_large"
    assert (await gateway.get_intent(held.intent_id)).amount_capturable == 1099


async def test_a_capture_in_parts_needs_multicapture(gateway: PaymentGateway) -> None:
    token = "pm_card_credit_disableEnterpriseCardFeatures"
    held = await pay(gateway, token, capture_method=CaptureMethod.MANUAL)
    assert held.multicapture is False
    with pytest.raises(GatewayRefused):
        await capture(gateway, held.intent_id, 500, final=False)


async def test_captures_in_parts_and_the_release_of_the_rest(gateway: PaymentGateway) -> None:
    held = await pay(gateway, capture_method=CaptureMethod.MANUAL)
    assert held.multicapture is True
    with pytest.raises(GatewayRefused):
        await capture(gateway, held.intent_id, 0)
    for amount, total, left in ((500, 500, 599), (99, 599, 500)):
        part = await capture(gateway, held.intent_id, amount, final=False)
        assert part.status is IntentStatus.REQUIRES_CAPTURE
        assert (part.amount_captured, part.amount_capturable, part.multicapture) == (total, left, True)
        assert part.capture_before == held.capture_before
    with pytest.raises(GatewayRefused):
        await gateway.execute(gateway.prepare_cancel(held.intent_id, reason=None), new_key())
    assert (await refund(gateway, held.intent_id, 599)).status is GatewayRefundStatus.SUCCEEDED
    released = await capture(gateway, held.intent_id, 0)
    assert (released.status, released.amount_captured, released.amount_capturable) == ("SUCCEEDED", 599, 0)


async def test_an_authorization_lapses_and_what_was_captured_stays(bench: Bench) -> None:
    gateway = bench.gateway
    held = await pay(gateway, capture_method=CaptureMethod.MANUAL)
    part = await pay(gateway, capture_method=CaptureMethod.MANUAL, payment_id="pay_2")
    await capture(gateway, part.intent_id, 500, final=False)
    bench.lapse(held)
    bench.lapse(part)
    lapsed, kept = await gateway.get_intent(held.intent_id), await gateway.get_intent(part.intent_id)
    assert (lapsed.status, lapsed.cancellation_reason) == (IntentStatus.CANCELED, AUTHORIZATION_EXPIRED)
    assert (kept.status, kept.amount_captured, kept.amount_capturable) == (IntentStatus.SUCCEEDED, 500, 0)
    for intent in (held, part):
        with pytest.raises(GatewayRefused):
            await capture(gateway, intent.intent_id, 100)


@pytest.mark.parametrize(("token", "pays"), [("pm_success_de", True), ("pm_failed_de", False)])
async def test_a_bank_debit_is_decided_later(bench: Bench, token: str, pays: bool) -> None:
    gateway = bench.gateway
    waiting = await pay(gateway, token)
    assert waiting.status is IntentStatus.PROCESSING
    assert (waiting.amount_captured, waiting.method, waiting.last_error) == (0, None, None)
    assert waiting.charge_id
    with pytest.raises(GatewayRefused) as refused:
        await gateway.execute(gateway.prepare_cancel(waiting.intent_id, reason=None), new_key())
    assert refused.value.code == "payment_intent_unexpected_state"
    bench.settle_debit(waiting)
    after = await gateway.get_intent(waiting.intent_id)
    if pays:
        assert (after.status, after.amount_captured) == (IntentStatus.SUCCEEDED, 1099)
    else:
        assert after.status is IntentStatus.REQUIRES_PAYMENT_METHOD
        assert after.last_error is not None
        assert after.failed_charge_id
        assert (await confirm(gateway, waiting.intent_id, "pm_card_visa")).status is IntentStatus.SUCCEEDED


@pytest.mark.parametrize("held", [False, True])
async def test_an_unpaid_intent_can_be_canceled(gateway: PaymentGateway, held: bool) -> None:
    manual = {"capture_method": CaptureMethod.MANUAL}
    intent = await (pay(gateway, **manual) if held else create(gateway, **manual))
    canceled = await intent_of(gateway, gateway.prepare_cancel(intent.intent_id, reason="abandoned"))
    assert canceled.status is IntentStatus.CANCELED
    assert (canceled.amount_capturable, canceled.cancellation_reason) == (0, "abandoned")
    with pytest.raises(GatewayRefused):
        await confirm(gateway, intent.intent_id, "pm_card_visa")


async def test_a_paid_intent_cannot_be_canceled(gateway: PaymentGateway) -> None:
    paid = await pay(gateway)
    with pytest.raises(GatewayRefused) as refused:
        await gateway.execute(gateway.prepare_cancel(paid.intent_id, reason=None), new_key())
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_money_is_given_back_in_parts_and_never_more_than_was_taken(gateway: PaymentGateway) -> None:
    paid = await pay(gateway)
    first = await refund(gateway, paid.intent_id, 1000)
    assert first.status is GatewayRefundStatus.SUCCEEDED
    assert (first.amount, first.currency) == (1000, "EUR")
    assert (first.intent_id, first.charge_id) == (paid.intent_id, paid.charge_id)
    assert (first.refund_id, first.reason, first.failure_reason) == ("ref_1", "arrived broken", None)

    with pytest.raises(GatewayRefused):
        await refund(gateway, paid.intent_id, 100, "ref_2")
    second = await refund(gateway, paid.intent_id, 99, "ref_3")
    assert second.gateway_refund_id != first.gateway_refund_id


async def test_a_refund_may_stay_pending(gateway: PaymentGateway) -> None:
    paid = await pay(gateway, "pm_card_pendingRefund")
    assert (await refund(gateway, paid.intent_id, 1099)).status is GatewayRefundStatus.PENDING


async def test_nothing_is_refunded_that_was_not_taken(gateway: PaymentGateway) -> None:
    intent = await create(gateway)
    with pytest.raises(GatewayRefused) as refused:
        await refund(gateway, intent.intent_id, 100)
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_the_same_request_under_the_same_key_is_done_once(gateway: PaymentGateway) -> None:
    created = gateway.prepare_create(draft())
    first = await intent_of(gateway, created, "key-create")
    assert (await intent_of(gateway, created, "key-create")).intent_id == first.intent_id

    await confirm(gateway, first.intent_id, "pm_card_visa")
    request = refund_request(gateway, first.intent_id, 600)
    assert await gateway.execute(request, "key-refund") == await gateway.execute(request, "key-refund")
    await refund(gateway, first.intent_id, 499, "ref_2")


async def test_another_request_under_the_same_key_is_not_done(gateway: PaymentGateway) -> None:
    await intent_of(gateway, gateway.prepare_create(draft()), "key-one")
    with pytest.raises(GatewayUnknown):
        await gateway.execute(gateway.prepare_create(draft(amount=2000)), "key-one")


async def test_an_intent_is_found_by_its_payment(gateway: PaymentGateway) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    for number in range(3):
        await create(gateway, payment_id=f"pay_{number}")
    paid = await pay(gateway, payment_id="pay_wanted")
    assert await gateway.find_intent("pay_wanted", created_after=before) == paid
    assert await gateway.find_intent("pay_other", created_after=before) is None
    later = datetime.now(UTC) + timedelta(days=1)
    assert await gateway.find_intent("pay_wanted", created_after=later) is None


async def test_a_refund_is_found_among_its_intent_s(gateway: PaymentGateway) -> None:
    paid, other = await pay(gateway), await pay(gateway, payment_id="pay_2")
    await refund(gateway, paid.intent_id, 100)
    wanted = await refund(gateway, paid.intent_id, 200, "ref_2")
    assert await gateway.find_refund(paid.intent_id, "ref_2") == wanted
    assert await gateway.find_refund(paid.intent_id, "ref_3") is None
    assert await gateway.find_refund(other.intent_id, "ref_2") is None


async def test_two_attempts_at_one_refund_are_told_apart(gateway: PaymentGateway) -> None:
    paid = await pay(gateway)
    attempts = []
    for attempt in (1, 2):
        request = refund_request(gateway, paid.intent_id, 100, attempt=attempt)
        snapshot = await gateway.execute(request, new_key())
        assert isinstance(snapshot, RefundSnapshot)
        assert (snapshot.refund_id, snapshot.attempt) == ("ref_1", attempt)
        attempts.append(snapshot)
    assert await gateway.find_refund(paid.intent_id, "ref_1") == attempts[0]
    assert await gateway.find_refund(paid.intent_id, "ref_1", 2) == attempts[1]
    assert await gateway.find_refund(paid.intent_id, "ref_1", 3) is None


async def test_an_unknown_intent_is_refused(gateway: PaymentGateway) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await gateway.get_intent("pi_unknown")
    assert refused.value.code == "resource_missing"


async def test_a_customer_is_made_once_per_key(gateway: PaymentGateway) -> None:
    customer = Customer(name="Jenny Rosen", email="jenny@example.com")
    first = await gateway.create_customer("u_1", customer, "key-customer")
    assert await gateway.create_customer("u_1", customer, "key-customer") == first
    assert await gateway.create_customer("u_2", None, new_key()) != first


async def test_a_deleted_customer_leaves_payments_that_can_be_refunded(bench: Bench) -> None:
    gateway = bench.gateway
    owner = await gateway.create_customer("u_1", Customer(name="Jenny Rosen"), new_key())
    token = bench.save_method(owner)
    paid = await pay(gateway, token, gateway_customer_id=owner)
    await gateway.delete_customer(owner)
    await gateway.delete_customer(owner)  # as if the answer had been lost
    assert (await gateway.list_methods(owner, after=None, limit=10)).methods == []
    with pytest.raises(GatewayRefused):
        await create(gateway, gateway_customer_id=owner)
    assert (await refund(gateway, paid.intent_id, amount=1000)).status is GatewayRefundStatus.SUCCEEDED


async def test_a_method_tells_its_owner(bench: Bench) -> None:
    gateway = bench.gateway
    owner = await gateway.create_customer("u_1", None, new_key())
    token = bench.save_method(owner)
    assert await gateway.find_method(token) == GatewayMethod(token, owner)
    assert await gateway.find_method("pm_card_visa") == GatewayMethod("pm_card_visa", None)
    assert await gateway.find_method("pm_unknown") is None
    assert await gateway.find_method("../customers") is None


async def test_a_saved_method_pays_for_its_owner_only(bench: Bench) -> None:
    gateway = bench.gateway
    owner = await gateway.create_customer("u_1", None, new_key())
    token = bench.save_method(owner)
    assert (await pay(gateway, token, gateway_customer_id=owner)).status is IntentStatus.SUCCEEDED
    stranger = await gateway.create_customer("u_2", None, new_key())
    with pytest.raises(GatewayRefused):
        await pay(gateway, token, gateway_customer_id=stranger)
    with pytest.raises(GatewayRefused):
        await create(gateway, payment_method_token=token, gateway_customer_id=stranger)


async def test_a_gateway_that_works_passes_its_check(gateway: PaymentGateway) -> None:
    await gateway.check()


async def test_a_dispute_is_looked_up(bench: Bench, gateway: PaymentGateway) -> None:
    intent = await pay(gateway)
    dispute = await gateway.get_dispute(bench.open_dispute(intent.intent_id))
    assert (dispute.intent_id, dispute.charge_id) == (intent.intent_id, intent.charge_id)
    assert (dispute.amount, dispute.amount_withdrawn, dispute.currency) == (
        intent.amount_captured,
        intent.amount_captured,
        intent.currency,
    )
    assert (dispute.status, dispute.charge_refundable) == (DisputeStatus.NEEDS_RESPONSE, False)
    assert dispute.evidence_due_by is not None
    assert dispute.evidence_due_by > dispute.opened_at
    with pytest.raises(GatewayRefused) as refused:
        await refund(gateway, intent.intent_id, amount=1)
    assert refused.value.code == "charge_disputed"


async def test_a_dispute_that_nobody_opened_is_refused(gateway: PaymentGateway) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await gateway.get_dispute("du_nothing")
    assert refused.value.code == "resource_missing"
