"""Carrying to the payment side what an order asks of its money: a cancellation, a refund.

What becomes of the money is told by the payment's events; the answers only say what was refused.
A refusal is saved and raised; Unavailable leaves the attempt open for recovery.
"""

from dataclasses import dataclass

from domain.orders.attempt import Attempt, AttemptKind, AttemptStatus
from domain.orders.checkout import find
from domain.orders.history import answered
from domain.orders.ports import PaymentService, RefundView, UnitOfWorkFactory
from domain.orders.refunds import OrderRefundStatus
from domain.shared.errors import Conflict, Refused
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True)
class Settlement:
    unit_of_work: UnitOfWorkFactory
    payments: PaymentService
    clock: Clock

    async def carry_out(self, attempt: Attempt) -> None:
        """Make the call of a saved attempt, whichever it is."""
        await (self.refund(attempt) if attempt.kind is AttemptKind.REFUND else self.cancel(attempt))

    async def refund(self, attempt: Attempt) -> RefundView:
        """The refund; where the gateway's word is still out, its events will tell."""
        try:
            refund = await self.payments.refund(attempt)
        except (Refused, Conflict) as refusal:
            await self._refused(attempt, refusal)
            raise
        await self._answered(attempt, waits=refund.status == OrderRefundStatus.PENDING_APPROVAL)
        return refund

    async def cancel(self, attempt: Attempt) -> None:
        """A payment with which another call is under way is asked again, unless the attempt gives way to it."""
        try:
            payment = await self.payments.cancel(attempt)
        except (Refused, Conflict) as refusal:
            if refusal.retry_after_seconds is None or attempt.gives_way:
                await self._refused(attempt, refusal)
            raise
        if not payment.operation_unknown:  # else recovery asks again, until the gateway's word is in
            await self._answered(attempt)

    async def _answered(self, attempt: Attempt, *, waits: bool = False) -> None:
        """`waits`: the refund is to be approved by a second person, and its events will tell what became of it."""
        async with self.unit_of_work() as uow:
            order = await find(uow, attempt.order_id) if waits else None
            saved = await uow.attempts.get(attempt.attempt_id)
            if saved is not None and saved.status is AttemptStatus.STARTED:
                saved.finish(AttemptStatus.DONE)
                if order is not None and order.refund_waits(attempt.refund_id):
                    outcome = OrderRefundStatus.PENDING_APPROVAL
                    order.note(answered(saved.attempt_id, saved.payment_id, outcome))
                    await uow.orders.save([order])
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
