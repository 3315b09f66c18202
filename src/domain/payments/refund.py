"""A refund and its states."""

from dataclasses import dataclass
from datetime import datetime

from domain.payments.gateway import GatewayRefundStatus
from domain.shared.states import State


class RefundStatus(State):
    PENDING_APPROVAL = "PENDING_APPROVAL", "It waits for somebody else's approval; nothing was sent."
    PENDING = "PENDING", "It is with the gateway, and its amount is promised."
    SUCCEEDED = "SUCCEEDED", "The gateway gave the money back; a bank may still return it."
    FAILED = "FAILED", "The gateway refused or reversed it: the money is ours, and may be refunded again."
    REJECTED = "REJECTED", "Whoever decides on it said no; nothing was sent."
    CANCELED = "CANCELED", "It was canceled at the gateway before the money left."


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
