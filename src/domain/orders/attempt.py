"""An attempt: one call to the payment side, saved before it is made, so that it can be made again after a crash."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

CHECK_AFTER = timedelta(seconds=30)
"""Longer than the payment side takes to answer; an attempt still open then was cut off."""


class AttemptKind(StrEnum):
    CREATE = "CREATE"
    """Make a payment for the order and confirm it."""
    CONFIRM = "CONFIRM"
    """Confirm the order's live payment again."""
    CANCEL = "CANCEL"
    """Cancel a payment, or void its authorization."""
    REFUND = "REFUND"
    """Give money of a payment back."""


CHECKOUT_KINDS = frozenset({AttemptKind.CREATE, AttemptKind.CONFIRM})
"""One at a time for an order; what gives money back may be many."""

NOTHING_TO_REFUND = "nothing_to_refund"
"""The payment side's code where all that it holds is promised to other refunds, or given back."""


class AttemptStatus(StrEnum):
    STARTED = "STARTED"
    DONE = "DONE"
    REFUSED = "REFUSED"


@dataclass(slots=True, kw_only=True)
class Attempt:
    attempt_id: str
    order_id: str
    kind: AttemptKind
    created_at: datetime
    next_check_at: datetime
    return_url: str | None = None
    capture_method: str = "AUTOMATIC"
    payment_id: str | None = None
    """The payment that it is about; a CREATE makes one."""
    payment_method_token: str | None = field(default=None, repr=False)
    setup_future_usage: str | None = None
    """How the method is to be saved with the customer, in the payment side's words."""
    off_session: bool = False
    """The customer is not there: the method must be one that they have saved."""
    amount: int | None = None
    """Of a REFUND, in minor units of the payment's currency; None: all that is left."""
    reason: str | None = None
    """Of a CANCEL or a REFUND."""
    requested_by: str | None = None
    """The subject who asked for the money back; None where a rule of ours did."""
    requested_scope: str | None = None
    """What their token allowed, as its `scope` claim says it; None in the rows of releases that did not keep it."""
    gives_way: bool = False
    """Of a CANCEL: it leaves a payment alone that somebody is at work on, the customer's bank for one."""
    status: AttemptStatus = AttemptStatus.STARTED
    error: str | None = None

    def finish(self, status: AttemptStatus, error: str | None = None) -> None:
        """The payment side has answered; the token is of no further use here."""
        self.status = status
        self.error = error
        self.payment_method_token = None

    @property
    def refund_id(self) -> str:
        """What the payment side calls the refund of this attempt: known before, so that its event finds it."""
        return f"ref_{self.attempt_id}"
