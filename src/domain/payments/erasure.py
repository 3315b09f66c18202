"""What stands in the way of erasing the personal data of a payment."""

from domain.payments.gateway import IntentStatus

_SETTLED = frozenset({IntentStatus.SUCCEEDED, IntentStatus.CANCELED})


def obstacle(status: IntentStatus, *, has_open_operation: bool) -> str | None:
    """Why its data is still needed, behind the payment's id in a sentence; None where it is not.

    An open operation may have to be repeated with the identical request.
    """
    if has_open_operation:
        return "has an operation whose outcome is not known yet"
    if status not in _SETTLED:
        return f"is in {status}: it can still be paid, or is to be canceled first"
    return None
