"""Give money of an order back: an amount, or what some of its lines are worth."""

from dataclasses import dataclass

from domain.orders.attempt import CHECK_AFTER, Attempt, AttemptStatus
from domain.orders.cancellation import Requester
from domain.orders.checkout import find
from domain.orders.errors import RefundUnclear
from domain.orders.history import requested
from domain.orders.order import Order
from domain.orders.ports import RefundView, UnitOfWorkFactory
from domain.orders.refunds import OrderRefund, RefundedLine
from domain.orders.settlement import Settlement
from domain.shared.callers import Caller
from domain.shared.errors import Unavailable
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """`amount` in minor units of the order's currency, or `lines`."""

    request_id: str
    caller: Caller
    order_id: str
    reason: str
    amount: int | None = None
    lines: tuple[RefundedLine, ...] = ()
    restock: bool = False


@dataclass(frozen=True, slots=True)
class RefundedOrder:
    """The refund as the order remembers it, and as the payment side answered it."""

    refund: OrderRefund
    view: RefundView


@dataclass(frozen=True, slots=True)
class RefundOrderHandler:
    unit_of_work: UnitOfWorkFactory
    settlement: Settlement
    clock: Clock

    async def __call__(self, command: RefundOrder) -> RefundedOrder:
        """The refund after the payment side's answer; once saved, recovery carries it out whatever happens.

        Raises OrderNotFound, RefundUnclear, what `Order.refund` does, and what the payment side refuses
        (the order forgets it then).
        """
        if (command.amount is None) == (not command.lines):
            raise RefundUnclear(pointer="/amount")
        if command.restock and not command.lines:
            raise RefundUnclear(pointer="/restock")
        async with self.unit_of_work() as uow:
            order = await find(uow, command.order_id, command.caller)
            attempt = await uow.attempts.get(command.request_id)
            if attempt is None or attempt.status is AttemptStatus.REFUSED:
                attempt = self._ask(order, command)
                order.note(requested("refund", command.request_id, command.caller, amount=attempt.amount))
                await uow.orders.save([order])
                await uow.commit()
        refund = next(one for one in order.refunds if one.refund_id == attempt.refund_id)
        try:
            view = await self.settlement.refund(attempt)
        except Unavailable:
            view = self._left_to_recovery(order, refund, attempt)
        return RefundedOrder(refund, view)

    def _ask(self, order: Order, command: RefundOrder) -> Attempt:
        now = self.clock.now()
        order.refund(
            amount=command.amount,
            lines=command.lines,
            reason=command.reason,
            restock=command.restock,
            requester=Requester.of(command.caller),
            key=command.request_id,
            now=now,
            check_at=now + CHECK_AFTER,
        )
        return order.attempts_asked_for[-1]

    @staticmethod
    def _left_to_recovery(order: Order, refund: OrderRefund, attempt: Attempt) -> RefundView:
        """It is saved, and will be carried out: the payment side cannot say more now."""
        return RefundView(
            refund_id=refund.refund_id,
            payment_id=refund.payment_id,
            amount=refund.amount,
            currency=order.currency,
            reason=refund.reason,
            status=refund.status,
            failure_reason=None,
            operation_unknown=True,
            created_at=attempt.created_at,
            updated_at=attempt.created_at,
        )
