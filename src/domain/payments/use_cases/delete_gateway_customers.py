"""Have the gateways forget a user: name, address and saved methods of their customer objects."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.payments.gateway import GatewayFailed
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways


@dataclass(frozen=True, slots=True)
class GatewayCustomerDeleted:
    gateway: str
    gateway_customer_id: str
    failure: str | None
    """Why it may still be there; None where it is gone."""


@dataclass(frozen=True, slots=True)
class DeleteGatewayCustomersHandler:
    """Repeatable: a customer object is forgotten here only once the gateway has said that it is gone."""

    unit_of_work: UnitOfWorkFactory
    gateways: Gateways

    async def __call__(self, user_id: str) -> Sequence[GatewayCustomerDeleted]:
        return [
            deleted
            for account in self.gateways.accounts
            if (deleted := await self._delete(account.name, user_id)) is not None
        ]

    async def _delete(self, gateway: str, user_id: str) -> GatewayCustomerDeleted | None:
        async with self.unit_of_work() as uow:
            found = await uow.customers.find(gateway, user_id)
        if found is None:
            return None
        try:
            await self.gateways.of(gateway).delete_customer(found)
        except GatewayFailed as error:
            return GatewayCustomerDeleted(gateway, found, str(error))
        async with self.unit_of_work() as uow:
            await uow.customers.forget(gateway, user_id, found)
            await uow.commit()
        return GatewayCustomerDeleted(gateway, found, None)
