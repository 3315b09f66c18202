"""Webhooks repeated, reordered, early, late and about things that nobody knows."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.orders.status import OrderStatus
from domain.payments.dispute_status import DisputeStatus
from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import (
    CaptureMethod,
    CustomerDeleted,
    DisputeSnapshot,
    GatewayEvent,
    GatewayRefundStatus,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
    Snapshot,
    UnreadableReport,
)
from domain.payments.payment import Payment
from domain.payments.refund import RefundStatus
from domain.payments.use_cases.forget_webhooks import ForgetWebhooksHandler
from domain.payments.use_cases.receive_webhook import ReceiveWebhook
from domain.payments.use_cases.replay_webhook import NotReplayed
from domain.payments.webhook import WebhookOutcome, WebhookSignatureInvalid
from domain.shared.payment_events import CardMethod
from tests.support.fake_gateway import Outcome
from tests.support.house import OPERATOR, START, House, all_of, types


def intent_event(house: House, payment: Payment) -> GatewayEvent:
    """What the gateway tells of the payment's intent now."""
    return house.gateway.webhook("payment_intent.any", house.gateway.intents[payment.intent_id or ""])


def dashboard_refund(payment: Payment, amount: int, **changes: Any) -> RefundSnapshot:
    """A refund that somebody made at the gateway."""
    fields: dict[str, Any] = {
        "gateway_refund_id": "re_dashboard",
        "intent_id": payment.intent_id,
        "charge_id": payment.charge_id,
        "status": GatewayRefundStatus.SUCCEEDED,
        "amount": amount,
        "currency": "EUR",
        "failure_reason": None,
        "refund_id": None,
        "reason": "requested_by_customer",
        **changes,
    }
    return RefundSnapshot(**fields)


def dispute(payment: Payment, status: str = "needs_response", **changes: Any) -> DisputeSnapshot:
    fields: dict[str, Any] = {
        "gateway_dispute_id": "dp_1",
        "intent_id": payment.intent_id,
        "charge_id": payment.charge_id,
        "amount": 1000,
        "currency": "EUR",
        "reason": "fraudulent",
        "status": DisputeStatus(status),
        "charge_refundable": False,
        "evidence_due_by": None,
        "amount_withdrawn": 0 if status == "won" else 1000,
        "opened_at": START,
        **changes,
    }
    return DisputeSnapshot(**fields)


def told(house: House, snapshot: Snapshot) -> GatewayEvent:
    return GatewayEvent(
        event_id=house.ids.new("evt"), type="any", created_at=house.clock.now(), snapshot=snapshot
    )


async def test_a_webhook_with_another_signature_is_not_kept() -> None:
    house = House()
    with pytest.raises(WebhookSignatureInvalid):
        await house.receive_webhook(ReceiveWebhook("fake", b"{}", "wrong"))
    assert not house.world.payments.rows["webhook"]


async def test_an_event_is_kept_once_and_applied_once() -> None:
    house = House()
    payment = await house.paid()
    event = told(house, dashboard_refund(payment, 100))
    outcomes = [await house.webhook(event) for _ in range(3)]
    assert outcomes == [WebhookOutcome.APPLIED, WebhookOutcome.REPEATED, WebhookOutcome.REPEATED]
    assert types(house.log()) == ["PaymentSucceeded", "RefundProcessed"]


async def test_the_same_fact_under_another_event_id_is_nothing_new() -> None:
    house = House()
    payment = await house.paid()
    assert await house.webhook(intent_event(house, payment)) is WebhookOutcome.NOTHING_NEW
    for snapshot in (dashboard_refund(payment, 100), dispute(payment), dispute(payment, "won")):
        await house.webhook(told(house, snapshot))
    events = len(house.log())
    for snapshot in (dashboard_refund(payment, 100), dispute(payment, "won"), dispute(payment)):
        assert await house.webhook(told(house, snapshot)) is WebhookOutcome.NOTHING_NEW
    assert len(house.log()) == events


async def test_an_event_about_something_else_is_kept_and_ignored() -> None:
    house = House()
    event = GatewayEvent(event_id="evt_1", type="customer.created", created_at=START, snapshot=None)
    assert await house.webhook(event) is WebhookOutcome.IGNORED
    assert await house.webhook(event) is WebhookOutcome.REPEATED


async def test_a_webhook_before_the_answer_of_the_confirmation() -> None:
    house = House()
    order = await house.order()
    house.gateway.script(Outcome.NORMAL, Outcome.UNKNOWN_AFTER)
    payment = await house.pay(order, request_id="r1")
    assert payment.operation_unknown
    assert await house.webhook(intent_event(house, payment)) is WebhookOutcome.APPLIED
    saved = house.payment(payment.payment_id)
    assert saved.status is IntentStatus.SUCCEEDED
    assert saved.method == CardMethod("visa", "4242")
    await house.recover()
    assert types(house.log()) == ["PaymentSucceeded"]
    assert not house.payment(payment.payment_id).operation_unknown


async def test_an_event_months_old_changes_nothing() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    challenged = intent_event(house, payment)
    house.gateway.fail_action(payment.intent_id or "")
    failed = intent_event(house, payment)
    await house.webhook(failed)
    payment = await house.confirm_again(payment)
    house.clock.advance(days=100)
    for old in (challenged, replace(failed, event_id="evt_again")):
        assert await house.webhook(old) is WebhookOutcome.NOTHING_NEW
    assert types(house.log()) == ["PaymentRequiresAction", "PaymentFailed", "PaymentSucceeded"]


async def test_an_old_event_of_a_payment_still_open_is_looked_up_and_changes_nothing() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    challenged = intent_event(house, payment)
    house.gateway.fail_action(payment.intent_id or "")
    await house.webhook(intent_event(house, payment))
    version = house.payment(payment.payment_id).version
    assert await house.webhook(challenged) is WebhookOutcome.NOTHING_NEW
    assert types(house.log()) == ["PaymentRequiresAction", "PaymentFailed"]
    assert house.payment(payment.payment_id).version == version


async def test_an_event_that_must_be_looked_up_is_not_kept_while_the_gateway_is_down() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    house.gateway.fail_action(payment.intent_id or "")
    event = intent_event(house, payment)
    house.gateway.down = True
    with pytest.raises(GatewayUnavailable):
        await house.webhook(event)
    house.gateway.down = False
    assert await house.webhook(event) is WebhookOutcome.APPLIED
    assert types(house.log()) == ["PaymentRequiresAction", "PaymentFailed"]


async def test_an_event_of_an_unknown_payment_waits_and_is_applied_when_it_appears() -> None:
    house = House()
    order = await house.order()
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    payment = await house.pay(order, None, confirm=False)
    (intent_id,) = house.gateway.intents
    paid = house.gateway.put_intent(
        intent_id,
        status=IntentStatus.SUCCEEDED,
        amount_captured=1000,
        charge_id="ch_1",
        method=CardMethod("visa", "4242"),
    )
    nameless = house.gateway.webhook("payment_intent.succeeded", replace(paid, payment_id=None))
    assert await house.webhook(nameless) is WebhookOutcome.WAITING
    await house.recover()
    assert house.payment(payment.payment_id).status is IntentStatus.SUCCEEDED
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert await house.webhook(nameless) is WebhookOutcome.REPEATED
    assert types(house.log()) == ["PaymentSucceeded"]


async def test_the_card_shown_is_the_one_that_paid_not_the_one_declined_before() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_chargeDeclined")
    assert payment.method == CardMethod("visa", "0002")
    house.gateway._intents[payment.intent_id or ""].token = "pm_card_visa"
    house.gateway.complete_action(payment.intent_id or "")  # through the client secret
    assert await house.webhook(intent_event(house, payment)) is WebhookOutcome.APPLIED
    assert house.log()[-1].method == CardMethod("visa", "4242")


async def test_a_lapse_is_known_of_an_authorization_that_a_webhook_told() -> None:
    house = House()
    order = await house.order()
    payment = await house.pay(order, "pm_card_chargeDeclined", capture_method=CaptureMethod.MANUAL)
    house.gateway._intents[payment.intent_id or ""].token = "pm_card_visa"
    held = house.gateway.complete_action(payment.intent_id or "")
    await house.webhook(intent_event(house, payment))
    assert house.payment(payment.payment_id).capture_before == held.capture_before


async def test_an_authorization_that_lapses_is_canceled() -> None:
    house = House()
    payment = await house.authorized()
    house.gateway.put_intent(
        payment.intent_id or "",
        status=IntentStatus.CANCELED,
        amount_capturable=0,
        cancellation_reason="automatic",
    )
    await house.webhook(intent_event(house, payment))
    saved = house.payment(payment.payment_id)
    assert (saved.status, saved.capture_before) == (IntentStatus.CANCELED, None)
    assert types(house.log()) == ["PaymentAuthorized", "PaymentCanceled"]
    await house.deliver()
    assert house.saved_order(payment.order_id).status is OrderStatus.PAYMENT_FAILED


async def test_a_refund_told_before_its_payment_succeeded_comes_after_it() -> None:
    """The two webhooks overtake each other; the order still ends as refunded."""
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    house.gateway.complete_action(payment.intent_id or "")
    succeeded = intent_event(house, payment)
    assert await house.webhook(told(house, dashboard_refund(payment, 1000))) is WebhookOutcome.APPLIED
    assert await house.webhook(succeeded) is WebhookOutcome.NOTHING_NEW
    saved = house.payment(payment.payment_id)
    assert types(house.log()) == ["PaymentRequiresAction", "PaymentSucceeded", "RefundProcessed"]
    assert (saved.amount_captured, saved.amount_refunded, saved.attention) == (1000, 1000, None)
    await house.deliver()
    assert house.saved_order(payment.order_id).status is OrderStatus.REFUNDED


async def test_a_refund_told_before_its_payment_was_known_is_applied() -> None:
    house = House()
    order = await house.order()
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    payment = await house.pay(order, None, confirm=False)
    (intent_id,) = house.gateway.intents
    house.gateway.put_intent(
        intent_id, status=IntentStatus.SUCCEEDED, amount_captured=1000, method=CardMethod("visa", "4242")
    )
    refund = dashboard_refund(replace(payment, intent_id=intent_id), 1000)
    assert await house.webhook(told(house, refund)) is WebhookOutcome.WAITING
    await house.recover()
    assert types(house.log()) == ["PaymentSucceeded", "RefundProcessed"]
    assert house.saved_order(order.order_id).status is OrderStatus.REFUNDED


async def test_more_refunded_than_captured_is_kept_and_flagged() -> None:
    house = House()
    payment = await house.paid()
    await house.refund(payment, 600)
    await house.webhook(told(house, dashboard_refund(payment, 600)))
    saved = house.payment(payment.payment_id)
    assert (saved.amount_refunded, saved.attention) == (1200, "REFUND_EXCEEDS_CAPTURED")


async def test_a_refund_that_the_bank_returns_is_failed_after_all() -> None:
    house = House()
    payment = await house.paid()
    refund = await house.refund(payment, 1000)
    await house.deliver()
    assert house.saved_order(payment.order_id).status is OrderStatus.REFUNDED
    (gateway_id,) = house.gateway.refunds
    returned = house.gateway.settle_refund(gateway_id, GatewayRefundStatus.FAILED, "lost_or_stolen_card")
    await house.webhook(house.gateway.webhook("refund.failed", returned))
    assert house.world.payments.rows["refund"][refund.refund_id].failure_reason == "lost_or_stolen_card"
    assert house.payment(payment.payment_id).amount_refunded == 0
    await house.deliver()
    order = house.saved_order(payment.order_id)
    assert (order.status, order.amount_refunded, order.attention) == (OrderStatus.PAID, 0, "REFUND_FAILED")


async def test_a_dispute_is_opened_and_closed_once() -> None:
    house = House()
    payment = await house.paid()
    await house.webhook(told(house, dispute(payment)))
    await house.deliver()
    assert house.saved_order(payment.order_id).attention == "DISPUTED"
    await house.webhook(told(house, dispute(payment, "under_review")))
    await house.webhook(told(house, dispute(payment, "won")))
    await house.webhook(told(house, dispute(payment, "needs_response")))
    await house.deliver()
    assert types(house.log()) == ["PaymentSucceeded", "DisputeOpened", "DisputeClosed"]
    assert house.saved_order(payment.order_id).attention is None


async def test_a_dispute_first_heard_of_when_closed_is_opened_and_closed() -> None:
    house = House()
    payment = await house.paid()
    await house.webhook(told(house, dispute(payment, "lost")))
    assert types(house.log()) == ["PaymentSucceeded", "DisputeOpened", "DisputeClosed"]


async def _report(house: House, payment: Payment, **changes: Any) -> Payment:
    snapshot: IntentSnapshot = house.gateway.put_intent(payment.intent_id or "", **changes)
    await house.webhook(house.gateway.webhook("payment_intent.any", snapshot))
    return house.payment(payment.payment_id)


async def test_another_amount_than_ours_is_recorded_and_flagged() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    house.gateway.complete_action(payment.intent_id or "")
    saved = await _report(house, payment, amount=1500, amount_captured=1500)
    assert (saved.amount_captured, saved.attention) == (1500, "AMOUNT_MISMATCH")
    await house.deliver()
    order = house.saved_order(payment.order_id)
    assert (order.status, order.attention) == (
        OrderStatus.AWAITING_USER_PAYMENT_ACTION,
        "AMOUNT_MISMATCH",
    )


async def test_more_captured_than_authorized_is_recorded_and_flagged() -> None:
    house = House()
    payment = await house.authorized()
    saved = await _report(
        house, payment, status=IntentStatus.SUCCEEDED, amount_capturable=0, amount_captured=1200
    )
    assert (saved.amount_captured, saved.attention) == (1200, "CAPTURE_EXCEEDS_AUTHORIZED")


async def test_money_taken_on_a_canceled_payment_is_recorded_and_flagged_and_can_be_refunded() -> None:
    house = House()
    payment = await house.authorized()
    await house.cancel(payment)
    saved = await _report(house, payment, status=IntentStatus.SUCCEEDED, amount_captured=1000)
    assert (saved.status, saved.amount_captured) == (IntentStatus.CANCELED, 1000)
    assert saved.attention == "GATEWAY_CONTRADICTS"
    assert types(house.log()) == ["PaymentAuthorized", "PaymentCanceled", "PaymentCaptured"]
    assert (await house.refund(payment, 1000)).status is RefundStatus.SUCCEEDED


async def test_money_taken_on_a_canceled_payment_whose_order_is_paid_otherwise() -> None:
    """It is kept beside the live payment of the order, which stays the only one alive."""
    house = House()
    order = await house.order()
    first = await house.pay(order, capture_method=CaptureMethod.MANUAL)
    await house.cancel(first)
    await house.deliver()
    await house.pay(order)
    await house.deliver()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    await _report(house, first, status=IntentStatus.SUCCEEDED, amount_captured=1000)
    await house.deliver()
    saved = house.saved_order(order.order_id)
    assert (saved.status, saved.attention) == (OrderStatus.PAID, "PAID_TWICE")


async def test_a_webhook_is_kept_with_what_became_of_it() -> None:
    house = House()
    payment = await house.paid()
    await house.webhook(told(house, dashboard_refund(payment, 100)))
    (kept,) = house.world.payments.rows["webhook"].values()
    assert (kept.outcome, kept.payment_id, kept.intent_id) == (
        WebhookOutcome.APPLIED,
        payment.payment_id,
        payment.intent_id,
    )


async def test_two_copies_of_an_event_at_once_are_one() -> None:
    house = House()
    payment = await house.paid()
    for number in range(5):
        event = told(house, dashboard_refund(payment, 100, gateway_refund_id=f"re_{number}"))
        outcomes = await all_of(house.webhook(event), house.webhook(event), house.webhook(event))
        assert sorted(outcomes) == ["APPLIED", "REPEATED", "REPEATED"]
    assert house.payment(payment.payment_id).amount_refunded == 500


async def test_a_report_in_a_form_unknown_here_is_kept_and_flagged() -> None:
    house = House()
    payment = await house.paid()
    report = UnreadableReport(intent_id=payment.intent_id, fault="an unknown status")
    assert await house.webhook(told(house, report)) is WebhookOutcome.UNREADABLE
    assert house.payment(payment.payment_id).attention == "GATEWAY_UNREADABLE"
    assert types(house.log()) == ["PaymentSucceeded"]


async def test_a_customer_whom_the_gateway_deleted_is_made_anew_for_the_next_payment() -> None:
    house = House()
    payment = await house.paid()
    deleted = CustomerDeleted(gateway_customer_id=payment.gateway_customer_id or "", user_id="u_1")
    assert await house.webhook(told(house, deleted)) is WebhookOutcome.APPLIED
    assert await house.webhook(told(house, deleted)) is WebhookOutcome.NOTHING_NEW
    assert (await house.paid()).gateway_customer_id not in (None, payment.gateway_customer_id)


async def test_a_replay_has_the_effect_that_was_missing_and_no_other_twice() -> None:
    house = House()
    payment = await house.paid()
    applied = told(house, dashboard_refund(payment, 100))
    await house.webhook(applied)
    assert await house.replay_webhook(OPERATOR, "fake", applied.event_id) is WebhookOutcome.NOTHING_NEW
    rows = house.world.payments.rows["webhook"]
    assert rows["fake", applied.event_id].outcome is WebhookOutcome.APPLIED  # it was, the first time

    unreadable = told(house, UnreadableReport(intent_id=payment.intent_id, fault="an unknown status"))
    await house.webhook(unreadable)
    assert await house.replay_webhook(OPERATOR, "fake", unreadable.event_id) is WebhookOutcome.UNREADABLE
    # A later version can read it.
    refund = dashboard_refund(payment, 200, gateway_refund_id="re_2")
    house.world.verifier.body(replace(unreadable, snapshot=refund))
    assert await house.replay_webhook(OPERATOR, "fake", unreadable.event_id) is WebhookOutcome.APPLIED
    assert rows["fake", unreadable.event_id].outcome is WebhookOutcome.APPLIED
    assert house.payment(payment.payment_id).amount_refunded == 300


async def test_what_cannot_be_replayed_says_why() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    challenged = intent_event(house, payment)
    house.gateway.fail_action(payment.intent_id or "")
    await house.webhook(intent_event(house, payment))
    await house.webhook(challenged)
    house.gateway.down = True
    assert (
        await house.replay_webhook(OPERATOR, "fake", challenged.event_id) is NotReplayed.GATEWAY_UNAVAILABLE
    )
    assert await house.replay_webhook(OPERATOR, "fake", "evt_none") is NotReplayed.NOT_KEPT
    house.clock.advance(days=91)
    await ForgetWebhooksHandler(house.payments_uow, house.clock, timedelta(days=90))()
    assert await house.replay_webhook(OPERATOR, "fake", challenged.event_id) is NotReplayed.BODY_GONE
    assert await house.webhook(challenged) is WebhookOutcome.REPEATED
    house.clock.advance(days=310)
    await ForgetWebhooksHandler(house.payments_uow, house.clock, timedelta(days=90))()
    assert await house.replay_webhook(OPERATOR, "fake", challenged.event_id) is NotReplayed.NOT_KEPT
