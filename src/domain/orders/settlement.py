"""Carrying to the payment side what an order asks of its money: a cancellation, a refund.

What becomes of the money is told by the payment's events; the answers only say what was refused.
"""

from dataclasses import dataclass

from domain.orders.attempt import Attempt, AttemptKind, AttemptStatus
from domain.orders.checkout import find
from domain.orders.history import answered
from domain.orders.ports import PaymentService, RefundView, UnitOfWorkFactory
from domain.shared.errors import Conflict, Refused
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True)
class Settlement:
    unit_of_work: UnitOfWorkFactory
    payments: PaymentService
    clock: Clock

    async def carry_out(self, attempt: Attempt) -> RefundView | None:
        """Call the payment side for a saved attempt and save its answer; the refund, where it asked for one.

        A refusal is saved and raised; Unavailable leaves the attempt open for recovery, and so does a
        payment with which another call is under way.
        """
        refund, is_known = None, True
        try:
            if attempt.kind is AttemptKind.REFUND:
                refund = await self.payments.refund(attempt)
            else:
                is_known = not (await self.payments.cancel(attempt)).operation_unknown
        except (Refused, Conflict) as refusal:
            if refusal.retry_after_seconds is None or attempt.gives_way:
                await self._refused(attempt, refusal)
            raise
        if is_known:
            await self._answered(attempt)
        return refund

    async def _answered(self, attempt: Attempt) -> None:
        async with self.unit_of_work() as uow:
            saved = await uow.attempts.get(attempt.attempt_id)
            if saved is not None and saved.status is AttemptStatus.STARTED:
                saved.finish(AttemptStatus.DONE)
                await uow.attempts.put(saved)
                await uow.commit()

    async def _refused(self, attempt: Attempt, refusal: Refused | Conflict) -> None:
        async with self.unit_of_work() as uow:
            order = await find(uow, attempt.order_id)
            saved = await uow.attempts.get(attempt.attempt_id)
            if saved is None or saved.status is not AttemptStatus.STARTED:
                return
            saved.finish(AttemptStatus.REFUSED, refusal.code)
            order.settlement_refused(saved, self.clock.now())
            order.note(answered(saved.attempt_id, saved.payment_id, refusal.code))
            await uow.orders.save([order])
            await uow.attempts.put(saved)
            await uow.commit()
