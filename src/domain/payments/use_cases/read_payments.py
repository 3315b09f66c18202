"""Read payments, refunds and the event log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.payments.errors import PaymentNotFound, RefundNotFound
from domain.payments.payment import Payment
from domain.payments.ports import LoggedEvent, UnitOfWorkFactory
from domain.payments.refund import Refund, RefundStatus
from domain.shared.callers import Caller
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True)
class WaitingRefunds:
    """Refunds that wait for approval, and how long the first of them has."""

    number: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class GetPaymentHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, caller: Caller, payment_id: str) -> Payment:
        """Raises PaymentNotFound, also where the payment is another's."""
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(payment_id)
        if payment is None or not caller.may_touch(user_id=payment.user_id, order_id=payment.order_id):
            raise PaymentNotFound
        return payment


@dataclass(frozen=True, slots=True)
class ListPaymentsHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(
        self, caller: Caller, *, order_id: str | None, after: str | None, limit: int
    ) -> Sequence[Payment]:
        """At most `limit` payments that the caller may see, newest first, after the one named `after`."""
        if caller.order_id is not None and order_id not in (None, caller.order_id):
            return []
        user_id = None if caller.order_id or "users:any" in caller.scopes else caller.subject
        async with self.unit_of_work() as uow:
            return await uow.payments.list(
                order_id=caller.order_id or order_id, user_id=user_id, after=after, limit=limit
            )


@dataclass(frozen=True, slots=True)
class CountAttentionsHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self) -> Mapping[str, int]:
        """How many payments have which attention, for who watches the system."""
        async with self.unit_of_work() as uow:
            return await uow.payments.count_attentions()


@dataclass(frozen=True, slots=True)
class GetRefundHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, caller: Caller, refund_id: str) -> Refund:
        """Raises RefundNotFound, also where the payment is another's."""
        async with self.unit_of_work() as uow:
            refund = await uow.refunds.get(refund_id)
            payment = await uow.payments.get(refund.payment_id) if refund else None
        if (
            refund is None
            or payment is None
            or not caller.may_touch(user_id=payment.user_id, order_id=payment.order_id)
        ):
            raise RefundNotFound
        return refund


@dataclass(frozen=True, slots=True)
class ListRefundsHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(
        self,
        caller: Caller,
        *,
        status: RefundStatus | None,
        payment_id: str | None,
        after: str | None,
        limit: int,
    ) -> Sequence[Refund]:
        """At most `limit` refunds of payments that the caller may see, newest first, after the one named `after`."""
        user_id = None if caller.order_id or "users:any" in caller.scopes else caller.subject
        async with self.unit_of_work() as uow:
            return await uow.refunds.list(
                status=status,
                payment_id=payment_id,
                order_id=caller.order_id,
                user_id=user_id,
                after=after,
                limit=limit,
            )


@dataclass(frozen=True, slots=True)
class CountWaitingRefundsHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(self) -> WaitingRefunds:
        """How many refunds wait for approval, for who watches the system."""
        async with self.unit_of_work() as uow:
            number, since = await uow.refunds.count_waiting()
        waited = (self.clock.now() - since).total_seconds() if since else 0.0
        return WaitingRefunds(number, max(waited, 0.0))


@dataclass(frozen=True, slots=True)
class ListEventsHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(
        self, *, after: str | None, type: str | None, order_id: str | None, limit: int
    ) -> Sequence[LoggedEvent]:
        """At most `limit` events of the log behind the cursor `after`. Raises Malformed."""
        async with self.unit_of_work() as uow:
            return await uow.events.list(after=after, type=type, order_id=order_id, limit=limit)
