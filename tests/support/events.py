"""Payment events for the tests of those who follow them, with the values that most tests want."""

from typing import Any
from uuid import UUID

from adapters.system.ids import SystemIds
from domain.shared.payment_events import CardMethod, LastError, NextAction, NextActionType, PaymentEvent
from tests.support.house import START

_DETAILS: dict[str, dict[str, Any]] = {
    "PaymentRequiresAction": {"next_action": None},
    "PaymentCaptured": {"final": True},
    "PaymentFailed": {"last_error": None},
    "PaymentCanceled": {"reason": None},
    "RefundProcessed": {"refund_id": "ref_1", "reason": None},
    "RefundFailed": {"refund_id": "ref_1", "reason": None},
    "RefundRejected": {"refund_id": "ref_1", "reason": "rejected"},
    "DisputeOpened": {"reason": "fraudulent"},
    "DisputeClosed": {"reason": "won"},
}
_FULL_DETAILS: dict[str, dict[str, Any]] = {
    "PaymentRequiresAction": {
        "next_action": NextAction(NextActionType.REDIRECT, "https://bank.example/3ds?a=1&b=é")
    },
    "PaymentCaptured": {"final": False},
    "PaymentFailed": {"last_error": LastError("card_declined", "insufficient_funds", "Refusé — “no”.")},
    "PaymentCanceled": {"reason": "requested_by_customer"},
    "RefundProcessed": {"refund_id": "ref_1", "reason": "torn"},
    "RefundFailed": {"refund_id": "ref_1", "reason": "expired_or_canceled_card"},
    "RefundRejected": {"refund_id": "ref_1", "reason": "approval_expired"},
    "DisputeClosed": {"reason": "lost"},
}
_TAKES_MONEY = ("PaymentSucceeded", "PaymentCaptured")


def an_event(kind: type[PaymentEvent], number: int = 1, **changes: Any) -> PaymentEvent:
    """The event of a payment of 1000 EUR; one that takes money has taken all of it."""
    fields: dict[str, Any] = {
        "event_id": UUID(int=number),
        "sequence": number,
        "occurred_at": START,
        "payment_id": "pay_1",
        "order_id": "ord_1",
        "gateway_payment_intent_id": "pi_1",
        "currency": "EUR",
        "amount": 1000,
        "amount_captured": 1000 if kind.type in _TAKES_MONEY else 0,
        "amount_refunded": 0,
        **_DETAILS.get(kind.type, {}),
        **changes,
    }
    return kind(**fields)


def full_event(kind: type[PaymentEvent], number: int = 1, **changes: Any) -> PaymentEvent:
    """The same with a real id, and with every field of its type filled in."""
    fields = {"event_id": SystemIds().event_id(), "method": CardMethod("visa", "4242")}
    return an_event(kind, number, **{**fields, **_FULL_DETAILS.get(kind.type, {}), **changes})
