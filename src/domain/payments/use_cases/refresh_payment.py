"""Record what the gateway holds of a payment now."""

from dataclasses import dataclass

from domain.payments.errors import GatewayUnavailable, PaymentNotFound
from domain.payments.gateway import GatewayFailed, IntentSnapshot, PaymentGateway
from domain.payments.payment import Occasion, Payment
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.shared.system import Clock, IdFactory


@dataclass(frozen=True, slots=True)
class RefreshPaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateway: PaymentGateway
    clock: Clock
    ids: IdFactory

    async def __call__(self, payment_id: str) -> Payment:
        """Fetch the intent and record it. Raises PaymentNotFound, GatewayUnavailable."""
        while True:
            async with self.unit_of_work() as uow:
                before = await uow.payments.get(payment_id)
            if before is None or before.intent_id is None:
                raise PaymentNotFound
            fetched = await self.fetch(before.intent_id)
            async with self.unit_of_work() as uow:
                payment = await self.record(uow, payment_id, fetched, before.version)
                if payment is not None:
                    await uow.webhooks.take_waiting(fetched.intent_id, payment_id)
                    await uow.commit()
                    return payment

    async def fetch(self, intent_id: str) -> IntentSnapshot:
        try:
            return await self.gateway.get_intent(intent_id)
        except GatewayFailed as error:
            raise GatewayUnavailable from error

    async def record(
        self, uow: PaymentsUnitOfWork, payment_id: str, fetched: IntentSnapshot, version: int
    ) -> Payment | None:
        """Record a fetched intent; None where the payment has moved on since before the fetch."""
        payment = await uow.payments.lock(payment_id)
        if payment is None:
            raise PaymentNotFound
        if payment.version != version:
            return None
        payment.record_intent(fetched, Occasion(self.clock.now(), self.ids.event_id))
        await uow.payments.save(payment)
        return payment
