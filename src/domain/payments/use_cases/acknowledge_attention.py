"""A person has dealt with what had to be looked at in a payment."""

from dataclasses import dataclass

from domain.payments.errors import PaymentNotFound
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.shared.audit import AuditEntry, was_done
from domain.shared.callers import Caller
from domain.shared.system import Clock

_ACTION = "payment.acknowledge"


@dataclass(frozen=True, slots=True)
class AcknowledgeAttentionHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(
        self, request_id: str, caller: Caller, payment_id: str, attention: str, comment: str
    ) -> Payment:
        """End this attention; the comment stands in the audit log. Raises PaymentNotFound, AttentionNotOpen."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(payment_id)
            if payment is None or not caller.may_touch(user_id=payment.user_id, order_id=payment.order_id):
                raise PaymentNotFound
            if await was_done(uow.audit, payment_id, _ACTION, request_id):
                return payment
            payment.acknowledge(attention, await uow.disputes.of_payment(payment_id), now)
            await uow.payments.save(payment)
            entry = AuditEntry.of(
                caller,
                _ACTION,
                "payment",
                payment_id,
                at=now,
                reason=comment,
                before={"attention": attention},
                after={"attention": payment.attention, "requestId": request_id},
            )
            await uow.audit.append(entry)
            await uow.commit()
        return payment
