"""Call an order off: give up what is not paid, give back what is."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.orders.attempt import CHECK_AFTER, Attempt
from domain.orders.cancellation import Cancellation, Requester
from domain.orders.checkout import find
from domain.orders.errors import CancellationRefunds
from domain.orders.history import requested
from domain.orders.order import Order
from domain.orders.ports import OrdersUnitOfWork, UnitOfWorkFactory
from domain.orders.settlement import Settlement
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller, has_authority
from domain.shared.errors import Conflict, Refused, Unavailable
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    request_id: str
    caller: Caller
    order_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CancelOrderHandler:
    """A cancellation, once saved, is carried out whatever happens: recovery repeats its calls."""

    unit_of_work: UnitOfWorkFactory
    settlement: Settlement
    clock: Clock

    async def __call__(self, command: CancelOrder) -> Order:
        """The order: CANCELED, or with its cancellation pending until the payment's events tell the outcome.

        An order that is canceled, or being canceled, is answered as it is. Raises OrderNotFound,
        OrderStateForbids, CancellationRefunds.
        """
        async with self.unit_of_work() as uow:
            order = await find(uow, command.order_id, command.caller)
            if order.cancellation is not None and not (order.is_canceling and order.cancellation.gives_way):
                return order
            attempts = await self._call_off(uow, order, command)
            await uow.commit()
        for attempt in attempts:
            try:
                await self.settlement.carry_out(attempt)
            except (Refused, Conflict, Unavailable):
                continue  # saved as the attempt's outcome, or left to recovery: the order says how it stands
        if attempts:
            async with self.unit_of_work() as uow:
                order = await uow.orders.get(command.order_id) or order
        return order

    async def _call_off(self, uow: OrdersUnitOfWork, order: Order, command: CancelOrder) -> Sequence[Attempt]:
        if order.amount_kept > 0 and "refunds:create" not in command.caller.scopes:
            raise CancellationRefunds
        now, before = self.clock.now(), order.status
        order.call_off(
            Cancellation(
                requested_at=now,
                reason=command.reason,
                requested_by=command.caller.subject,
                requested_scope=Requester.of(command.caller).scope,
            ),
            key=command.request_id,
            check_at=now + CHECK_AFTER,
            busy=await uow.attempts.open_of(order.order_id) is not None,
        )
        order.note(requested("cancel", command.request_id, command.caller))
        attempts = order.attempts_asked_for
        await uow.orders.save([order])
        if has_authority(command.caller) and order.user_id != command.caller.subject:
            entry = AuditEntry.of(
                command.caller,
                "order.cancel",
                "order",
                order.order_id,
                at=now,
                reason=command.reason,
                before={"status": before, "amountKept": order.amount_kept},
                after={"status": order.status},
            )
            await uow.audit.append(entry)
        return attempts
