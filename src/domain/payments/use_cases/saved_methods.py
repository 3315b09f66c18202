"""List the payment methods that a user has saved, and take one away."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.payments.errors import (
    GatewayRefusedRequest,
    GatewayUnavailable,
    PaymentMethodNotFound,
    UserRequired,
)
from domain.payments.gateway import GatewayRefused, GatewayUnknown
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Account, Gateways
from domain.payments.saved_method import SavedMethod
from domain.shared.callers import Caller
from domain.shared.errors import Malformed

_PLACE = re.compile(r"(?P<account>[0-9]{1,3})-(?P<token>[A-Za-z0-9_]+)")


@dataclass(frozen=True, slots=True)
class ListSavedMethodsHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways

    async def __call__(
        self, caller: Caller, *, user_id: str | None, after: str | None, limit: int
    ) -> tuple[Sequence[SavedMethod], str | None]:
        """At most `limit` of the user's methods, newest first in each account, and the place to go on from.

        None that the caller may not see. Raises UserRequired, Malformed, GatewayUnavailable.
        """
        if "users:any" not in caller.scopes:
            if caller.order_id is not None or user_id not in (None, caller.subject):
                return [], None
            user_id = caller.subject
        if user_id is None:
            raise UserRequired("Whose methods? Name a user.", pointer="?userId")
        number, token = _read_place(after)
        found: list[SavedMethod] = []
        place: str | None = None
        for index, (account, customer_id) in enumerate(await self._customers(user_id)):
            if index < number or customer_id is None:
                continue
            if len(found) == limit:
                return found, place
            try:
                page = await account.gateway.list_methods(
                    customer_id, after=token if index == number else None, limit=limit - len(found)
                )
            except (GatewayUnknown, GatewayRefused) as error:
                raise GatewayUnavailable from error
            found.extend(page.methods)
            if page.methods:
                place = f"{index}-{found[-1].token}"
            if page.more:
                return found, place
        return found, None

    async def _customers(self, user_id: str) -> Sequence[tuple[Account, str | None]]:
        """Every account, with the user's customer there."""
        async with self.unit_of_work() as uow:
            return [
                (account, await uow.customers.find(account.name, user_id))
                for account in self.gateways.accounts
            ]


def _read_place(place: str | None) -> tuple[int, str | None]:
    """The number of the account that the page before ended in, and its last method."""
    if place is None:
        return 0, None
    match = _PLACE.fullmatch(place)
    if match is None:
        raise Malformed("This is not a cursor of ours.", pointer="?cursor")
    return int(match["account"]), match["token"]


@dataclass(frozen=True, slots=True)
class DetachSavedMethodHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways

    async def __call__(self, caller: Caller, token: str) -> None:
        """Take a method from its customer, for good. Nothing happens to one that is nobody's (any more).

        Raises PaymentMethodNotFound, also where it is another's; GatewayUnavailable; GatewayRefusedRequest.
        """
        for account in self.gateways.accounts:
            try:
                method = await account.gateway.find_method(token)
                if method is None:
                    continue
                if method.gateway_customer_id is not None:
                    await self._check_owner(caller, account.name, method.gateway_customer_id)
                    await account.gateway.detach_method(token)
            except GatewayUnknown as error:
                raise GatewayUnavailable from error
            except GatewayRefused as error:
                raise GatewayRefusedRequest(error.message) from error
            return
        raise PaymentMethodNotFound

    async def _check_owner(self, caller: Caller, account: str, customer_id: str) -> None:
        async with self.unit_of_work() as uow:
            user_id = await uow.customers.user_of(account, customer_id)
        allowed = "users:any" in caller.scopes or (caller.order_id is None and user_id == caller.subject)
        if user_id is None or not allowed:
            raise PaymentMethodNotFound
