"""Take up payment attempts that a crash or an unreachable payment side left open."""

from dataclasses import dataclass, replace
from datetime import timedelta

from domain.orders.attempt import CHECKOUT_KINDS, Attempt, AttemptKind
from domain.orders.checkout import Checkout
from domain.orders.order import Order
from domain.orders.ports import UnitOfWorkFactory
from domain.orders.settlement import Settlement
from domain.shared.errors import Conflict, Refused
from domain.shared.system import Clock

HELD_FOR = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class RecoverAttemptsHandler:
    unit_of_work: UnitOfWorkFactory
    checkout: Checkout
    settlement: Settlement
    clock: Clock

    async def __call__(self, *, limit: int = 20) -> int:
        """Repeat the call of each due attempt, with its own id; how many there were. Raises Unavailable."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            due = await uow.attempts.take_due(now=now, until=now + HELD_FOR, limit=limit)
            orders = {attempt.order_id: await uow.orders.get(attempt.order_id) for attempt in due}
            await uow.commit()
        for attempt in due:
            order = orders[attempt.order_id]
            if order is None:
                continue  # the attempt's foreign key makes this impossible; there is nothing to pay
            try:
                await self._carry_out(attempt, order)
            except (Refused, Conflict):
                continue  # the refusal is saved as the attempt's outcome; here nobody waits for the answer
        return len(due)

    async def _carry_out(self, attempt: Attempt, order: Order) -> None:
        if attempt.kind not in CHECKOUT_KINDS:
            await self.settlement.carry_out(attempt)
        elif not order.is_canceling:
            await self.checkout.carry_out(attempt, order)
        elif attempt.kind is AttemptKind.CONFIRM:
            await self.checkout.give_up(attempt)
        else:
            # Whether its payment was made is to be found out; confirmed it must not be any more.
            await self.checkout.carry_out(replace(attempt, payment_method_token=None), order)
