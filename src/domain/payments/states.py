"""What may follow what on the payment side, as data; docs/states.md draws it, the database holds rows to it.

A state without successors is final. The gateway's reports come in any order: one that does not lead
forward from here is old, unless the gateway insists, which is recorded and flagged.
"""

from domain.payments.gateway import IntentStatus
from domain.payments.operation import OperationStatus
from domain.payments.refund import RefundStatus
from domain.shared.states import Transitions

_I, _R, _O = IntentStatus, RefundStatus, OperationStatus

UNDECIDED = frozenset(
    {_I.REQUIRES_PAYMENT_METHOD, _I.REQUIRES_CONFIRMATION, _I.REQUIRES_ACTION, _I.PROCESSING}
)

CANCELABLE = UNDECIDED | {_I.REQUIRES_CAPTURE}
CONFIRMABLE = frozenset({_I.REQUIRES_PAYMENT_METHOD, _I.REQUIRES_CONFIRMATION, _I.REQUIRES_ACTION})
UPDATABLE = frozenset({_I.REQUIRES_PAYMENT_METHOD, _I.REQUIRES_CONFIRMATION})
FINAL = frozenset({_I.SUCCEEDED, _I.CANCELED})

_FROM_UNDECIDED = {
    _I.REQUIRES_PAYMENT_METHOD: "the attempt failed",
    _I.REQUIRES_CONFIRMATION: "a method is chosen",
    _I.REQUIRES_ACTION: "the customer must act",
    _I.PROCESSING: "the bank takes its time",
    _I.REQUIRES_CAPTURE: "authorized",
    _I.SUCCEEDED: "the money is taken",
    _I.CANCELED: "canceled",
}

INTENT_TRANSITIONS: Transitions[IntentStatus] = {
    None: {_I.REQUIRES_PAYMENT_METHOD: "the payment is begun"},
    **{
        before: {after: why for after, why in _FROM_UNDECIDED.items() if after is not before}
        for before in _I
        if before in UNDECIDED
    },
    _I.REQUIRES_CAPTURE: {_I.SUCCEEDED: "the last capture", _I.CANCELED: "voided or lapsed"},
    _I.SUCCEEDED: {},
    _I.CANCELED: {},
}
"""https://docs.stripe.com/payments/paymentintents/lifecycle"""

REFUND_TRANSITIONS: Transitions[RefundStatus] = {
    None: {_R.PENDING_APPROVAL: "above the caller's limit", _R.PENDING: "begun, by us or at the gateway"},
    _R.PENDING_APPROVAL: {_R.PENDING: "approved", _R.REJECTED: "rejected, or forgotten"},
    _R.PENDING: {
        _R.SUCCEEDED: "the gateway confirms it",
        _R.FAILED: "the gateway refuses it",
        _R.CANCELED: "canceled at the gateway",
    },
    _R.SUCCEEDED: {_R.FAILED: "the bank sends it back"},
    _R.FAILED: {_R.PENDING: "retried", _R.PENDING_APPROVAL: "retried above the caller's limit"},
    _R.REJECTED: {},
    _R.CANCELED: {},
}
"""https://docs.stripe.com/refunds#failed-refunds"""

OPERATION_TRANSITIONS: Transitions[OperationStatus] = {
    None: {_O.STARTED: "saved, before anything is sent"},
    _O.STARTED: {
        _O.SUCCEEDED: "the gateway did it",
        _O.FAILED: "the gateway proved that it did nothing",
        _O.UNKNOWN: "no answer, a 5xx, a 409, an idempotency error",
    },
    _O.UNKNOWN: {_O.SUCCEEDED: "found at the gateway", _O.FAILED: "proved never done"},
    _O.SUCCEEDED: {},
    _O.FAILED: {},
}
