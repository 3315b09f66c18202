"""Let checkouts expire that nobody paid: the payment is canceled, and the stock goes back."""

from dataclasses import dataclass
from datetime import timedelta

from domain.orders.cancellation import CHECKOUT_EXPIRED, Cancellation
from domain.orders.history import Entry, EntryKind
from domain.orders.order import Order
from domain.orders.ports import UnitOfWorkFactory
from domain.shared.system import Clock, IdFactory


@dataclass(frozen=True, slots=True)
class ExpireCheckoutsHandler:
    """Its cancellations give way: a payment that somebody is at work on goes on, and decides."""

    unit_of_work: UnitOfWorkFactory
    clock: Clock
    ids: IdFactory
    after: timedelta
    """How long after the last that happened to it a checkout is taken for abandoned."""

    async def __call__(self, *, limit: int = 50) -> int:
        """Call off the oldest that are due; how many were looked at. Recovery makes the calls."""
        async with self.unit_of_work() as uow:
            due = await uow.orders.take_abandoned(before=self.clock.now() - self.after, limit=limit)
            for order in due:
                self._expire(order)
            await uow.orders.save(due)
            await uow.commit()
        return len(due)

    def _expire(self, order: Order) -> None:
        now = self.clock.now()
        latest = order.latest_payment
        if latest is not None and latest.status == "PROCESSING":
            order.updated_at = now  # the customer's bank is at work on it: look again after as long
            return
        expired = Cancellation(requested_at=now, reason=CHECKOUT_EXPIRED, requested_by=None)
        key = self.ids.new("exp").removeprefix("exp_")
        order.call_off(expired, key=key, check_at=now, busy=False)
        order.note(Entry(kind=EntryKind.SWEEP, name="expire"))
