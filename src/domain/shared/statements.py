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
    def amount_kept(self) -> int:
        return self.amount_captured - self.amount_refunded

    @property
    def is_over(self) -> bool:
        """Whether it takes no money any more: what it has taken stays."""
        return self.status in ("SUCCEEDED", "CANCELED")

    @property
    def is_settled(self) -> bool:
        """Whether it is over, and nothing of it is held: a success without its amount contradicts itself."""
        took_nothing = self.status == "SUCCEEDED" and self.amount_captured == 0
        return self.is_over and self.amount_kept == 0 and not took_nothing

    @property
    def is_live(self) -> bool:
        """Whether it has the money of its order, or may take it."""
        return self.status != "CANCELED" and not self.is_settled


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

    @property
    def followed_payment_id(self) -> str | None:
        """Which of its payments moves its status: the newest, by the id; None before the first."""
        return max(self.payments, default=None)


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
