"""Say what would become of a refund, and which rule decides; nothing is moved and nothing stored."""

from dataclasses import dataclass

from domain.payments.errors import PaymentNotFound
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.refund_desk import RefundDesk, check_allowed
from domain.payments.refund_policy import Decision, Ruling, Usage
from domain.payments.use_cases.create_refund import CreateRefund
from domain.shared.errors import Conflict, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What would become of it: `refusal` is what the request itself would be answered with."""

    ruling: Ruling
    decision: Decision | None
    """The policy's; None where the refund is refused before that is asked."""
    used: Usage
    refusal: Refused | Conflict | None


@dataclass(frozen=True, slots=True)
class SimulateRefundHandler:
    unit_of_work: UnitOfWorkFactory
    desk: RefundDesk

    async def __call__(self, command: CreateRefund) -> Simulated:
        """Raises PaymentNotFound. Others may be given back meanwhile: only the refund itself is counted under a lock."""
        decision: Decision | None = None
        refusal: Refused | Conflict | None = None
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(command.payment_id)
            if payment is None or not command.caller.may_touch(
                user_id=payment.user_id, order_id=payment.order_id
            ):
                raise PaymentNotFound
            limits = self.desk.limits_of(command.caller)
            used = await self.desk.used(uow, command.caller, payment, limits) if limits else Usage()
            try:
                _, decision = await self.desk.judge(uow, command, payment)
                check_allowed(decision)
            except (Refused, Conflict) as error:
                refusal = error
        return Simulated(
            ruling=Ruling.REFUSED if refusal or decision is None else decision.ruling,
            decision=decision,
            used=used,
            refusal=refusal,
        )
