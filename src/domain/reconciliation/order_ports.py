"""The books of the order side and of the payment side, as they are compared with each other.

Each is read in pages of bounded size, by index, and without a lock: orders are paid meanwhile.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.shared.statements import ChangedPayments, HeldEvent, OpenWork, OrderStatement, PaymentStatement


class OrderBook(Protocol):
    """Raises Unavailable where its database is away."""

    async def of_orders(self, order_ids: Sequence[str]) -> Sequence[OrderStatement]:
        """Those of these orders that exist; each of one moment."""
        ...

    async def page(
        self, *, after: str, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[OrderStatement]:
        """By id, behind the id `after`; those created in [since, until)."""
        ...

    async def existing(self, order_ids: Sequence[str]) -> Collection[str]:
        """Which of these orders exist."""
        ...

    async def newest(self, limit: int) -> Sequence[OrderStatement]: ...

    async def places(self, payment_ids: Sequence[str]) -> Mapping[str, int]:
        """The number of the last event that the order side has taken in, by payment; none it has never heard of."""
        ...

    async def held_events(self, payment_ids: Sequence[str]) -> Sequence[HeldEvent]:
        """Events of these payments that came and were not applied, in their order."""
        ...

    async def open_attempts(self, *, before: datetime, limit: int) -> Sequence[OpenWork]:
        """Calls to the payment side begun before that time, of which nobody knows what became."""
        ...


class PaymentBook(Protocol):
    """Raises Unavailable where the payment side or its database is away."""

    async def of_orders(self, order_ids: Sequence[str]) -> Sequence[PaymentStatement]:
        """The payments of these orders, an order's oldest first; all of one moment."""
        ...

    async def page(
        self, *, after: str, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[PaymentStatement]:
        """By id, behind the id `after`; those created in [since, until)."""
        ...

    async def changed(self, *, after: str | None, before: datetime, limit: int) -> ChangedPayments:
        """Whose payments emitted events before that time, behind the cursor `after`, in an order of the log.

        Nothing is ever committed before a place once passed. Raises Malformed for an `after` that is no cursor.
        """
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What the payment side said to a request."""

    said: str
    waits: bool = False
    """Whether it is under way: for the gateway, or for a second person's approval."""


class MoneyBack(Protocol):
    """Has the payment side give money back, by its own use cases and under the refund policy.

    `request_id` makes a repetition the same request. Every coroutine raises Conflict, Refused or NotFound where
    the payment side does not do it, and Unavailable where it does not tell.
    """

    async def void(self, request_id: str, payment: PaymentStatement, reason: str) -> Asked:
        """Cancel the payment: what is only held is given free."""
        ...

    async def refund(self, request_id: str, payment: PaymentStatement, reason: str) -> Asked:
        """Give back all that is left of what it has captured. Raises Conflict where that has failed."""
        ...
