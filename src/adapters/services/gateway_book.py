"""The gateways' book, as reconciliation reads it: through the accounts' own calls, within a budget."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import (
    DisputeSnapshot,
    GatewayNotSent,
    GatewayRefused,
    GatewayUnknown,
    GatewayUnreadable,
    IntentSnapshot,
    RefundSnapshot,
    Snapshot,
)
from domain.payments.gateway_lists import GatewayLists, ListPage, lists_of
from domain.payments.routing import Gateways
from domain.reconciliation.gateway_ports import (
    EventOfObject,
    EventsPage,
    ListedObject,
    ObjectsPage,
    PlaceLost,
)
from domain.shared.gateway_objects import GatewayObject, ObjectKind

T = TypeVar("T")

PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""Before each repetition of a call that had no answer, as one that was refused for being too many (429)."""


class Budget:
    """A token bucket: so many calls a second, and at most a second's worth at once."""

    def __init__(
        self, calls_per_second: float, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._rate = calls_per_second
        self._sleep = sleep
        self._tokens = self._most = max(calls_per_second, 1.0)
        self._at: float | None = None

    async def take(self) -> None:
        """Wait until another call may be made."""
        now = asyncio.get_running_loop().time()
        passed_seconds = 0.0 if self._at is None else now - self._at
        self._tokens = min(self._tokens + passed_seconds * self._rate, self._most)
        self._at = now
        self._tokens -= 1
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)


class GatewaysBook:
    """See `domain.reconciliation.gateway_ports.GatewayBook`."""

    def __init__(
        self,
        gateways: Gateways,
        budget: Budget,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gateways = gateways
        self._budget = budget
        self._sleep = sleep
        self.calls = 0

    @property
    def accounts(self) -> Sequence[str]:
        return [account.name for account in self._gateways.accounts]

    def is_listed(self, gateway: str) -> bool:
        return lists_of(self._gateways.of(gateway)) is not None

    async def events(self, gateway: str, *, after: str | None, since: datetime) -> EventsPage:
        lists = self._lists(gateway)
        try:
            page = await self._ask(lambda: lists.list_events(after=after, since=since))
        except GatewayRefused as refused:
            if refused.code == "resource_missing" and after is not None:
                raise PlaceLost from refused
            raise GatewayUnavailable(str(refused)) from refused
        return EventsPage(
            [
                EventOfObject(
                    event_id=one.event.event_id,
                    created_at=one.event.created_at,
                    stated=_stated(gateway, one.event.snapshot),
                )
                for one in page.events
            ],
            page.more,
        )

    async def page(
        self, kind: ObjectKind, gateway: str, *, since: datetime, until: datetime, after: str | None
    ) -> ObjectsPage:
        lists = self._lists(gateway)
        listing = {
            ObjectKind.INTENT: lists.list_intents,
            ObjectKind.REFUND: lists.list_refunds,
            ObjectKind.DISPUTE: lists.list_disputes,
        }[kind]
        try:
            page: ListPage = await self._ask(lambda: listing(since=since, until=until, after=after))
        except GatewayRefused as refused:
            raise GatewayUnavailable(str(refused)) from refused
        return ObjectsPage(
            [
                ListedObject(one.created_at, stated)
                for one in page.items
                if (stated := _stated(gateway, one.snapshot)) is not None
            ],
            page.after,
        )

    async def get(self, kind: ObjectKind, gateway: str, object_id: str) -> GatewayObject | None:
        try:
            snapshot = await self._ask(lambda: self._fetch(kind, gateway, object_id))
        except GatewayRefused as refused:
            if refused.code == "resource_missing":
                return None
            raise GatewayUnavailable(str(refused)) from refused
        return _stated(gateway, snapshot)

    async def _fetch(
        self, kind: ObjectKind, gateway: str, object_id: str
    ) -> IntentSnapshot | RefundSnapshot | DisputeSnapshot:
        match kind:
            case ObjectKind.INTENT:
                return await self._gateways.of(gateway).get_intent(object_id)
            case ObjectKind.DISPUTE:
                return await self._gateways.of(gateway).get_dispute(object_id)
            case _:
                return await self._lists(gateway).get_refund(object_id)

    def _lists(self, gateway: str) -> GatewayLists:
        """Raises GatewayUnavailable."""
        lists = lists_of(self._gateways.of(gateway))
        if lists is None:
            raise GatewayUnavailable(f"The gateway account {gateway} has no lists.")
        return lists

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Within the budget, and again after a pause where there was no answer. Raises GatewayRefused, GatewayUnavailable."""
        for pause in (*PAUSES_SECONDS, None):
            await self._budget.take()
            self.calls += 1
            try:
                return await call()
            except (GatewayNotSent, GatewayUnreadable) as error:
                raise GatewayUnavailable(str(error)) from error
            except GatewayUnknown as error:
                if pause is None:
                    raise GatewayUnavailable(str(error)) from error
                await self._sleep(pause)
        raise AssertionError("the last of these returns or raises")


def _stated(gateway: str, snapshot: Snapshot | None) -> GatewayObject | None:
    """What a snapshot states; None of what cannot be compared: its webhook says that a person must look."""
    match snapshot:
        case IntentSnapshot():
            return GatewayObject(
                kind=ObjectKind.INTENT,
                gateway=gateway,
                object_id=snapshot.intent_id,
                intent_id=snapshot.intent_id,
                own_id=snapshot.payment_id,
                status=snapshot.status.value,
                amount=snapshot.amount,
                currency=snapshot.currency,
                moved=snapshot.amount_captured,
                attempt=snapshot.failed_charge_id,
            )
        case RefundSnapshot():
            return GatewayObject(
                kind=ObjectKind.REFUND,
                gateway=gateway,
                object_id=snapshot.gateway_refund_id,
                intent_id=snapshot.intent_id,
                own_id=snapshot.refund_id,
                status=snapshot.status.value,
                amount=snapshot.amount,
                currency=snapshot.currency,
            )
        case DisputeSnapshot():
            return GatewayObject(
                kind=ObjectKind.DISPUTE,
                gateway=gateway,
                object_id=snapshot.gateway_dispute_id,
                intent_id=snapshot.intent_id,
                own_id=None,
                status=snapshot.status.value,
                amount=snapshot.amount,
                currency=snapshot.currency,
                moved=snapshot.amount_withdrawn,
            )
        case _:
            return None
