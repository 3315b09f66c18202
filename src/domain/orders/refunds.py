"""Money given back for an order, and what share of its lines a refund is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from domain.orders.errors import RefundLineUnknown, RefundQuantityExceeds


class OrderRefundStatus(StrEnum):
    PENDING_APPROVAL = "PENDING_APPROVAL"
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"

    @property
    def is_open(self) -> bool:
        """Whether its amount is promised, and its outcome still to be told."""
        return self in (OrderRefundStatus.PENDING_APPROVAL, OrderRefundStatus.PENDING)

    @property
    def came_to_nothing(self) -> bool:
        return self in (OrderRefundStatus.FAILED, OrderRefundStatus.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundedLine:
    sku: str
    quantity: int


@dataclass(slots=True, kw_only=True)
class OrderRefund:
    """A refund as far as we have asked for it, or its events have told."""

    refund_id: str
    payment_id: str
    amount: int
    reason: str | None
    lines: tuple[RefundedLine, ...] = ()
    restock: bool = False
    """Whether the goods of these lines go back to stock once the money is given back."""
    cancels: bool = False
    """Whether the order's cancellation asked for it, which depends on its outcome."""
    status: OrderRefundStatus = OrderRefundStatus.PENDING

    @property
    def goods(self) -> dict[str, int]:
        """How many of each SKU its lines are."""
        goods: dict[str, int] = {}
        for line in self.lines:
            goods[line.sku] = goods.get(line.sku, 0) + line.quantity
        return goods


class PricedLine(Protocol):
    """An order's line, as far as its price goes."""

    @property
    def sku(self) -> str: ...

    @property
    def quantity(self) -> int: ...

    @property
    def total_amount(self) -> int: ...


def amount_of(
    wanted: Sequence[RefundedLine], lines: Sequence[PricedLine], refunds: Sequence[OrderRefund]
) -> int:
    """What these quantities are worth, after what `refunds` have given back for the same SKUs.

    A line's first n of q pieces are worth its total times n / q, rounded down, and a refund the difference
    of two such values: however a line is split up, all its refunds together are the line to the cent.
    Several lines of one SKU are given back in their order. Raises RefundLineUnknown, RefundQuantityExceeds.
    """
    amount = 0
    for index, one in enumerate(wanted):
        of_sku = [line for line in lines if line.sku == one.sku]
        if not of_sku:
            raise RefundLineUnknown(f"the order has no {one.sku}", pointer=f"/lines/{index}/sku")
        before = _given_back(one.sku, refunds) + sum(
            earlier.quantity for earlier in wanted[:index] if earlier.sku == one.sku
        )
        left = sum(line.quantity for line in of_sku) - before
        if one.quantity > left:
            raise RefundQuantityExceeds(
                f"{one.quantity} is more than the {left} that are left of {one.sku}",
                pointer=f"/lines/{index}/quantity",
            )
        amount += _worth(of_sku, before + one.quantity) - _worth(of_sku, before)
    return amount


def _given_back(sku: str, refunds: Sequence[OrderRefund]) -> int:
    return sum(
        line.quantity
        for refund in refunds
        if not refund.status.came_to_nothing
        for line in refund.lines
        if line.sku == sku
    )


def _worth(lines: Sequence[PricedLine], quantity: int) -> int:
    """What the first pieces of these lines are worth together."""
    worth = 0
    for line in lines:
        taken = min(quantity, line.quantity)
        worth += line.total_amount * taken // line.quantity
        quantity -= taken
    return worth
