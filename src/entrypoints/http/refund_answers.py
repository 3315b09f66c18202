"""Refunds as clients see them."""

import structlog

from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import RefundPolicy
from entrypoints.http.schemas.refunds import RefundAnswer

logger = structlog.stdlib.get_logger(__name__)


def tell_waiting(status: str, refund_id: str, amount: int, currency: str) -> None:
    """Say in the log that somebody must approve it, where that is so."""
    if status == RefundStatus.PENDING_APPROVAL:
        logger.info("refund_waits_for_approval", refund_id=refund_id, amount=amount, currency=currency)


def refund_answer(refund: Refund, policy: RefundPolicy) -> RefundAnswer:
    waits = refund.status is RefundStatus.PENDING_APPROVAL
    return RefundAnswer(
        refund_id=refund.refund_id,
        payment_id=refund.payment_id,
        amount=refund.amount,
        currency=refund.currency,
        reason=refund.reason,
        status=refund.status,
        operation="UNKNOWN" if refund.operation_unknown else None,
        failure_reason=refund.failure_reason,
        created_at=refund.created_at,
        updated_at=refund.updated_at,
        attempt=refund.attempt,
        requested_by=refund.requested_by,
        retried_by=refund.retried_by,
        policy_rule=refund.policy_rule,
        decided_by=refund.decided_by,
        decided_at=refund.decided_at,
        comment=refund.comment,
        approve_before=refund.updated_at + policy.waits if waits else None,
    )
