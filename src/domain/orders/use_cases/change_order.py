"""Change a draft: its lines, its customer, its shipping, its metadata."""

from collections.abc import Collection
from dataclasses import dataclass

from domain.orders.checkout import find
from domain.orders.draft import DraftChanges, change_draft, check_changeable
from domain.orders.history import requested
from domain.orders.order import Order
from domain.orders.ports import UnitOfWorkFactory
from domain.shared.callers import Caller
from domain.shared.errors import VersionStale
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOrder:
    request_id: str
    caller: Caller
    order_id: str
    versions: Collection[int] | None
    """Those that the client takes for the present one; None where any will do."""
    changes: DraftChanges


@dataclass(frozen=True, slots=True)
class ChangeOrderHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(self, command: ChangeOrder) -> Order:
        """The draft as it is now.

        Raises OrderNotFound, OrderStateForbids, VersionStale (in this order, by RFC 9110, section 13.2.1),
        DiscountExceedsLine, TotalOutOfRange, CurrencyNeedsAmounts.
        """
        async with self.unit_of_work() as uow:
            order = await find(uow, command.order_id, command.caller)
            check_changeable(order)
            if command.versions is not None and order.version not in command.versions:
                raise VersionStale(order.version)
            if change_draft(order, command.changes, self.clock.now()):
                order.note(requested("change", command.request_id, command.caller))
                await uow.orders.save_draft(order)
                await uow.commit()
        return order
