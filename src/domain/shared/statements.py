"""What the two services state of the same money to whoever compares them: no personal data, no secret.

A statement is of one moment: an order's has its payments as the order knows them and its place in each
payment's stream of events as they were committed together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentStatement:
    """A payment as the payment side has it. Amounts in minor units of `currency`."""

    payment_id: str
    order_id: str
    status: str
    amount: int
    currency: str
    amount_captured: int
    amount_refunded: int
    sequence: int
    """The number of the last event that it emitted."""
    created_at: datetime
    updated_at: datetime

    @property
    def is_live(self) -> bool:
        """Whether it stands in the way of another payment of its order."""
        return self.status != "CANCELED"


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedPayment:
    """A payment as its order knows it."""

    status: str
    amount_captured: int
    amount_refunded: int
    applied: int
    """The number of its last event that the order has followed; 0 before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatement:
    """An order as the order side has it. Amounts in minor units of `currency`."""

    order_id: str
    status: str
    noted_status: str | None
    """Where the last change of status that its history tells of led to; None where it tells of none."""
    currency: str
    total_amount: int
    amount_paid: int
    amount_refunded: int
    attentions: tuple[str, ...]
    payments: Mapping[str, FollowedPayment]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPayments:
    """A page of what happened to payments: the orders concerned, each once, and where the next page begins."""

    order_ids: tuple[str, ...]
    cursor: str | None
    """Behind the last event of this page; None where there has never been one."""
    is_last: bool
    """Whether nothing more of what was asked for is there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """A call to the other side, or to the gateway, of which nobody knows yet what became."""

    work_id: str
    kind: str
    order_id: str
    payment_id: str | None
    since: datetime
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldEvent:
    """An event that the order side has received and not applied: it waits, failed, or is parked."""

    event_id: str
    payment_id: str
    attempts: int
    is_parked: bool
    cause: str | None
