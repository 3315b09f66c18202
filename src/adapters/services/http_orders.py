"""The order side, for a payment side in another process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID

import msgspec

from adapters.services.client import ServiceClient
from adapters.services.identities import PAYMENTS, payments_for
from domain.orders.webhooks.ports import EventToSend
from domain.payments.errors import OrdersUnavailable
from domain.payments.ports import OrderTerms
from domain.shared.callers import Caller
from domain.shared.errors import NotFound, Unavailable
from outbox import Comparison, EventKey, Held

COMPARED_AT_ONCE = 1000
"""Events asked about in one call: some hundred kilobytes."""
HANDED_OVER_BYTES = 256 * 1024  # a body takes up to twice as much as a text within JSON
HANDED_OVER_AT_ONCE = 500

T = TypeVar("T")


class _Sent(msgspec.Struct, kw_only=True, rename="camel"):
    """A body."""


class _KeySent(_Sent):
    id: UUID
    stream: str
    sequence: int | None


class _CompareSent(_Sent):
    events: list[_KeySent]


class _CompareSaid(msgspec.Struct, rename="camel"):
    missing: list[UUID]
    applied: dict[str, int]


class _ForksSent(_Sent):
    streams: dict[str, str]


class _EventSent(_Sent):
    event_id: str
    event_type: str
    order_id: str
    body: str


class _EventsSent(_Sent):
    events: list[_EventSent]


class _Done(msgspec.Struct):
    """An answer of which nothing is read."""


class _TermsSaid(msgspec.Struct, rename="camel"):
    order_id: str
    version: int
    amount: int
    currency: str
    payable: bool


@dataclass(frozen=True, slots=True)
class HttpOrderTerms:
    """`OrderTermsSource`: the order service's public call, made for whoever calls us."""

    client: ServiceClient

    async def get(self, order_id: str, caller: Caller) -> OrderTerms | None:
        path = f"/v1/orders/{quote(order_id, safe='')}/payment-terms"
        try:
            said = await self.client.call("GET", path, payments_for(caller), _TermsSaid)
        except NotFound:
            return None
        except Unavailable as error:
            raise OrdersUnavailable from error
        return OrderTerms(
            order_id=said.order_id,
            version=said.version,
            amount=said.amount,
            currency=said.currency,
            payable=said.payable,
        )


@dataclass(frozen=True, slots=True)
class HttpConsumer:
    """`Follower`: what a consumer of the order side has of our log."""

    client: ServiceClient
    name: str
    topic: str

    async def compare(self, events: Sequence[EventKey]) -> Comparison:
        missing: set[UUID] = set()
        applied: dict[str, int] = {}
        for part in _parts(events, COMPARED_AT_ONCE, lambda _: 0):
            keys = [_KeySent(id=key.id, stream=key.stream, sequence=key.sequence) for key in part]
            said = await self._call("compare", _CompareSaid, _CompareSent(events=keys))
            missing.update(said.missing)
            applied.update(said.applied)
        return Comparison(frozenset(missing), applied)

    async def park_forked(self, streams: Mapping[str, str]) -> None:
        for part in _parts(list(streams.items()), COMPARED_AT_ONCE, lambda _: 0):
            await self._call("forks", _Done, _ForksSent(streams=dict(part)))

    async def held(self) -> Held:
        return await self.client.call("GET", f"/internal/v1/consumers/{self.name}/held", PAYMENTS, Held)

    async def _call(self, what: str, answer: type[T], body: msgspec.Struct) -> T:
        return await self.client.call(
            "POST", f"/internal/v1/consumers/{self.name}/{what}", PAYMENTS, answer, body
        )


@dataclass(frozen=True, slots=True)
class HttpWebhookQueue:
    """Hands payment events to the order side, which sends them to whoever has registered for them."""

    client: ServiceClient

    async def __call__(self, events: Sequence[EventToSend]) -> None:
        """Raises Unavailable, and whatever else it answers; repeats do nothing."""
        for part in _parts(events, HANDED_OVER_AT_ONCE, lambda event: len(event.body)):
            sent = [
                _EventSent(
                    event_id=event.event_id,
                    event_type=event.event_type,
                    order_id=event.order_id,
                    body=event.body,
                )
                for event in part
            ]
            await self.client.call(
                "POST", "/internal/v1/webhook-events", PAYMENTS, _Done, _EventsSent(events=sent)
            )


def _parts(items: Sequence[T], most: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """In their order, at most so many and so large at once."""
    part: list[T] = []
    total = 0
    for item in items:
        if part and (len(part) == most or total + size(item) > HANDED_OVER_BYTES):
            yield part
            part, total = [], 0
        part.append(item)
        total += size(item)
    if part:
        yield part
