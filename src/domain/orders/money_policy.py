"""What becomes of money that comes late, twice, or not as it should: declared, one answer for each case.

Whatever is chosen, the order's `attentions` name the case while money is held that is not its own.
"""

from dataclasses import dataclass
from enum import StrEnum


class OnMoney(StrEnum):
    REFUND = "refund"
    """Give it back at once, by an attempt that the event's transaction saves."""
    FLAG = "flag"
    """Leave it, for a person to decide."""


class OnPaidAfterCancel(StrEnum):
    REFUND = "refund"
    REOPEN = "reopen"
    """The order is paid after all, if its stock can be had again; else the money goes back."""
    FLAG = "flag"


class OnCapturedLess(StrEnum):
    ACCEPT = "accept"
    """The merchant captured what they shipped: nobody needs to look."""
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyPolicy:
    paid_after_cancel: OnPaidAfterCancel = OnPaidAfterCancel.REFUND
    paid_twice: OnMoney = OnMoney.REFUND
    """Money of a payment whose place another one has taken."""
    amount_mismatch: OnMoney = OnMoney.FLAG
    """Another amount or currency than the order's: something is broken, and a person should know what."""
    paid_without_stock: OnMoney = OnMoney.REFUND
    """Paid so late that the stock has gone to others."""
    captured_less: OnCapturedLess = OnCapturedLess.FLAG


BY_DEFAULT = MoneyPolicy()
