from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.stripe.snapshots import Unreadable, dispute_snapshot, intent_snapshot, refund_snapshot
from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import (
    DisputeSnapshot,
    FutureUsage,
    GatewayRefundStatus,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
)
from domain.shared.payment_events import CardMethod, LastError, NextAction, NextActionType
from tests.unit.stripe.objects import CHARGE, DISPUTE, INTENT, REFUND, published


def test_an_intent_is_read_whole() -> None:
    assert intent_snapshot(INTENT) == IntentSnapshot(
        intent_id="pi_1",
        status=IntentStatus.SUCCEEDED,
        amount=1099,
        currency="USD",
        amount_capturable=99,
        amount_captured=1000,
        client_secret="pi_1_secret_x",
        next_action=None,
        last_error=None,
        failed_charge_id=None,
        charge_id="ch_1",
        method=CardMethod("visa", "4242"),
        capture_before=datetime.fromtimestamp(1_790_000_000, UTC),
        multicapture=True,
        cancellation_reason=None,
        customer_id="cus_1",
        payment_id="pay_1",
        order_id="ord_1",
    )


def test_where_the_charge_is_only_an_id_its_details_are_none() -> None:
    snapshot = intent_snapshot({**INTENT, "latest_charge": "ch_1", "customer": {"id": "cus_1"}})
    assert (snapshot.charge_id, snapshot.method, snapshot.capture_before) == ("ch_1", None, None)
    assert snapshot.customer_id == "cus_1"


@pytest.mark.parametrize(
    ("details", "told"),
    [
        (None, None),
        ({"tip": {}}, None),
        ({"error": None}, None),
        ({"error": {"code": "amount_details_amount_mismatch", "message": "Off by 1."}}, "Off by 1."),
        ({"error": {"code": "amount_details_amount_mismatch"}}, "amount_details_amount_mismatch"),
    ],
)
def test_line_items_that_stripe_took_and_does_not_pass_on(details: Any, told: str | None) -> None:
    assert intent_snapshot({**INTENT, "amount_details": details}).line_items_error == told


@pytest.mark.parametrize(
    ("word", "usage"),
    [
        ("off_session", FutureUsage.OFF_SESSION),
        ("on_session", FutureUsage.ON_SESSION),
        ("none", None),
        (None, None),
    ],
)
def test_whether_the_method_is_saved(word: str | None, usage: FutureUsage | None) -> None:
    assert intent_snapshot({**INTENT, "setup_future_usage": word}).setup_future_usage is usage


def test_an_intent_of_another_program_names_no_payment() -> None:
    snapshot = intent_snapshot({**INTENT, "metadata": {}})
    assert (snapshot.payment_id, snapshot.order_id) == (None, None)


@pytest.mark.parametrize("status", list(IntentStatus))
def test_every_status_is_known(status: IntentStatus) -> None:
    assert intent_snapshot({**INTENT, "status": status.value.lower()}).status is status


def test_a_decline_names_its_charge() -> None:
    error = {
        "type": "card_error",
        "code": "card_declined",
        "decline_code": "insufficient_funds",
        "message": "Your card has insufficient funds.",
        "charge": "ch_2",
    }
    snapshot = intent_snapshot({**INTENT, "status": "requires_payment_method", "last_payment_error": error})
    assert snapshot.last_error == LastError(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    )
    assert snapshot.failed_charge_id == "ch_2"


def test_an_error_without_a_code_or_a_charge_has_its_type() -> None:
    snapshot = intent_snapshot({**INTENT, "last_payment_error": {"type": "invalid_request_error"}})
    assert snapshot.last_error == LastError("invalid_request_error", None, "")
    assert snapshot.failed_charge_id is None


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (
            {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.test", "return_url": None}},
            NextAction(NextActionType.REDIRECT, "https://bank.test"),
        ),
        ({"type": "use_stripe_sdk", "use_stripe_sdk": {}}, NextAction(NextActionType.USE_GATEWAY_SDK)),
        ({"type": "oxxo_display_details"}, NextAction(NextActionType.USE_GATEWAY_SDK)),
    ],
)
def test_the_next_action_is_a_redirect_or_the_sdk_s(action: dict[str, Any], expected: NextAction) -> None:
    assert intent_snapshot({**INTENT, "next_action": action}).next_action == expected


def test_amounts_are_in_iso_s_minor_unit() -> None:
    krona = {**INTENT, "currency": "isk", "amount": 500, "amount_capturable": 0, "amount_received": 500}
    snapshot = intent_snapshot(krona)
    assert (snapshot.amount, snapshot.amount_captured, snapshot.currency) == (5, 5, "ISK")


@pytest.mark.parametrize(
    "change",
    [
        {"object": "charge"},
        {"id": None},
        {"status": "requires_patience"},
        {"status": None},
        {"amount": "1099"},
        {"amount": True},
        {"amount_received": None},
        {"currency": 840},
        {"currency": "isk"},
        {"metadata": []},
        {"metadata": {"paymentId": 1}},
        {"next_action": []},
        {"setup_future_usage": "sometimes"},
        {"next_action": {"type": None}},
        {"last_payment_error": {}},
        {"latest_charge": {}},
        {"latest_charge": {**CHARGE, "payment_method_details": {"card": {"capture_before": "soon"}}}},
        {"latest_charge": {**CHARGE, "payment_method_details": {"card": {"capture_before": 10**18}}}},
    ],
)
def test_what_cannot_be_read_is_not_guessed(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        intent_snapshot({**INTENT, **change})


def test_a_refund_is_read_whole() -> None:
    assert refund_snapshot(REFUND) == RefundSnapshot(
        gateway_refund_id="re_1",
        intent_id="pi_1",
        charge_id="ch_1",
        status=GatewayRefundStatus.SUCCEEDED,
        amount=500,
        currency="USD",
        failure_reason=None,
        refund_id="ref_1",
        reason="arrived broken",
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("pending", GatewayRefundStatus.PENDING),
        ("requires_action", GatewayRefundStatus.PENDING),
        ("succeeded", GatewayRefundStatus.SUCCEEDED),
        ("failed", GatewayRefundStatus.FAILED),
        ("canceled", GatewayRefundStatus.CANCELED),
    ],
)
def test_every_refund_status_is_known(word: str, status: GatewayRefundStatus) -> None:
    assert refund_snapshot({**REFUND, "status": word}).status is status


def test_a_refund_made_in_the_dashboard_has_stripe_s_reason_only() -> None:
    snapshot = refund_snapshot(
        {**REFUND, "metadata": {}, "reason": "duplicate", "failure_reason": "lost_or_stolen_card"}
    )
    assert (snapshot.refund_id, snapshot.reason) == (None, "duplicate")
    assert snapshot.failure_reason == "lost_or_stolen_card"


@pytest.mark.parametrize(
    "change",
    [{"status": None}, {"status": "maybe"}, {"amount": 1.5}, {"amount": 0}, {"amount": -1}, {"object": "x"}],
)
def test_an_unreadable_refund_is_not_guessed(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        refund_snapshot({**REFUND, **change})


@pytest.mark.parametrize("status", list(DisputeStatus))
def test_a_dispute_is_read_whole(status: DisputeStatus) -> None:
    assert dispute_snapshot({**DISPUTE, "status": status.value}) == DisputeSnapshot(
        gateway_dispute_id="dp_1",
        intent_id="pi_1",
        charge_id="ch_1",
        amount=1099,
        currency="USD",
        reason="fraudulent",
        status=status,
        charge_refundable=False,
        evidence_due_by=datetime(2026, 1, 9, 23, 59, 59, tzinfo=UTC),
        amount_withdrawn=1099,
        opened_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("moved", "withdrawn"),
    [
        ([], 0),
        ([("usd", -1099), ("usd", 1099)], 0),
        ([("usd", -1099), ("usd", 500)], 599),
        ([("eur", -1000)], 1099),  # another balance tells only that it went
        ([("eur", -1000), ("eur", 1000)], 0),
    ],
)
def test_what_a_dispute_withdrew(moved: list[tuple[str, int]], withdrawn: int) -> None:
    transactions = [{"currency": currency, "amount": amount} for currency, amount in moved]
    snapshot = dispute_snapshot({**DISPUTE, "balance_transactions": transactions})
    assert snapshot.amount_withdrawn == withdrawn


def test_a_bank_that_takes_no_evidence_sets_no_time() -> None:
    for details in ({"due_by": 0}, {"due_by": None}):
        assert dispute_snapshot({**DISPUTE, "evidence_details": details}).evidence_due_by is None


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1},
        {"amount": 2**53},
        {"balance_transactions": None},
        {"is_charge_refundable": None},
        {"created": None},
        {"evidence_details": {"due_by": "soon"}},
    ],
)
def test_an_unreadable_dispute_is_not_guessed(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        dispute_snapshot({**DISPUTE, **change})


def test_an_unknown_dispute_status_is_not_guessed() -> None:
    with pytest.raises(Unreadable):
        dispute_snapshot({**DISPUTE, "status": "settled_by_duel"})


def test_stripe_s_published_examples_can_be_read() -> None:
    assert intent_snapshot(published("payment_intent")).status is IntentStatus.REQUIRES_PAYMENT_METHOD
    assert refund_snapshot(published("refund")).status is GatewayRefundStatus.SUCCEEDED
    assert dispute_snapshot(published("dispute")).status == "warning_needs_response"
    expanded = {**published("payment_intent"), "latest_charge": published("charge")}
    assert intent_snapshot(expanded).method == CardMethod("visa", "4242")
