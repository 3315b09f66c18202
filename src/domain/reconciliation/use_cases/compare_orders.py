"""Compare orders with their payments: what has changed again and again, and everything in a sweep."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from domain.reconciliation.finding import Difference, Finding, FindingStatus, FindingType
from domain.reconciliation.order_ports import OrderBook, PaymentBook
from domain.reconciliation.orders import ORDER_TYPES, PAYMENT_TYPES, compare, compare_orphan
from domain.reconciliation.ports import FindingFilter, UnitOfWorkFactory
from domain.reconciliation.use_cases.measure import round_of
from domain.shared.statements import HeldEvent, OrderStatement, PaymentStatement
from domain.shared.system import Clock

PAGE = 500
NEWEST = 1_000
"""Orders that are looked at in each round whatever became of them: no event tells of what a hand does."""
ROLLING = 1_000
"""Of all the others, and of the payments, so many in each round, one after the other, and then from the start."""
CHANGES_IN_A_ROUND = 100_000
MOST_NOT_APPLIED = 1_000
"""While so many events are not applied, the consumer is behind as a whole: the comparison waits where it is."""
STUCK_AFTER = timedelta(minutes=15)
"""A call to the payment side is repeated every minute, so this is a fault that does not pass."""

_CHANGES, _ORDERS, _PAYMENTS = "orders: changes", "orders: all", "orders: all payments"


class Record(Protocol):
    async def __call__(
        self,
        differences: Sequence[Difference],
        *,
        examined: Collection[str],
        types: Collection[FindingType],
    ) -> list[Finding]: ...


@dataclass(slots=True)
class ComparedOrders:
    """How much a comparison looked at, some of it twice, and the open findings that it has seen, by their ids."""

    orders: int = 0
    payments: int = 0
    seen: dict[str, Finding] = field(default_factory=dict)

    def see(self, findings: Sequence[Finding]) -> None:
        self.seen.update((one.finding_id, one) for one in findings)

    @property
    def findings(self) -> list[Finding]:
        return list(self.seen.values())


Progress = Callable[[ComparedOrders], None]


@dataclass(frozen=True, slots=True)
class CompareOrdersHandler:
    orders: OrderBook
    payments: PaymentBook
    record: Record
    unit_of_work: UnitOfWorkFactory
    clock: Clock
    grace: timedelta
    """How old an event must be to count as lost; longer than anti-entropy takes to send it again."""

    async def __call__(self) -> ComparedOrders:
        """One round of the continuous comparison; one process at a time. Raises Unavailable."""
        done = ComparedOrders()
        await self._open_ones(done)
        await self._changes(done)
        newest = await self.orders.newest(NEWEST)
        for first in range(0, len(newest), PAGE):
            await self._compare(newest[first : first + PAGE], done)
        await self._roll(_ORDERS, self._page_of_orders, done)
        await self._roll(_PAYMENTS, self._page_of_payments, done)
        await self._stuck_attempts(done)
        async with self.unit_of_work() as uow:
            before = await uow.cursors.get(round_of("orders"))
        total = (before or {}).get("total", 0) + done.orders
        now = self.clock.now().isoformat()
        await self._keep(round_of("orders"), {"completedAt": now, "orders": done.orders, "total": total})
        return done

    async def sweep(
        self, *, since: datetime | None, until: datetime | None, told: Progress = lambda _: None
    ) -> ComparedOrders:
        """Everything created in [since, until), in both directions. Raises Unavailable."""
        done = ComparedOrders()
        for page in (self._page_of_orders, self._page_of_payments):
            after: str | None = ""
            while after is not None:
                after = await page(after, since, until, PAGE, done)
                told(done)
        await self._stuck_attempts(done)
        return done

    async def _open_ones(self, done: ComparedOrders) -> None:
        """What was found before is looked at again: it may be gone."""
        order_ids: set[str] = set()
        async with self.unit_of_work() as uow:
            for type in sorted(ORDER_TYPES | PAYMENT_TYPES):
                wanted = FindingFilter(status=FindingStatus.OPEN, type=type)
                found = await uow.findings.list(wanted, after=None, limit=MOST_NOT_APPLIED)
                order_ids |= {one.order_id for one in found if one.order_id is not None}
        ordered = sorted(order_ids)
        for first in range(0, len(ordered), PAGE):
            await self._compare_ids(ordered[first : first + PAGE], done)

    async def _changes(self, done: ComparedOrders) -> None:
        for _ in range(0, CHANGES_IN_A_ROUND, PAGE):
            async with self.unit_of_work() as uow:
                kept = await uow.cursors.get(_CHANGES)
                not_applied = (await uow.findings.count_open()).get(FindingType.EVENT_NOT_APPLIED, 0)
            if not_applied >= MOST_NOT_APPLIED:
                return
            after: str | None = kept["after"] if kept else None
            now = self.clock.now()
            changed = await self.payments.changed(after=after, before=now - self.grace, limit=PAGE)
            await self._compare_ids(changed.order_ids, done)
            if changed.cursor is not None and changed.cursor != after:
                await self._keep(_CHANGES, {"after": changed.cursor})
            if changed.is_last:
                return

    async def _roll(
        self,
        name: str,
        page: Callable[[str, None, None, int, ComparedOrders], Awaitable[str | None]],
        done: ComparedOrders,
    ) -> None:
        async with self.unit_of_work() as uow:
            kept = await uow.cursors.get(name)
        after: str | None = kept["after"] if kept else ""
        for _ in range(0, ROLLING, PAGE):
            after = await page(after or "", None, None, PAGE, done)
            if after is None:
                break
        if (after or "") != (kept["after"] if kept else ""):
            await self._keep(name, {"after": after or ""})

    async def _keep(self, name: str, value: Mapping[str, object]) -> None:
        async with self.unit_of_work() as uow:
            await uow.cursors.put(name, value, self.clock.now())
            await uow.commit()

    async def _page_of_orders(
        self, after: str, since: datetime | None, until: datetime | None, limit: int, done: ComparedOrders
    ) -> str | None:
        """The id behind which the next page begins; None where this was the last."""
        page = await self.orders.page(after=after, since=since, until=until, limit=limit)
        await self._compare(page, done)
        return page[-1].order_id if len(page) == limit else None

    async def _page_of_payments(
        self, after: str, since: datetime | None, until: datetime | None, limit: int, done: ComparedOrders
    ) -> str | None:
        """The same; payments of orders that exist were compared with these."""
        page = await self.payments.page(after=after, since=since, until=until, limit=limit)
        existing = await self.orders.existing(sorted({payment.order_id for payment in page}))
        done.payments += len(page)
        orphans = sorted({payment.order_id for payment in page if payment.order_id not in existing})
        if orphans:
            await self._compare_ids(orphans, done)
        return page[-1].payment_id if len(page) == limit else None

    async def _compare_ids(self, order_ids: Sequence[str], done: ComparedOrders) -> None:
        orders = await self.orders.of_orders(order_ids) if order_ids else []
        await self._compare(orders, done, order_ids)

    async def _compare(
        self, orders: Sequence[OrderStatement], done: ComparedOrders, order_ids: Sequence[str] = ()
    ) -> None:
        """These orders, and of `order_ids` those that do not exist."""
        order_ids = sorted({*order_ids, *(order.order_id for order in orders)})
        if not order_ids:
            return
        differences, payment_ids = await self._look(orders, order_ids)
        done.orders += len(orders)
        if differences:
            suspects = sorted({one.order_id for one in differences if one.order_id is not None})
            again, _ = await self._look(await self.orders.of_orders(suspects), suspects)
            before = {one.key for one in differences}
            differences = await self._explained([one for one in again if one.key in before])
        for ids, types in ((order_ids, ORDER_TYPES), (payment_ids, PAYMENT_TYPES)):
            found = [one for one in differences if one.type in types]
            done.see(await self.record(found, examined=ids, types=types))

    async def _look(
        self, orders: Sequence[OrderStatement], order_ids: Sequence[str]
    ) -> tuple[list[Difference], list[str]]:
        """The differences of these orders, read before their payments are; and the payments' ids."""
        before = self.clock.now() - self.grace
        known = {order.order_id: order for order in orders}
        payments = await self.payments.of_orders(order_ids)
        by_order: dict[str, list[PaymentStatement]] = {order_id: [] for order_id in order_ids}
        for payment in payments:
            by_order[payment.order_id].append(payment)
        found: dict[object, Difference] = {}
        for order_id, of_order in by_order.items():
            order = known.get(order_id)
            if order is not None:
                some = list(compare(order, of_order, settled_before=before))
            else:
                some = [one for payment in of_order for one in compare_orphan(payment, settled_before=before)]
            for difference in some:
                found.setdefault(difference.key, difference)
        return list(found.values()), [payment.payment_id for payment in payments]

    async def _explained(self, differences: Sequence[Difference]) -> list[Difference]:
        """With what the order side's inbox has to say of events that are not applied."""
        late = [one for one in differences if one.type is FindingType.EVENT_NOT_APPLIED and one.note is None]
        if not late:
            return list(differences)
        payment_ids = [one.object_id for one in late]
        places = await self.orders.places(payment_ids)
        held: dict[str, HeldEvent] = {}
        for event in await self.orders.held_events(payment_ids):
            held.setdefault(event.payment_id, event)
        return [
            _explain(one, places.get(one.object_id, 0), held.get(one.object_id)) if one in late else one
            for one in differences
        ]

    async def _stuck_attempts(self, done: ComparedOrders) -> None:
        stuck = await self.orders.open_attempts(before=self.clock.now() - STUCK_AFTER, limit=PAGE)
        async with self.unit_of_work() as uow:
            wanted = FindingFilter(status=FindingStatus.OPEN, type=FindingType.STUCK_ATTEMPT)
            before = await uow.findings.list(wanted, after=None, limit=PAGE)
        differences = [
            Difference(
                type=FindingType.STUCK_ATTEMPT,
                object_id=one.work_id,
                order_id=one.order_id,
                payment_id=one.payment_id,
                expected={"status": "DONE"},
                found={"status": "STARTED", "kind": one.kind},
                note=one.error,
            )
            for one in stuck
        ]
        examined = {one.work_id for one in stuck} | {one.object_id for one in before}
        types = [FindingType.STUCK_ATTEMPT]
        done.see(await self.record(differences, examined=sorted(examined), types=types))


def _explain(difference: Difference, place: int, event: HeldEvent | None) -> Difference:
    if event is None:
        if place != difference.found["sequence"]:
            note = "its events were taken in, and the order does not have the payment"
            return replace(difference, note=note, by_hand=True)
        return replace(difference, note="the order side has not received the event")
    if event.is_parked:
        note = f"event {event.event_id} is parked after {event.attempts} attempts: {event.cause}"
        return replace(difference, found={**difference.found, "parked": True}, note=note)
    return replace(
        difference, note=f"event {event.event_id} waits, after {event.attempts} attempts: {event.cause}"
    )
