"""Read the disputes of a payment."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.payments.dispute import Dispute
from domain.payments.errors import DisputeNotFound, PaymentNotFound
from domain.payments.ports import UnitOfWorkFactory
from domain.shared.callers import Caller


@dataclass(frozen=True, slots=True)
class ListDisputesHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, caller: Caller, payment_id: str) -> Sequence[Dispute]:
        """Oldest first. Raises PaymentNotFound, also where the payment is another's."""
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(payment_id)
            if payment is None or not caller.may_touch(user_id=payment.user_id, order_id=payment.order_id):
                raise PaymentNotFound
            return await uow.disputes.of_payment(payment_id)


@dataclass(frozen=True, slots=True)
class GetDisputeHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, caller: Caller, dispute_id: str) -> Dispute:
        """Raises DisputeNotFound, also where the payment is another's."""
        async with self.unit_of_work() as uow:
            dispute = await uow.disputes.get(dispute_id)
            payment = await uow.payments.get(dispute.payment_id) if dispute else None
        if (
            dispute is None
            or payment is None
            or not caller.may_touch(user_id=payment.user_id, order_id=payment.order_id)
        ):
            raise DisputeNotFound
        return dispute
