"""Read orders, and what may be paid for one."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.orders.errors import OrderNotFound
from domain.orders.order import Order
from domain.orders.ports import UnitOfWorkFactory
from domain.shared.callers import Caller


@dataclass(frozen=True, slots=True)
class GetOrderHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, caller: Caller, order_id: str) -> Order:
        """Raises OrderNotFound, also where the order is another's."""
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(order_id)
        if order is None or not caller.may_touch(user_id=order.user_id, order_id=order_id):
            raise OrderNotFound
        return order


@dataclass(frozen=True, slots=True)
class ListOrdersHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(
        self,
        caller: Caller,
        *,
        status: str | None,
        user_id: str | None,
        after: str | None,
        limit: int,
        with_attention: bool = False,
    ) -> Sequence[Order]:
        """At most `limit` orders that the caller may see, newest first, after the one named `after`.

        `with_attention`: only those that a person must look at.
        """
        if caller.order_id is None and "users:any" not in caller.scopes:
            if user_id not in (None, caller.subject):
                return []
            user_id = caller.subject
        async with self.unit_of_work() as uow:
            return await uow.orders.list(
                status=status,
                user_id=user_id,
                order_id=caller.order_id,
                after=after,
                limit=limit,
                with_attention=with_attention,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTerms:
    """What may be paid for an order, for the payment side. Amount in minor units."""

    order_id: str
    version: int
    amount: int
    currency: str
    payable: bool


def payment_terms(order: Order) -> PaymentTerms:
    """What may be paid for the order as it stands."""
    return PaymentTerms(
        order_id=order.order_id,
        version=order.version,
        amount=order.total_amount,
        currency=order.currency,
        payable=order.payable,
    )


@dataclass(frozen=True, slots=True)
class GetPaymentTermsHandler:
    get_order: GetOrderHandler

    async def __call__(self, caller: Caller, order_id: str) -> PaymentTerms:
        """Raises OrderNotFound, also where the order is another's."""
        return payment_terms(await self.get_order(caller, order_id))
