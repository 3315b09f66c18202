"""What a gateway and the payment side each state of one object of the gateway's: no personal data, no secret."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ObjectKind(StrEnum):
    INTENT = "intent"
    REFUND = "refund"
    DISPUTE = "dispute"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayObject:
    """An object of the account `gateway`; amounts in minor units of `currency`."""

    kind: ObjectKind
    gateway: str
    object_id: str
    """The gateway's own id of it."""
    intent_id: str | None
    """The intent that it belongs to, or is."""
    own_id: str | None
    """Our id of the payment or refund, from the object's metadata; None for what others have made."""
    status: str
    """In the words of the payment side; empty where the gateway's is unknown to this version."""
    amount: int
    currency: str
    moved: int = 0
    """What an intent has taken, or what a dispute has withdrawn."""
    attempt: str | None = None
    """The charge of the last failed attempt at an intent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldTotals:
    """What the newest event of a payment that is still in the log told."""

    sequence: int
    amount_captured: int
    amount_refunded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnObject:
    """The object as the payment side has it, all of one moment."""

    stated: GatewayObject
    payment_id: str
    order_id: str
    created_at: datetime
    changed_at: datetime
    is_explained: bool
    """Whether a call to the gateway is in flight that may have changed the object there."""
    sequence: int = 0
    amount_refunded: int = 0
    told: ToldTotals | None = None
    """Of a payment; None where no event of it is in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckCall:
    """A call to the gateway of which nobody knows yet what became."""

    operation_id: str
    kind: str
    gateway: str
    payment_id: str
    order_id: str
    since: datetime
