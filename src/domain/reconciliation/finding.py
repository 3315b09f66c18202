"""What a comparison finds: typed differences between two books, and what became of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.shared.states import State


class FindingType(State):
    """Each with one sentence that says what it means; docs/reconciliation.md says what to do about it."""

    # payments ↔ gateway
    MISSING_WEBHOOK = (
        "MISSING_WEBHOOK",
        "The gateway's object has changed, and the webhook that tells of it never came.",
    )
    GATEWAY_SUCCEEDED = "GATEWAY_SUCCEEDED", "The gateway has taken or holds the money, and we still wait."
    GATEWAY_DID_NOT_SUCCEED = (
        "GATEWAY_DID_NOT_SUCCEED",
        "We recorded an outcome that the gateway does not have.",
    )
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS", "Two books have the same object with different amounts."
    CURRENCY_DIFFERS = "CURRENCY_DIFFERS", "Two books have the same object in different currencies."
    REFUND_AT_GATEWAY = (
        "REFUND_AT_GATEWAY",
        "A refund was made at the gateway, as in its dashboard, and we do not know of it.",
    )
    UNKNOWN_PAYMENT = (
        "UNKNOWN_PAYMENT",
        "The gateway has an intent that names a payment which we do not have.",
    )
    UNKNOWN_DISPUTE = "UNKNOWN_DISPUTE", "A payment of ours is disputed, and we do not know of it."
    STALE_AUTHORIZATION = "STALE_AUTHORIZATION", "We count on held funds that the gateway no longer holds."
    PAYMENT_ALTERED = (
        "PAYMENT_ALTERED",
        "A payment's status or amounts do not follow from its own events.",
    )
    STUCK_OPERATION = (
        "STUCK_OPERATION",
        "A call to the gateway was begun, and nobody knows its outcome for too long.",
    )

    # orders ↔ payments
    PAYMENT_WITHOUT_ORDER = "PAYMENT_WITHOUT_ORDER", "A payment is for an order that does not exist."
    ORDER_PAID_WITHOUT_PAYMENT = (
        "ORDER_PAID_WITHOUT_PAYMENT",
        "An order counts as paid, and no payment has taken its money.",
    )
    ORDER_ALTERED = (
        "ORDER_ALTERED",
        "An order's status or amounts do not follow from its own history and payments.",
    )
    TWO_LIVE_PAYMENTS = "TWO_LIVE_PAYMENTS", "More than one payment has or may take the money of one order."
    EVENT_NOT_APPLIED = (
        "EVENT_NOT_APPLIED",
        "A payment's event was committed, and its order does not follow it.",
    )
    STUCK_ATTEMPT = (
        "STUCK_ATTEMPT",
        "An order's call to the payment side was begun, and nobody knows its outcome for too long.",
    )

    # ledger ↔ payments, gateway
    LEDGER_DIFFERS = "LEDGER_DIFFERS", "The ledger's balance is not that of what it records."
    UNEXPLAINED_BALANCE_TRANSACTION = (
        "UNEXPLAINED_BALANCE_TRANSACTION",
        "The gateway's balance moved, and no payment, refund, dispute or payout of ours explains it.",
    )


class FindingStatus(StrEnum):
    OPEN = "OPEN"
    """It stands; a repair may be on its way, or a person must look."""
    REPAIRED = "REPAIRED"
    """A repair of ours has ended it."""
    RESOLVED = "RESOLVED"
    """It is gone by itself, or a person has settled it: `settled_by` says who."""
    IGNORED = "IGNORED"
    """The policy says that nobody need look."""


class Action(StrEnum):
    """What is done about a finding."""

    APPLY = "apply"
    """Take over what the other book says, as if its message had come, by the same use case."""
    REFUND = "refund"
    """Give the money back, under the refund policy."""
    FLAG = "flag"
    """Nothing by itself: a person must look."""
    IGNORE = "ignore"


Value = str | int | bool | None
Facts = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two books do not agree on one object: what ours led to expect, and what was found."""

    type: FindingType
    object_id: str
    """What it is about, by its prefix: our payment or order, the gateway's refund, dispute or intent."""
    expected: Facts
    found: Facts
    gateway: str | None = None
    """The account, where the object is the gateway's or known there."""
    payment_id: str | None = None
    order_id: str | None = None
    note: str | None = None
    """In words, where the facts alone do not tell."""
    by_hand: bool = False
    """Whether only a hand can have made it (a row that contradicts its own events): never repaired."""

    @property
    def key(self) -> "Key":
        return (self.type, self.object_id)


Key = tuple[FindingType, str]
"""Unique among open findings."""


@dataclass(slots=True, kw_only=True)
class Finding:
    """A difference that was confirmed by a second look, and its story."""

    finding_id: str
    type: FindingType
    object_id: str
    expected: dict[str, Value]
    found: dict[str, Value]
    action: Action
    """What the policy has for it."""
    first_seen: datetime
    last_seen: datetime
    status: FindingStatus = FindingStatus.OPEN
    gateway: str | None = None
    payment_id: str | None = None
    order_id: str | None = None
    note: str | None = None
    """What it is or what became of its repair, in words."""
    tries: int = field(default=0)
    """How often a repair was tried."""
    closed_at: datetime | None = None
    settled_by: str | None = None
    """Whoever said that it is settled."""
    comment: str | None = None

    @classmethod
    def of(cls, difference: Difference, finding_id: str, action: Action, now: datetime) -> "Finding":
        ignored = action is Action.IGNORE
        return cls(
            finding_id=finding_id,
            type=difference.type,
            object_id=difference.object_id,
            gateway=difference.gateway,
            payment_id=difference.payment_id,
            order_id=difference.order_id,
            expected=dict(difference.expected),
            found=dict(difference.found),
            note=difference.note,
            action=action,
            first_seen=now,
            last_seen=now,
            status=FindingStatus.IGNORED if ignored else FindingStatus.OPEN,
            closed_at=now if ignored else None,
        )

    @property
    def key(self) -> Key:
        return (self.type, self.object_id)

    def tells(self, difference: Difference) -> bool:
        """Whether it says exactly this."""
        return (self.expected, self.found) == (dict(difference.expected), dict(difference.found))

    def answers(self, difference: Difference) -> bool:
        """Whether somebody has decided about exactly this difference before, so that it is not raised again."""
        decided = self.status is FindingStatus.IGNORED or self.settled_by is not None
        return decided and self.tells(difference)

    def see_again(self, difference: Difference, now: datetime) -> None:
        if not self.tells(difference):
            self.tries, self.note = 0, difference.note  # it is another one by now: a repair may do
        self.expected, self.found = dict(difference.expected), dict(difference.found)
        self.last_seen = now

    def note_try(self, note: str, now: datetime) -> None:
        """A repair was tried, and has not ended it yet."""
        self.tries += 1
        self.note = note
        self.last_seen = now

    def say(self, note: str, now: datetime) -> None:
        """What stands in the way of a repair, or what it waits for."""
        self.note = note
        self.last_seen = now

    def repair(self, action: Action, note: str, now: datetime) -> None:
        """A repair of ours has ended it."""
        self.action, self.note = action, note
        self.tries += 1
        self._close(FindingStatus.REPAIRED, now)

    def vanish(self, now: datetime) -> None:
        """The books agree again, by none of our repairs."""
        self._close(FindingStatus.RESOLVED, now)

    def settle(self, by: str, comment: str, now: datetime) -> None:
        """A person says that nothing is left to do about it."""
        self.settled_by, self.comment = by, comment
        self._close(FindingStatus.RESOLVED, now)

    def _close(self, status: FindingStatus, now: datetime) -> None:
        self.status, self.closed_at = status, now
