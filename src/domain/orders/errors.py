"""What the order side answers where it does not do what was asked."""

from domain.shared.errors import Conflict, NotFound, Refused


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
