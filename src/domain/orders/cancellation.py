"""Calling an order off: asked for now, done once the side of the money is known."""

from dataclasses import dataclass
from datetime import datetime

CHECKOUT_EXPIRED = "checkout_expired"
"""The reason of a cancellation that nobody asked for: the customer never paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """Kept on a canceled order as the record of why."""

    requested_at: datetime
    reason: str | None
    requested_by: str | None
    """The subject who asked for it; None where the checkout expired."""

    @property
    def gives_way(self) -> bool:
        """Whether money that comes first undoes it: an expired checkout is no more than a lack of payment."""
        return self.requested_by is None
