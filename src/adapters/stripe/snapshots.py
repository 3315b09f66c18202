"""Stripe's objects, as decoded JSON, read into the port's snapshots.

What a snapshot needs and the object lacks, or a status this version does not know, is
Unreadable: nothing is guessed. Where `latest_charge` is only an id, as in every webhook,
`method`, `capture_before` and `multicapture` are None.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from adapters.stripe.amounts import NotRepresentable, from_stripe
from adapters.stripe.params import ORDER_ID, PAYMENT_ID, REASON, REFUND_ATTEMPT, REFUND_ID, USER_ID
from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import (
    AUTHORIZATION_EXPIRED,
    CustomerDeleted,
    DisputeSnapshot,
    FutureUsage,
    GatewayRefundStatus,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
)
from domain.shared.money import MAX_AMOUNT
from domain.shared.payment_events import CardMethod, LastError, NextAction, NextActionType

_Meaning = TypeVar("_Meaning")

_INTENT_STATUSES = {status.value.lower(): status for status in IntentStatus}

_FUTURE_USAGES = {usage.value.lower(): usage for usage in FutureUsage}

_REFUND_STATUSES = {
    "pending": GatewayRefundStatus.PENDING,
    "requires_action": GatewayRefundStatus.PENDING,
    "succeeded": GatewayRefundStatus.SUCCEEDED,
    "failed": GatewayRefundStatus.FAILED,
    "canceled": GatewayRefundStatus.CANCELED,
}

_DISPUTE_STATUSES = {status.value: status for status in DisputeStatus}


class Unreadable(Exception):
    """An object of Stripe's without something that it must have, or with a value unknown here.

    The message names fields and types, never values: objects hold personal data.
    """


def intent_snapshot(intent: Mapping[str, Any]) -> IntentSnapshot:
    """Raises Unreadable."""
    _expect_kind(intent, "payment_intent")
    currency = text(intent, "currency").upper()
    error = _object_or_none(intent, "last_payment_error")
    charge = _object_or_none(intent, "latest_charge")
    metadata = metadata_of(intent)
    return IntentSnapshot(
        intent_id=text(intent, "id"),
        status=_known(_INTENT_STATUSES, intent, "status"),
        amount=_amount(intent, "amount", currency),
        currency=currency,
        amount_capturable=_amount(intent, "amount_capturable", currency),
        amount_captured=_amount(intent, "amount_received", currency),
        client_secret=text_or_none(intent, "client_secret"),
        next_action=_next_action(_object_or_none(intent, "next_action")),
        last_error=_last_error(error),
        failed_charge_id=object_id(error, "charge") if error else None,
        charge_id=object_id(intent, "latest_charge"),
        method=_card_method(charge),
        capture_before=_capture_before(charge),
        multicapture=_multicapture(charge),
        cancellation_reason=_cancellation_reason(intent),
        customer_id=object_id(intent, "customer"),
        payment_id=metadata.get(PAYMENT_ID),
        order_id=metadata.get(ORDER_ID),
        setup_future_usage=_future_usage(intent),
        line_items_error=_line_items_error(intent),
    )


def refund_snapshot(refund: Mapping[str, Any]) -> RefundSnapshot:
    """Raises Unreadable."""
    _expect_kind(refund, "refund")
    currency = text(refund, "currency").upper()
    metadata = metadata_of(refund)
    amount = _amount(refund, "amount", currency)
    if amount == 0:
        raise Unreadable("a refund of nothing")
    return RefundSnapshot(
        gateway_refund_id=text(refund, "id"),
        intent_id=object_id(refund, "payment_intent"),
        charge_id=object_id(refund, "charge"),
        status=_known(_REFUND_STATUSES, refund, "status"),
        amount=amount,
        currency=currency,
        failure_reason=text_or_none(refund, "failure_reason"),
        refund_id=metadata.get(REFUND_ID),
        reason=metadata.get(REASON) or text_or_none(refund, "reason"),
        attempt=_attempt(metadata.get(REFUND_ATTEMPT, "1")),
    )


def dispute_snapshot(dispute: Mapping[str, Any]) -> DisputeSnapshot:
    """Raises Unreadable."""
    _expect_kind(dispute, "dispute")
    currency = text(dispute, "currency").upper()
    return DisputeSnapshot(
        gateway_dispute_id=text(dispute, "id"),
        intent_id=object_id(dispute, "payment_intent"),
        charge_id=object_id(dispute, "charge"),
        amount=_amount(dispute, "amount", currency),
        currency=currency,
        reason=text(dispute, "reason"),
        status=_known(_DISPUTE_STATUSES, dispute, "status"),
        charge_refundable=boolean(dispute, "is_charge_refundable"),
        evidence_due_by=_evidence_due_by(dispute),
        amount_withdrawn=_withdrawn(dispute, currency),
        opened_at=timestamp(dispute.get("created")),
    )


def _evidence_due_by(dispute: Mapping[str, Any]) -> datetime | None:
    details = _object_or_none(dispute, "evidence_details") or {}
    # 0 where the bank takes no evidence.
    return timestamp(details["due_by"]) if details.get("due_by") else None


def _withdrawn(dispute: Mapping[str, Any], currency: str) -> int:
    """What left the balance and did not come back; a balance in another currency only tells whether it did."""
    moved = dispute.get("balance_transactions")
    if not isinstance(moved, list):
        raise Unreadable("no balance_transactions")
    if all(text(one, "currency").upper() == currency for one in moved):
        return max(0, -sum(signed(one, "amount", currency) for one in moved))
    gone = sum(signed(one, "amount", text(one, "currency").upper()) for one in moved) < 0
    return _amount(dispute, "amount", currency) if gone else 0


def customer_deleted(customer: Mapping[str, Any]) -> CustomerDeleted:
    """Raises Unreadable."""
    _expect_kind(customer, "customer")
    return CustomerDeleted(
        gateway_customer_id=text(customer, "id"), user_id=metadata_of(customer).get(USER_ID)
    )


def timestamp(seconds: object) -> datetime:
    """Stripe's seconds since 1970. Raises Unreadable."""
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise Unreadable("a time that is not an integer")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise Unreadable("a time beyond the calendar") from None


def object_id(value: Mapping[str, Any], name: str) -> str | None:
    """The id under `name`, whether Stripe gives the object there, its id or nothing. Raises Unreadable."""
    part = _object_or_none(value, name)
    return text(part, "id") if part is not None else text_or_none(value, name)


def metadata_of(value: Mapping[str, Any]) -> Mapping[str, str]:
    """An object's metadata. Raises Unreadable."""
    metadata = _object_or_none(value, "metadata") or {}
    if not all(isinstance(part, str) for part in metadata.values()):
        raise Unreadable("metadata that is not text")
    return metadata


def _line_items_error(intent: Mapping[str, Any]) -> str | None:
    details = _object_or_none(intent, "amount_details")
    error = _object_or_none(details, "error") if details else None
    return None if error is None else text_or_none(error, "message") or text(error, "code")


def _future_usage(intent: Mapping[str, Any]) -> FutureUsage | None:
    if intent.get("setup_future_usage") in (None, "none"):
        return None
    return _known(_FUTURE_USAGES, intent, "setup_future_usage")


def _next_action(action: Mapping[str, Any] | None) -> NextAction | None:
    """Stripe.js performs every kind of action; a plain redirect needs no more than a browser."""
    if action is None:
        return None
    redirect = _object_or_none(action, "redirect_to_url")
    if text(action, "type") == "redirect_to_url" and redirect:
        return NextAction(NextActionType.REDIRECT, text(redirect, "url"))
    return NextAction(NextActionType.USE_GATEWAY_SDK)


def _last_error(error: Mapping[str, Any] | None) -> LastError | None:
    if error is None:
        return None
    return LastError(
        code=text_or_none(error, "code") or text(error, "type"),
        decline_code=text_or_none(error, "decline_code"),
        message=text_or_none(error, "message") or "",
    )


def _card_of(charge: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    details = _object_or_none(charge, "payment_method_details") if charge else None
    return _object_or_none(details, "card") if details else None


def _card_method(charge: Mapping[str, Any] | None) -> CardMethod | None:
    card = _card_of(charge)
    if card is None:
        return None
    brand, last4 = text_or_none(card, "brand"), text_or_none(card, "last4")
    return CardMethod(brand, last4) if brand and last4 else None


def _capture_before(charge: Mapping[str, Any] | None) -> datetime | None:
    card = _card_of(charge)
    seconds = card.get("capture_before") if card else None
    return None if seconds is None else timestamp(seconds)


def _multicapture(charge: Mapping[str, Any] | None) -> bool | None:
    """https://docs.stripe.com/payments/multicapture: granted to the charge, whatever the intent asked for."""
    if charge is None:
        return None
    card = _card_of(charge)
    granted = _object_or_none(card, "multicapture") if card else None
    return granted is not None and granted.get("status") == "available"


def _cancellation_reason(intent: Mapping[str, Any]) -> str | None:
    """A lapse is `expired` since the API version 2025-03-31.basil; webhooks of older ones say `automatic`."""
    reason = text_or_none(intent, "cancellation_reason")
    lapsed = reason == "expired" or (reason == "automatic" and object_id(intent, "latest_charge") is not None)
    return AUTHORIZATION_EXPIRED if lapsed else reason


def _expect_kind(value: Mapping[str, Any], kind: str) -> None:
    if not isinstance(value, Mapping) or value.get("object") != kind:
        raise Unreadable(f"not a {kind}")


def _known(known: Mapping[str, _Meaning], value: Mapping[str, Any], name: str) -> _Meaning:
    word = text(value, name)
    if word not in known:
        raise Unreadable(f"an unknown {name}")
    return known[word]


def text(value: Mapping[str, Any], name: str) -> str:
    found = text_or_none(value, name)
    if found is None:
        raise Unreadable(f"no {name}")
    return found


def text_or_none(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise Unreadable(f"a {name} that is not a string")
    return found


def _attempt(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Unreadable(f"a {REFUND_ATTEMPT} that is no number")
    return int(text)


def _amount(value: Mapping[str, Any], name: str, currency: str) -> int:
    """Of money that moved one way: a negative one is no amount that Stripe documents."""
    amount = signed(value, name, currency)
    if not 0 <= amount <= MAX_AMOUNT:
        raise Unreadable(f"a {name} beyond all bounds")
    return amount


def signed(value: Mapping[str, Any], name: str, currency: str) -> int:
    amount = value.get(name)
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise Unreadable(f"no integer {name}")
    try:
        return from_stripe(amount, currency)
    except NotRepresentable as cause:
        raise Unreadable(str(cause)) from None


def boolean(value: Mapping[str, Any], name: str) -> bool:
    flag = value.get(name)
    if not isinstance(flag, bool):
        raise Unreadable(f"no {name}")
    return flag


def _object_or_none(value: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """An expanded object; None where there is none or only its id."""
    part = value.get(name)
    if part is None or isinstance(part, str):
        return None
    if not isinstance(part, Mapping):
        raise Unreadable(f"a {name} that is not an object")
    return part
