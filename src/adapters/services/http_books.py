"""What the payment side states of its payments, for an order side in another process that compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

import msgspec

from adapters.services.client import ServiceClient
from adapters.services.identities import ORDERS
from domain.shared.statements import ChangedPayments, PaymentStatement
from outbox import Event

ORDERS_AT_ONCE = 1000


class _Sent(msgspec.Struct, kw_only=True, rename="camel"):
    """A body."""


class _OfOrdersSent(_Sent):
    order_ids: list[str]


class _PageSent(_Sent):
    after: str
    since: datetime | None
    until: datetime | None
    limit: int


class _ChangedSent(_Sent):
    after: str | None
    before: datetime
    limit: int


class _StatementsSaid(msgspec.Struct):
    statements: list[PaymentStatement]


class _EventSaid(msgspec.Struct):
    id: UUID
    topic: str
    stream: str
    sequence: int | None
    type: str
    payload: str
    headers: dict[str, str]


class _EventsSaid(msgspec.Struct):
    events: list[_EventSaid]


@dataclass(frozen=True, slots=True)
class HttpPaymentBook:
    """`PaymentBook`."""

    client: ServiceClient

    async def of_orders(self, order_ids: Sequence[str]) -> Sequence[PaymentStatement]:
        found: list[PaymentStatement] = []
        for start in range(0, len(order_ids), ORDERS_AT_ONCE):
            part = list(order_ids[start : start + ORDERS_AT_ONCE])
            found += await self._statements("of-orders", _OfOrdersSent(order_ids=part))
        return found

    async def page(
        self, *, after: str, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[PaymentStatement]:
        return await self._statements("page", _PageSent(after=after, since=since, until=until, limit=limit))

    async def changed(self, *, after: str | None, before: datetime, limit: int) -> ChangedPayments:
        path, sent = (
            "/internal/v1/payment-statements/changed",
            _ChangedSent(after=after, before=before, limit=limit),
        )
        return await self.client.call("POST", path, ORDERS, ChangedPayments, sent)

    async def _statements(self, what: str, sent: msgspec.Struct) -> list[PaymentStatement]:
        path = f"/internal/v1/payment-statements/{what}"
        return (await self.client.call("POST", path, ORDERS, _StatementsSaid, sent)).statements


@dataclass(frozen=True, slots=True)
class HttpLoggedEvents:
    """What the payments' log still has of a payment."""

    client: ServiceClient

    async def __call__(self, payment_id: str) -> Sequence[Event]:
        path = f"/internal/v1/payments/{quote(payment_id, safe='')}/events"
        said = await self.client.call("GET", path, ORDERS, _EventsSaid)
        return [
            Event(
                id=one.id,
                topic=one.topic,
                stream=one.stream,
                sequence=one.sequence,
                type=one.type,
                payload=one.payload.encode(),
                headers=one.headers,
            )
            for one in said.events
        ]
