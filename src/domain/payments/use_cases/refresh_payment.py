"""Bring a payment up to date from the gateway, for a client that cannot wait for the webhook."""

from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest

from domain.payments.current import refresh
from domain.payments.errors import GatewayUnavailable, PaymentNotFound
from domain.payments.gateway import GatewayFailed
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.payments.states import FINAL
from domain.shared.callers import Caller
from domain.shared.system import Clock, IdFactory

AT_MOST_EVERY = timedelta(seconds=2)
"""How often one payment is looked up at a client's wish, by all processes together."""


@dataclass(frozen=True, slots=True)
class RefreshPaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    clock: Clock
    ids: IdFactory

    async def __call__(self, caller: Caller, payment_id: str) -> Payment:
        """The payment with what the gateway holds of it; as it is stored where that was asked just now.

        Raises PaymentNotFound, GatewayUnavailable.
        """
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(payment_id)
        if payment is None or not caller.may_touch(user_id=payment.user_id, order_id=payment.order_id):
            raise PaymentNotFound
        return await self._refreshed(payment)

    async def returning(self, intent_id: str, client_secret: str) -> Payment:
        """The same for a customer who comes back from the gateway with the intent's client secret.

        Raises PaymentNotFound, also where the secret is not this intent's; GatewayUnavailable.
        """
        async with self.unit_of_work() as uow:
            for account in self.gateways.accounts:
                payment_id = await uow.payments.find_by_intent(account.name, intent_id)
                payment = await uow.payments.get(payment_id) if payment_id else None
                known = payment.client_secret if payment else None
                if payment and known and compare_digest(known.encode(), client_secret.encode()):
                    break
            else:
                raise PaymentNotFound
        return await self._refreshed(payment)

    async def _refreshed(self, payment: Payment) -> Payment:
        if payment.status in FINAL or payment.intent_id is None:
            return payment
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            begun = await uow.payments.begin_look_up(
                payment.payment_id, now=now, not_since=now - AT_MOST_EVERY
            )
            await uow.commit()
        if not begun:
            return payment
        try:
            gateway = self.gateways.of(payment.gateway)
            return await refresh(self.unit_of_work, gateway, payment, self.clock, self.ids)
        except GatewayFailed as error:
            raise GatewayUnavailable from error
