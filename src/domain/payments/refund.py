"""A refund and its states."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.payments.gateway import GatewayRefundStatus


class RefundStatus(StrEnum):
    PENDING_APPROVAL = "PENDING_APPROVAL"
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    CANCELED = "CANCELED"


TRANSITIONS: dict[RefundStatus, frozenset[RefundStatus]] = {
    RefundStatus.PENDING_APPROVAL: frozenset({RefundStatus.PENDING, RefundStatus.REJECTED}),
    RefundStatus.PENDING: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.CANCELED}),
    # A bank may send a succeeded refund back (https://docs.stripe.com/refunds#failed-refunds).
    RefundStatus.SUCCEEDED: frozenset({RefundStatus.FAILED}),
    RefundStatus.FAILED: frozenset(),
    RefundStatus.REJECTED: frozenset(),
    RefundStatus.CANCELED: frozenset(),
}
"""What may follow what. The gateway's reports arrive in any order; one that is not forward from here is old."""

FROM_GATEWAY: dict[GatewayRefundStatus, RefundStatus] = {
    GatewayRefundStatus.PENDING: RefundStatus.PENDING,
    GatewayRefundStatus.SUCCEEDED: RefundStatus.SUCCEEDED,
    GatewayRefundStatus.FAILED: RefundStatus.FAILED,
    GatewayRefundStatus.CANCELED: RefundStatus.CANCELED,
}


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
    operation_unknown: bool = False
    version: int = 1
