"""Reject refunds that nobody has decided on for too long, and forget tokens that have expired."""

from dataclasses import dataclass
from datetime import timedelta

from domain.payments.payment import Occasion
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.refund import RefundStatus
from domain.payments.refund_audit import by_itself, picture
from domain.payments.refund_policy import RefundPolicy
from domain.shared.system import Clock, IdFactory

APPROVAL_EXPIRED = "approval_expired"

KEPT_FOR = timedelta(hours=1)
"""How long a used token is remembered beyond its expiry: more than any clock that verifies tokens is wrong by."""


@dataclass(frozen=True, slots=True)
class ExpireApprovalsHandler:
    unit_of_work: UnitOfWorkFactory
    policy: RefundPolicy
    clock: Clock
    ids: IdFactory

    async def __call__(self, *, limit: int = 20) -> int:
        """How many refunds were rejected."""
        now = self.clock.now()
        before = now - self.policy.waits
        async with self.unit_of_work() as uow:
            due = await uow.refunds.waiting_since(before=before, limit=limit)
            await uow.approval_tokens.forget(expired_before=now - KEPT_FOR)
            await uow.commit()
        expired = 0
        for waiting in due:
            async with self.unit_of_work() as uow:
                payment = await uow.payments.lock(waiting.payment_id)
                refund = await uow.refunds.get(waiting.refund_id)
                if payment is None or refund is None:
                    continue  # a foreign key makes this impossible
                if refund.status is not RefundStatus.PENDING_APPROVAL or refund.updated_at > before:
                    continue  # somebody has decided meanwhile
                pictured = picture(refund)
                payment.reject_refund(refund, APPROVAL_EXPIRED, Occasion(now, self.ids.event_id))
                await uow.refunds.save(refund)
                await uow.payments.save(payment)
                await uow.audit.append(by_itself("payments", "expire", refund, at=now, before=pictured))
                await uow.commit()
                expired += 1
        return expired
