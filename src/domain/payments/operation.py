"""An operation: one money-moving gateway call, saved before it is sent.

Whoever holds a saved operation can find out what became of it and, where that is nothing,
repeat it: the identical request with the identical idempotency key.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.payments.gateway import GatewayRequest
from domain.shared.states import State

REPEATABLE_FOR = timedelta(hours=20)
"""Stripe forgets idempotency keys after 24 h (https://docs.stripe.com/api/idempotent_requests)."""

FIRST_CHECK_AFTER = timedelta(seconds=30)
"""Longer than any gateway call may take: until then its caller is still waiting for the answer."""

OVERDUE_AFTER = timedelta(minutes=15)
"""An outcome that is not known by then may stay so: a person should ask the gateway."""


class OperationKind(StrEnum):
    CREATE = "CREATE"
    CONFIRM = "CONFIRM"
    CAPTURE = "CAPTURE"
    RELEASE = "RELEASE"
    """Give up what is left of an authorization that was captured in part."""
    CANCEL = "CANCEL"
    UPDATE = "UPDATE"
    """Another amount, before anything is confirmed."""
    REFUND = "REFUND"


class OperationStatus(State):
    STARTED = "STARTED", "It is saved, and may have been sent: its caller still waits for the answer."
    UNKNOWN = "UNKNOWN", "Nobody knows whether the gateway did it; recovery looks it up."
    SUCCEEDED = "SUCCEEDED", "The gateway did it, and what it did is recorded."
    FAILED = "FAILED", "The gateway proved that it did nothing."


@dataclass(slots=True, kw_only=True)
class Operation:
    """`operation_id` is the idempotency key; `payment_version` the payment's version when it began."""

    operation_id: str
    payment_id: str
    gateway: str
    """The account that the request was made for, the only one it is ever sent to."""
    kind: OperationKind
    request: GatewayRequest
    created_at: datetime
    next_check_at: datetime
    payment_version: int
    refund_id: str | None = None
    target_amount: int | None = None
    """How the gateway's intent shows that it is done: the whole amount captured after a capture, or the
    amount after an update."""
    status: OperationStatus = OperationStatus.STARTED
    requested_by: str | None = None
    """The subject of whoever's request it serves; None where nobody asked, or an older version wrote it."""
    actor: str | None = None
    """The service that acted for the subject."""
    checks: int = 0
    error: str | None = None
    finished_at: datetime | None = None

    @property
    def open(self) -> bool:
        return self.status in (OperationStatus.STARTED, OperationStatus.UNKNOWN)

    def may_repeat(self, now: datetime) -> bool:
        return now < self.created_at + REPEATABLE_FOR

    def is_overdue(self, now: datetime) -> bool:
        return now >= self.created_at + OVERDUE_AFTER

    def unknown(self, error: str, now: datetime) -> None:
        """The gateway's word is out; look again after a pause that doubles, from 5 s up to 15 min."""
        self.status = OperationStatus.UNKNOWN
        self.error = error
        self.checks += 1
        self.next_check_at = now + min(
            timedelta(seconds=5) * 2 ** min(self.checks - 1, 10), timedelta(minutes=15)
        )

    def sent_again(self, now: datetime) -> None:
        """It goes out once more: whoever sent it first can no longer tell that it never left us."""
        self.status = OperationStatus.UNKNOWN
        self.next_check_at = max(self.next_check_at, now + FIRST_CHECK_AFTER)

    def succeeded(self, now: datetime) -> None:
        self.status = OperationStatus.SUCCEEDED
        self.error = None
        self.finished_at = now

    def failed(self, error: str, now: datetime) -> None:
        """The gateway proved that it did nothing."""
        self.status = OperationStatus.FAILED
        self.error = error
        self.finished_at = now
