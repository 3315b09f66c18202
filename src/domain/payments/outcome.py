"""What the gateway's intent tells of an operation, and the error that tells of a refused one."""

from enum import Enum, auto

from domain.payments.errors import AuthorizationExpired, GatewayRefusedRequest, PaymentStateForbids
from domain.payments.gateway import IntentSnapshot, IntentStatus
from domain.payments.operation import Operation, OperationKind
from domain.payments.payment import Payment
from domain.payments.states import FINAL, UPDATABLE
from domain.shared.errors import DomainError


class Outcome(Enum):
    """What became of an operation on an intent."""

    DONE = auto()
    PRECLUDED = auto()
    """The intent went another way first: the operation did nothing, and never can."""
    NOT_YET = auto()
    """The gateway shows nothing of it; the request may still be on its way."""


def outcome_of(operation: Operation, payment: Payment, intent: IntentSnapshot) -> Outcome:
    """What the intent, as the gateway has it now, tells of this operation."""
    match operation.kind:
        case OperationKind.CAPTURE:
            done = intent.amount_captured >= (operation.target_amount or 0)
            precluded = intent.status in FINAL
        case OperationKind.RELEASE:
            done, precluded = intent.status in FINAL, False
        case OperationKind.CANCEL:
            done = intent.status is IntentStatus.CANCELED
            precluded = intent.status is IntentStatus.SUCCEEDED
        case OperationKind.UPDATE:
            done = intent.amount == operation.target_amount
            precluded = intent.status not in UPDATABLE
        case _:
            done, precluded = _was_tried(operation, payment, intent), False
    if done:
        return Outcome.DONE
    return Outcome.PRECLUDED if precluded else Outcome.NOT_YET


def _was_tried(operation: Operation, payment: Payment, intent: IntentSnapshot) -> bool:
    """Whether the intent has moved since this confirmation began: a decline leads back to where it was."""
    if intent.status in FINAL:
        return True
    in_flight = payment.in_flight == operation.operation_id
    if in_flight and payment.version != operation.payment_version:
        return True  # something was recorded since it began: what the gateway has now is the outcome
    return (intent.status, intent.failed_charge_id or payment.failed_charge_id, intent.next_action) != (
        payment.status,
        payment.failed_charge_id,
        payment.next_action,
    )


def refusal(
    operation: Operation, payment: Payment, message: str | None, *, pointer: str | None = None
) -> DomainError:
    """The error that tells of a failed operation: that the payment's state forbids it by now, where it does."""
    try:
        match operation.kind:
            case OperationKind.CAPTURE | OperationKind.RELEASE:
                payment.check_open_for_capture()
            case OperationKind.CANCEL:
                payment.check_cancelable()
            case OperationKind.UPDATE:
                payment.check_updatable()
    except (AuthorizationExpired, PaymentStateForbids) as forbidden:
        return forbidden
    if operation.kind is OperationKind.CANCEL:  # nothing but the state can be wrong with a cancellation
        return PaymentStateForbids(f"the gateway cannot cancel this payment now: {message}")
    lapse, failed_at = payment.capture_before, operation.finished_at
    if operation.kind is OperationKind.CAPTURE and lapse and failed_at and failed_at >= lapse:
        return AuthorizationExpired()
    error = GatewayRefusedRequest(message, pointer=pointer)
    if payment.status is not IntentStatus.CANCELED:
        error.payment_id = payment.payment_id
    return error
