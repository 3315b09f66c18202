"""What stands in the way of erasing the personal data of an order."""

from domain.orders.status import SHIPPABLE, OrderStatus

_IN_CHECKOUT = frozenset(
    {
        OrderStatus.PENDING_PAYMENT,
        OrderStatus.AWAITING_USER_PAYMENT_ACTION,
        OrderStatus.PAYMENT_FAILED,
        OrderStatus.AUTHORIZED,
    }
)


def obstacle(
    status: OrderStatus,
    *,
    is_canceling: bool,
    is_taken_on: bool,
    has_open_attempt: bool,
    is_undelivered: bool,
) -> str | None:
    """Why its customer's data is still needed, behind the order's id in a sentence; None where it is not.

    `is_taken_on`: the warehouse has accepted or shipped it. `is_undelivered`: a request to ship it is under way.
    """
    if has_open_attempt:
        return "waits for an answer of the payment side"
    if is_canceling:
        return "is being canceled"
    if status in _IN_CHECKOUT:
        return f"is in {status}: it can still be paid, or is to be canceled first"
    if is_undelivered or (status in SHIPPABLE and not is_taken_on):
        return "is paid, and the warehouse has not accepted it yet"
    return None
