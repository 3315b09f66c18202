"""A refund and its states."""

from dataclasses import dataclass
from datetime import datetime

from domain.payments.gateway import GatewayRefundStatus, RefundSnapshot
from domain.shared.states import State


class RefundStatus(State):
    PENDING_APPROVAL = "PENDING_APPROVAL", "It waits for somebody else's approval; nothing was sent."
    PENDING = "PENDING", "It is with the gateway, and its amount is promised."
    SUCCEEDED = "SUCCEEDED", "The gateway gave the money back; a bank may still return it."
    FAILED = "FAILED", "The gateway refused or reversed it: the money is ours, and the refund may be retried."
    REJECTED = "REJECTED", "Whoever decides on it said no, or nobody did in time; nothing was sent."
    CANCELED = "CANCELED", "It was canceled at the gateway before the money left."


FROM_GATEWAY: dict[GatewayRefundStatus, RefundStatus] = {
    GatewayRefundStatus.PENDING: RefundStatus.PENDING,
    GatewayRefundStatus.SUCCEEDED: RefundStatus.SUCCEEDED,
    GatewayRefundStatus.FAILED: RefundStatus.FAILED,
    GatewayRefundStatus.CANCELED: RefundStatus.CANCELED,
}

NOTHING_GIVEN = frozenset({GatewayRefundStatus.FAILED, GatewayRefundStatus.CANCELED})


@dataclass(slots=True, kw_only=True)
class Refund:
    """`requested_by` is the subject of whoever asked for it; None where the gateway's dashboard made it."""

    refund_id: str
    payment_id: str
    amount: int
    currency: str
    reason: str | None
    status: RefundStatus
    created_at: datetime
    updated_at: datetime
    gateway_refund_id: str | None = None
    failure_reason: str | None = None
    requested_by: str | None = None
    actor: str | None = None
    """The service that asked for it on the requester's behalf."""
    retried_by: str | None = None
    """The subject of whoever asked last for it to be tried again."""
    retries: tuple[str, ...] = ()
    """The requests that asked for it to be tried again, each of them once."""
    attempt: int = 1
    """Counts how often it was asked of the gateway, each time by an operation of its own."""
    policy_rule: str | None = None
    """The rule of the refund policy that decided what became of the request."""
    decided_by: str | None = None
    """On whose authority it goes out, or was rejected: who asked for it, where that is within their limits,
    else a second person. None while it waits, where it waited for too long, and of the gateway's dashboard."""
    decided_at: datetime | None = None
    comment: str | None = None
    """What the second person had to say."""
    operation_unknown: bool = False
    version: int = 1

    @property
    def requesters(self) -> frozenset[str | None]:
        """Those who asked for it: none of them may be the second person."""
        return frozenset({self.requested_by, self.retried_by})

    @property
    def is_approved(self) -> bool:
        """Whether a second person let it go, which holds for its retries."""
        return self.decided_by is not None and self.decided_by not in self.requesters

    def has_given_up(self, snapshot: RefundSnapshot) -> bool:
        """Whether this report is of an attempt whose place another one has taken."""
        return snapshot.refund_id == self.refund_id and snapshot.attempt != self.attempt

    def release(self, by: str, now: datetime, *, comment: str | None = None) -> None:
        """It goes to the gateway on this subject's authority."""
        self.status = RefundStatus.PENDING
        self.decided_by, self.decided_at, self.comment = by, now, comment
        self.updated_at = now

    def wait(self, now: datetime) -> None:
        """It waits for a second person."""
        self.status = RefundStatus.PENDING_APPROVAL
        self.decided_by = self.decided_at = self.comment = None
        self.updated_at = now

    def begin_again(self, request_id: str, by: str, now: datetime) -> None:
        """Forget the gateway's object of the attempt that failed: the next has one of its own."""
        self.retries = (*self.retries, request_id)
        self.attempt += 1
        self.retried_by = by
        self.gateway_refund_id = self.failure_reason = None
        self.updated_at = now
