"""Calling an order off: asked for now, done once the side of the money is known."""

from dataclasses import dataclass
from datetime import datetime

from domain.shared.callers import Caller

CHECKOUT_EXPIRED = "checkout_expired"
"""The reason of a cancellation that nobody asked for: the customer never paid."""


@dataclass(frozen=True, slots=True)
class Requester:
    """In whose name the payment side is asked: a subject, and what their token allowed (`scope`)."""

    subject: str | None
    scope: str | None

    @classmethod
    def of(cls, caller: Caller) -> "Requester":
        return cls(caller.subject, " ".join(sorted(caller.scopes)))


NOBODY = Requester(None, None)
"""A rule of ours asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """Kept on a canceled order as the record of why."""

    requested_at: datetime
    reason: str | None
    requested_by: str | None
    """The subject who asked for it; None where the checkout expired."""
    requested_scope: str | None = None
    """What their token allowed."""

    @property
    def requester(self) -> Requester:
        return Requester(self.requested_by, self.requested_scope)

    @property
    def refunds_for(self) -> Requester:
        """In whose name its refunds are asked for, whose limits then count.

        Whoever may not refund has canceled before any money was there: what came afterwards is given back by
        a rule of ours.
        """
        scope = self.requested_scope
        return self.requester if scope is None or "refunds:create" in scope.split() else NOBODY

    @property
    def gives_way(self) -> bool:
        """Whether money that comes first undoes it: an expired checkout is no more than a lack of payment."""
        return self.requested_by is None
