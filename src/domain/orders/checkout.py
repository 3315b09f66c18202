"""Carrying an attempt to the payment side and its answer back to the order."""

from dataclasses import dataclass

from domain.orders.attempt import Attempt, AttemptKind, AttemptStatus
from domain.orders.errors import CheckoutInProgress, OrderNotFound, OrderStateForbids
from domain.orders.history import answered
from domain.orders.order import Order
from domain.orders.ports import (
    OrdersUnitOfWork,
    PaymentService,
    PaymentView,
    UnitOfWorkFactory,
)
from domain.shared.callers import Caller
from domain.shared.errors import Conflict, Refused
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """The order after an attempt, and the payment as the payment side answered it."""

    order: Order
    payment: PaymentView


@dataclass(frozen=True, slots=True)
class Checkout:
    unit_of_work: UnitOfWorkFactory
    payments: PaymentService
    clock: Clock

    async def carry_out(self, attempt: Attempt, order: Order) -> CheckedOut:
        """Call the payment side for a saved attempt and save its answer.

        A refusal undoes the attempt and is raised; Unavailable leaves it open for recovery.
        """
        try:
            if attempt.kind is AttemptKind.CONFIRM:
                payment = await self.payments.confirm(order, attempt)
            else:
                payment = await self.payments.pay(order, attempt)
        except (Refused, Conflict) as refusal:
            await self._refused(attempt, refusal)
            raise
        return await self._answered(attempt, payment)

    async def give_up(self, attempt: Attempt) -> None:
        """Make no call for an attempt that nobody wants any more: the cancellation of its order goes on."""
        await self._refused(attempt, OrderStateForbids("the order is being canceled"))

    async def _answered(self, attempt: Attempt, payment: PaymentView) -> CheckedOut:
        async with self.unit_of_work() as uow:
            found = await uow.attempts.lock(attempt.attempt_id)
            if found is None:
                raise OrderNotFound
            order, attempt = found  # recovery may have answered it
            if attempt.status is not AttemptStatus.DONE:
                order.link_payment(
                    payment.payment_id, payment.gateway_payment_intent_id, payment.status, self.clock.now()
                )
                outcome = "UNKNOWN" if payment.operation_unknown else payment.status
                if not payment.operation_unknown:  # else recovery asks again, until the gateway's word is in
                    attempt.finish(AttemptStatus.DONE)
                    self._go_on_canceling(order, attempt)
                order.note(answered(attempt.attempt_id, payment.payment_id, outcome))
                await uow.orders.save([order])
                await uow.attempts.put(attempt)
                await uow.commit()
        return CheckedOut(order, payment)

    async def _refused(self, attempt: Attempt, refusal: Refused | Conflict) -> None:
        async with self.unit_of_work() as uow:
            order = await find(uow, attempt.order_id)
            saved = await uow.attempts.get(attempt.attempt_id)
            if saved is None or saved.status is not AttemptStatus.STARTED:
                return
            now = self.clock.now()
            if isinstance(refusal, Refused) and refusal.payment_id is not None:
                # The payment stands, and only its next confirmation can pay this order.
                order.link_payment(refusal.payment_id, None, "REQUIRES_PAYMENT_METHOD", now)
            order.attempt_refused(now)
            saved.finish(AttemptStatus.REFUSED, refusal.code)
            self._go_on_canceling(order, saved)
            order.note(answered(saved.attempt_id, saved.payment_id, refusal.code))
            await uow.orders.save([order])
            await uow.attempts.put(saved)
            await uow.commit()

    def _go_on_canceling(self, order: Order, attempt: Attempt) -> None:
        """A cancellation that waited for this attempt is carried on by recovery, from now."""
        now = self.clock.now()
        order.go_on_canceling(now, key=f"{attempt.attempt_id}-off", check_at=now)


async def find(uow: OrdersUnitOfWork, order_id: str, caller: Caller | None = None) -> Order:
    """The order, locked. Raises OrderNotFound, also where it is not this caller's."""
    order = (await uow.orders.lock([order_id])).get(order_id)
    if order is None or (caller and not caller.may_touch(user_id=order.user_id, order_id=order_id)):
        raise OrderNotFound
    return order


async def begun_before(uow: OrdersUnitOfWork, attempt_id: str, order_id: str) -> Attempt | None:
    """The attempt of an earlier run of this request, unless that ended in a refusal, which undid it.

    Raises CheckoutInProgress where another attempt of the order is not answered yet.
    """
    attempt, open_attempt = await uow.attempts.begun(attempt_id, order_id)
    if attempt is not None and attempt.status is not AttemptStatus.REFUSED:
        return attempt
    if open_attempt is not None:
        raise CheckoutInProgress
    return None
