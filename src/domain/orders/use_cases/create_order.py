"""Make a draft order from cart lines."""

from dataclasses import dataclass, field

from domain.orders.cart import Customer, OrderLine
from domain.orders.history import requested
from domain.orders.order import Order
from domain.orders.ports import OrderKept, UnitOfWorkFactory
from domain.shared.callers import Caller
from domain.shared.errors import TokenBoundToOrder
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOrder:
    request_id: str
    caller: Caller
    currency: str
    lines: tuple[OrderLine, ...]
    user_id: str | None = None
    customer: Customer | None = field(default=None, repr=False)
    shipping_amount: int = 0
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreateOrderHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(self, command: CreateOrder) -> Order:
        """The draft. Raises TokenBoundToOrder, UserDiffers, DiscountExceedsLine, TotalOutOfRange."""
        if command.caller.order_id is not None:
            raise TokenBoundToOrder
        order_id = f"ord_{command.request_id}"
        now = self.clock.now()
        order = Order(
            order_id=order_id,
            user_id=command.caller.acting_user(command.user_id),
            currency=command.currency,
            lines=command.lines,
            customer=command.customer,
            shipping_amount=command.shipping_amount,
            metadata=command.metadata,
            created_at=now,
            updated_at=now,
        )
        order.check_totals()
        order.note(requested("create", command.request_id, command.caller))
        try:
            async with self.unit_of_work() as uow:
                await uow.orders.add(order)
                await uow.commit()
        except OrderKept:
            async with self.unit_of_work() as uow:
                return await uow.orders.get(order_id) or order
        return order
