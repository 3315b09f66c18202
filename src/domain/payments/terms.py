"""Asking the order side back: nothing is begun for an order that wants something else."""

from domain.payments.errors import OrderTermsDiffer, OrderUnknown
from domain.payments.ports import OrderTermsSource
from domain.shared.callers import Caller


async def check_terms(
    order_terms: OrderTermsSource,
    caller: Caller,
    *,
    order_id: str,
    amount: int,
    currency: str,
    order_pointer: str | None = "/orderId",
) -> None:
    """Raises OrderUnknown, OrderTermsDiffer, OrdersUnavailable. `order_pointer` is where the request names the order."""
    terms = await order_terms.get(order_id, caller)
    if terms is None:
        raise OrderUnknown(pointer=order_pointer)
    if terms.currency != currency:
        raise OrderTermsDiffer(f"the order is in {terms.currency}", pointer="/currency")
    if terms.amount != amount:
        raise OrderTermsDiffer(f"the order's total is {terms.amount}", pointer="/amount")
    if not terms.payable:
        raise OrderTermsDiffer("the order cannot be paid now", pointer=order_pointer)
