"""What the order side answers where it does not do what was asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.shared.errors import Conflict, FieldFault, Forbidden, NotFound, Refused


class OrderNotFound(NotFound):
    """There is no such order."""

    code = "order_not_found"


class OrderStateForbids(Conflict):
    """The order's present state does not allow this."""

    code = "order_state_forbids"


class CheckoutInProgress(Conflict):
    """An earlier payment attempt of this order is not answered yet."""

    code = "checkout_in_progress"
    retry_after_seconds = 1


class CurrencyNeedsAmounts(Refused):
    """Another currency needs new amounts: of the lines, and of the shipping where there is one."""

    code = "currency_needs_amounts"


class DiscountExceedsLine(Refused):
    """A line's discount is more than the line itself."""

    code = "discount_exceeds_line"


class TotalOutOfRange(Refused):
    """The total is not between 1 and 2^53 - 1 minor units."""

    code = "total_out_of_range"


@dataclass(frozen=True, slots=True)
class Lack:
    """An order's SKU of which there are not enough; `line` is the index of the first line that has it."""

    line: int
    sku: str
    wanted: int
    available: int


class StockInsufficient(Conflict):
    """There is not enough stock for the whole order, so none of it was reserved."""

    code = "stock_insufficient"

    def __init__(self, lacking: Sequence[Lack] = ()) -> None:
        """Pointers lead into the order: the lines that were confirmed with it."""
        self.lacking = tuple(lacking)
        super().__init__(
            faults=[
                FieldFault(
                    f"/lines/{one.line}", f"{one.sku}: {one.wanted} wanted, {one.available} available."
                )
                for one in lacking
            ]
        )


class OnHandBelowReserved(Conflict):
    """Orders have reserved more of this SKU than that."""

    code = "on_hand_below_reserved"


class SkuUntracked(NotFound):
    """Nobody ever counted this SKU: it is always available."""

    code = "sku_untracked"


class CancellationRefunds(Forbidden):
    """Money was taken for this order: canceling it gives that back, which needs the scope refunds:create."""

    code = "cancellation_refunds"


class RefundExceedsPaid(Refused):
    """More than what a payment of the order holds cannot be refunded."""

    code = "refund_exceeds_captured"


class RefundIsZero(Refused):
    """These lines cost nothing: there is nothing to refund."""

    code = "refund_is_zero"


class RefundUnclear(Refused):
    """A refund is of an amount or of lines, and only lines can go back to stock."""

    code = "refund_unclear"


class RefundLineUnknown(Refused):
    """The order has no line of this SKU."""

    code = "refund_line_unknown"


class RefundQuantityExceeds(Refused):
    """More than what was ordered and not yet refunded cannot be refunded."""

    code = "refund_quantity_exceeds"
