"""What a client may change of a draft, and until when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.orders.cart import Customer, OrderLine
from domain.orders.errors import CurrencyNeedsAmounts, OrderStateForbids
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.shared.errors import Malformed

MAX_METADATA_NAMES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftChanges:
    """None leaves a field as it is. Lines and customer are replaced as a whole, metadata name by name."""

    currency: str | None = None
    lines: tuple[OrderLine, ...] | None = None
    customer: Customer | None = field(default=None, repr=False)
    without_customer: bool = False
    shipping_amount: int | None = None
    metadata: Mapping[str, str | None] = field(default_factory=dict)
    """What each name becomes; None removes it."""
    without_metadata: bool = False


def check_changeable(order: Order) -> None:
    """Raise OrderStateForbids unless this is a draft that nothing was paid or tried for.

    A payment can be made for a draft by itself; its first event freezes the draft, for the amount is
    known to the gateway then.
    """
    if order.status is not OrderStatus.DRAFT:
        raise OrderStateForbids(f"an order in {order.status} cannot be changed")
    if order.payments:
        raise OrderStateForbids("the draft has a payment already, and cannot be changed any more")


def change_draft(order: Order, changes: DraftChanges, now: datetime) -> bool:
    """Whether it is different now.

    Raises what `check_changeable` and the order's `check_totals` do, CurrencyNeedsAmounts where amounts of
    the former currency would stay, Malformed where there would be too much metadata.
    """
    check_changeable(order)
    _check_currency(order, changes)
    before = (order.currency, order.lines, order.customer, order.shipping_amount, order.metadata)
    order.currency = changes.currency or order.currency
    if changes.lines is not None:
        order.lines = changes.lines
    if changes.shipping_amount is not None:
        order.shipping_amount = changes.shipping_amount
    if changes.customer is not None or changes.without_customer:
        order.customer = changes.customer
    order.metadata = _merged({} if changes.without_metadata else order.metadata, changes.metadata)
    order.check_totals()
    if (order.currency, order.lines, order.customer, order.shipping_amount, order.metadata) == before:
        return False
    order.updated_at = now
    return True


def _check_currency(order: Order, changes: DraftChanges) -> None:
    if changes.currency in (None, order.currency):
        return
    if changes.lines is None or (order.shipping_amount > 0 and changes.shipping_amount is None):
        raise CurrencyNeedsAmounts(pointer="/currency")


def _merged(metadata: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {name: value for name, value in {**metadata, **changes}.items() if value is not None}
    if len(merged) > MAX_METADATA_NAMES:
        raise Malformed(f"the order would have {len(merged)} names of metadata", pointer="/metadata")
    return merged
