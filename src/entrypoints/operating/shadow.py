"""Replays payment events into copies of their orders, in memory, and tells where the orders differ.

Nothing is written anywhere. What an order's events were is read from the log, so an order whose first
events have been dropped with their day cannot be rebuilt, and says so.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.cloudevents import payment_events
from adapters.postgres.orders import PostgresOrders
from adapters.postgres.transaction import Transaction
from domain.orders.effects import Effect
from domain.orders.money_policy import MoneyPolicy
from domain.orders.use_cases.replay_order import Difference, differences, replay_order
from entrypoints.operating.logs import Operating
from outbox import Operations, OrderedInbox, Outbox, Selection
from outbox.status import ListedEvent


@dataclass(frozen=True, slots=True)
class ShadowedOrder:
    """What became of one order's copy."""

    order_id: str
    events: int
    unapplied: int  # of these, not applied to the order yet: a difference is no surprise
    problem: str | None  # why there is no copy to compare with
    differences: Sequence[Difference]

    @property
    def agrees(self) -> bool:
        return self.problem is None and not self.differences


async def shadow(
    operating: Operating, consumer: str, selection: Selection, policy: MoneyPolicy, *, page: int = 500
) -> AsyncIterator[ShadowedOrder]:
    """Each of our orders that a selected event speaks of, rebuilt from all of its payments' events.

    `policy` is to be the workers': what an order does with money that comes late depends on it.
    """
    log = operating.logs["payments"]
    inbox = log.consumers[consumer].inbox
    assert isinstance(inbox, OrderedInbox)
    seen: set[str] = set()
    async for found in log.select(selection, page=page):
        streams: dict[str, set[str]] = {}
        for one in found:
            order_id = payment_events.decode(one.event).order_id
            if order_id not in seen:
                streams.setdefault(order_id, set()).add(one.event.stream)
        seen |= streams.keys()
        for order_id, of_order in streams.items():
            shadowed = await _shadow_order(log, inbox, operating.orders, policy, order_id, of_order)
            if shadowed is not None:
                yield shadowed


async def _shadow_order(
    log: Operations,
    inbox: OrderedInbox,
    engine: AsyncEngine,
    policy: MoneyPolicy,
    order_id: str,
    streams: set[str],
) -> ShadowedOrder | None:
    """None for an order that is not ours."""
    async with engine.connect() as connection:
        orders = PostgresOrders(
            Transaction.within(connection), Outbox("orders"), _encode_nothing, personal=False
        )
        order = await orders.get(order_id)
        if order is None:
            return None
        streams = streams | {payment.payment_id for payment in order.payments}
        progress = await inbox.progress(connection, sorted(streams))
    # The log after the order: it holds whatever the order has followed.
    listed: list[ListedEvent] = []
    unapplied = 0
    for stream in sorted(streams):
        of_stream = [
            one
            async for page in log.select(Selection(topics=[payment_events.TOPIC], stream=stream))
            for one in page
        ]
        listed += of_stream
        applied = progress[stream].applied
        unapplied += sum(1 for one in of_stream if (one.event.sequence or 0) > applied)
        if of_stream and of_stream[0].event.sequence != 1:
            problem = f"the log begins with number {of_stream[0].event.sequence} of {stream}"
            return ShadowedOrder(order_id, len(listed), unapplied, problem, [])
    listed.sort(key=lambda one: one.position)
    copy = replay_order(order, [payment_events.decode(one.event) for one in listed], policy)
    return ShadowedOrder(order_id, len(listed), unapplied, None, list(differences(order, copy)))


def _encode_nothing(_effect: Effect) -> NoReturn:
    raise RuntimeError("a shadow asks for no effects")
