"""Tell everything that happened to an order, in one timeline."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.orders.order import Order
from domain.orders.ports import FindingStories, PaymentStories, UnitOfWorkFactory
from domain.orders.progress import Progress
from domain.orders.timeline import build, seen_by
from domain.orders.use_cases.read_orders import GetOrderHandler
from domain.shared.callers import Caller
from domain.shared.timeline import TimelineEntry

TOLD = 5_000
"""Entries of the history that are told at most: more than any order that people place ever has."""


@dataclass(frozen=True, slots=True)
class Explained:
    order: Order
    timeline: Sequence[TimelineEntry]


@dataclass(frozen=True, slots=True)
class ExplainOrderHandler:
    unit_of_work: UnitOfWorkFactory
    get_order: GetOrderHandler
    payments: PaymentStories
    progress: Progress
    findings: FindingStories

    async def __call__(self, caller: Caller, order_id: str) -> Explained:
        """Raises OrderNotFound, also where the order is another's, and Unavailable."""
        await self.get_order(caller, order_id)
        # The payment side before the history: an event that it tells of may be applied in between, and is then
        # told as applied; the other way round, as neither.
        story = await self.payments(order_id)
        async with self.unit_of_work() as uow:
            history = await uow.history.of(order_id, limit=TOLD)
        payment_ids = {entry.ids["paymentId"] for entry in story if "paymentId" in entry.ids}
        timeline = build(
            history,
            story=[*story, *await self.findings(order_id, sorted(payment_ids))],
            effects=await self.progress.of_effects(order_id),
            waiting=await self.progress.of_events(sorted(payment_ids)),
            deliveries=await self.progress.of_deliveries(order_id),
            attempts=await self.progress.of_attempts(order_id),
        )
        shown = (seen_by(caller, entry) for entry in timeline)
        order = await self.get_order(caller, order_id)
        return Explained(order, [entry for entry in shown if entry is not None])
