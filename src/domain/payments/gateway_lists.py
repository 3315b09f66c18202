"""What a gateway lists, for those who compare its books with ours.

Optional: a gateway that lacks these calls takes payments all the same, and is left out of the comparison.
Lists are complete; an object that cannot be read stands in them as an UnreadableReport.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from domain.payments.gateway import (
    DisputeSnapshot,
    GatewayEvent,
    IntentSnapshot,
    PaymentGateway,
    RefundSnapshot,
    UnreadableReport,
)

LISTED_AT_ONCE = 100
"""The longest page, as Stripe's (https://docs.stripe.com/api/pagination)."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a list. `created_at` is the gateway's, to the second."""

    object_id: str
    created_at: datetime
    snapshot: IntentSnapshot | RefundSnapshot | DisputeSnapshot | UnreadableReport


@dataclass(frozen=True, slots=True)
class ListPage:
    """Newest first. `after` is where the next page begins; None: this was the last."""

    items: Sequence[Listed]
    after: str | None


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event as the gateway keeps it; `body` is what its webhook carries."""

    event: GatewayEvent
    body: bytes


@dataclass(frozen=True, slots=True)
class EventPage:
    """Oldest first. `more` tells whether there are others behind them."""

    events: Sequence[ListedEvent]
    more: bool


class GatewayLists(Protocol):
    """Every coroutine raises GatewayUnknown or GatewayRefused."""

    async def list_events(self, *, after: str | None, since: datetime) -> EventPage:
        """A page of the events behind `after`, or all from `since` on where that is None; of types that payments follow.

        Raises GatewayRefused with the code `resource_missing` where the gateway no longer has that one.
        """
        ...

    async def list_intents(self, *, since: datetime, until: datetime, after: str | None) -> ListPage:
        """Those created from `since` on and before `until`, behind the page that ended in `after`."""
        ...

    async def list_refunds(self, *, since: datetime, until: datetime, after: str | None) -> ListPage: ...

    async def list_disputes(self, *, since: datetime, until: datetime, after: str | None) -> ListPage: ...

    async def get_refund(self, gateway_refund_id: str) -> RefundSnapshot: ...


def lists_of(gateway: PaymentGateway) -> GatewayLists | None:
    """The lists of a gateway that has them. By name, for a circuit or a test may stand around it."""
    has_all = all(
        hasattr(gateway, name)
        for name in ("list_events", "list_intents", "list_refunds", "list_disputes", "get_refund")
    )
    return cast(GatewayLists, gateway) if has_all else None
