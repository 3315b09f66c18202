"""What the audit log is told of refunds: who asked, who decided, and what the gateway made of it."""

from collections.abc import Mapping
from datetime import datetime

from domain.payments.refund import Refund
from domain.payments.refund_policy import Decision
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.errors import DomainError
from domain.shared.timeline import Detail, known

OBJECT = "refund"


def picture(refund: Refund) -> Mapping[str, Detail]:
    """The fields of a refund that tell what was done to it."""
    return known(
        status=refund.status.value,
        amount=refund.amount,
        currency=refund.currency,
        paymentId=refund.payment_id,
        policyRule=refund.policy_rule,
        attempt=refund.attempt,
        decidedBy=refund.decided_by,
        gatewayRefundId=refund.gateway_refund_id,
        failureReason=refund.failure_reason,
    )


def by_caller(
    caller: Caller,
    verb: str,
    refund: Refund,
    *,
    at: datetime,
    reason: str | None,
    before: Mapping[str, Detail] | None = None,
    decision: Decision | None = None,
) -> AuditEntry:
    """What this caller did to it: `request`, `retry`, `approve`, `reject`."""
    causes = known(causes=", ".join(decision.causes) or None) if decision else {}
    return AuditEntry.of(
        caller,
        f"{OBJECT}.{verb}",
        OBJECT,
        refund.refund_id,
        at=at,
        reason=reason,
        before=before,
        after={**picture(refund), **causes},
    )


def refused(
    caller: Caller, verb: str, refund_id: str, error: DomainError, *, at: datetime, reason: str | None
) -> AuditEntry:
    """What this caller was not allowed to do."""
    return AuditEntry.of(
        caller,
        f"{OBJECT}.{verb}",
        OBJECT,
        refund_id,
        at=at,
        reason=reason,
        after={"refused": error.code, "detail": error.detail},
    )


def by_itself(
    subject: str, verb: str, refund: Refund, *, at: datetime, before: Mapping[str, Detail]
) -> AuditEntry:
    """What nobody asked for: the gateway's word (`gateway:` and the account's name), or time passing."""
    return AuditEntry(
        at=at,
        action=f"{OBJECT}.{verb}",
        subject=subject,
        object_type=OBJECT,
        object_id=refund.refund_id,
        before=before,
        after=picture(refund),
    )


def outcome(gateway: str, refund: Refund, *, at: datetime, before: Mapping[str, Detail]) -> AuditEntry | None:
    """What the gateway made of it, where that is news."""
    if before.get("status") == refund.status:
        return None
    return by_itself(f"gateway:{gateway}", "settle", refund, at=at, before=before)
