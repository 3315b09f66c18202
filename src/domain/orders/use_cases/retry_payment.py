"""Another payment attempt for an order whose last one failed."""

from dataclasses import dataclass, field

from domain.orders.attempt import CHECK_AFTER, Attempt, AttemptKind
from domain.orders.checkout import CheckedOut, Checkout, begun_before, find
from domain.orders.history import requested
from domain.orders.order import Order
from domain.orders.ports import UnitOfWorkFactory
from domain.orders.stock import listed
from domain.shared.callers import Caller
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPayment:
    """`return_url` None means the one from the settings."""

    request_id: str
    caller: Caller
    order_id: str
    capture_method: str = "AUTOMATIC"
    return_url: str | None = None
    payment_method_token: str | None = field(default=None, repr=False)
    setup_future_usage: str | None = None
    off_session: bool = False


@dataclass(frozen=True, slots=True)
class RetryPaymentHandler:
    unit_of_work: UnitOfWorkFactory
    checkout: Checkout
    clock: Clock

    async def __call__(self, command: RetryPayment) -> CheckedOut:
        """The order and its payment: the same payment again, a new one only after that was canceled.

        Raises OrderNotFound, OrderStateForbids, CheckoutInProgress, StockInsufficient, and what the
        payment side refuses.
        """
        async with self.unit_of_work() as uow:
            order = await find(uow, command.order_id, command.caller)
            attempt = await begun_before(uow, command.request_id, command.order_id)
            if attempt is None:
                order.attempt_again(self.clock.now())
                order.reserve(await uow.stock.lock(order.skus))
                held = listed(order.reserved)
                order.note(requested("pay again", command.request_id, command.caller, reserved=held))
                attempt = self._attempt(command, order)
                await uow.orders.save([order])
                await uow.attempts.put(attempt)
                await uow.commit()
        return await self.checkout.carry_out(attempt, order)

    def _attempt(self, command: RetryPayment, order: Order) -> Attempt:
        now = self.clock.now()
        latest = order.latest_payment
        live = latest is not None and latest.status != "CANCELED"
        return Attempt(
            attempt_id=command.request_id,
            order_id=command.order_id,
            kind=AttemptKind.CONFIRM if live else AttemptKind.CREATE,
            payment_id=latest.payment_id if latest is not None and live else None,
            return_url=command.return_url,
            capture_method=command.capture_method,
            payment_method_token=command.payment_method_token,
            setup_future_usage=command.setup_future_usage,
            off_session=command.off_session,
            created_at=now,
            next_check_at=now + CHECK_AFTER,
        )
