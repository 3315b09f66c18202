"""Checkout is complete: freeze the order and begin its payment."""

from collections.abc import Collection
from dataclasses import dataclass, field

from domain.orders.attempt import CHECK_AFTER, Attempt, AttemptKind
from domain.orders.checkout import CheckedOut, Checkout, begun_before, find
from domain.orders.history import requested
from domain.orders.ports import UnitOfWorkFactory
from domain.orders.stock import listed
from domain.shared.callers import Caller
from domain.shared.errors import VersionStale
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOrder:
    """`return_url` None means the one from the settings."""

    request_id: str
    caller: Caller
    order_id: str
    versions: Collection[int] | None = None
    """Those that the client takes for the present one; None where any will do."""
    capture_method: str = "AUTOMATIC"
    return_url: str | None = None
    payment_method_token: str | None = field(default=None, repr=False)
    setup_future_usage: str | None = None
    off_session: bool = False


@dataclass(frozen=True, slots=True)
class ConfirmOrderHandler:
    unit_of_work: UnitOfWorkFactory
    checkout: Checkout
    clock: Clock

    async def __call__(self, command: ConfirmOrder) -> CheckedOut:
        """The order and its payment. What follows is told by the payment's events alone.

        Raises OrderNotFound, OrderStateForbids, VersionStale, CheckoutInProgress, StockInsufficient, and
        what the payment side refuses (the order is a draft again then).
        """
        async with self.unit_of_work() as uow:
            order = await find(uow, command.order_id, command.caller)
            attempt = await begun_before(uow, command.request_id, command.order_id)
            if attempt is None:
                now = self.clock.now()
                order.confirm(now)
                if command.versions is not None and order.version not in command.versions:
                    raise VersionStale(order.version)
                order.reserve(await uow.stock.lock(order.skus))
                held = listed(order.reserved)
                order.note(requested("confirm", command.request_id, command.caller, reserved=held))
                attempt = Attempt(
                    attempt_id=command.request_id,
                    order_id=command.order_id,
                    kind=AttemptKind.CREATE,
                    return_url=command.return_url,
                    capture_method=command.capture_method,
                    payment_method_token=command.payment_method_token,
                    setup_future_usage=command.setup_future_usage,
                    off_session=command.off_session,
                    created_at=now,
                    next_check_at=now + CHECK_AFTER,
                )
                await uow.orders.save([order])
                await uow.attempts.put(attempt)
                await uow.commit()
        return await self.checkout.carry_out(attempt, order)
