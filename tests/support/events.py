"""Payment events for the tests of those who follow them, with the values that most tests want."""

from typing import Any
from uuid import UUID

from domain.shared.payment_events import PaymentEvent
from tests.support.house import START

_DETAILS: dict[str, dict[str, Any]] = {
    "PaymentRequiresAction": {"next_action": None},
    "PaymentCaptured": {"final": True},
    "PaymentFailed": {"last_error": None},
    "PaymentCanceled": {"reason": None},
    "RefundProcessed": {"refund_id": "ref_1", "reason": None},
    "RefundFailed": {"refund_id": "ref_1", "reason": None},
    "DisputeOpened": {"reason": "fraudulent"},
    "DisputeClosed": {"reason": "won"},
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
