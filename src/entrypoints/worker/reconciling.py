"""The continuous comparison of the books, in any number of relay processes: one at a time does it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from adapters.services.ledger_book import VerifiedLedger
from domain.reconciliation.finding import Finding
from domain.reconciliation.ports import Locks
from domain.reconciliation.use_cases.compare_gateway import CompareGatewayHandler
from domain.reconciliation.use_cases.compare_ledger import CompareLedgerHandler
from domain.reconciliation.use_cases.repair_orders import RECONCILER, RepairOrdersHandler
from entrypoints.bootstrap import Container
from entrypoints.operating.logs import LoggedEvents
from entrypoints.worker.consumers import payment_events_inbox
from outbox import OrderedInbox

logger = structlog.stdlib.get_logger(__name__)

TOLD = 20
"""Findings that a line of the log names at most."""


@dataclass(frozen=True, slots=True)
class LogRedelivery:
    """Hands events of the log to the inbox of the order side, past the broker."""

    container: Container
    logged_events: LoggedEvents
    inbox: OrderedInbox

    async def __call__(self, payment_id: str, /) -> int:
        events = await self.logged_events(payment_id)
        await self.inbox.receive(self.container.orders.engine, events)
        self.container.orders.waker.wake()  # for the effects that the orders asked for
        return len(events)


@dataclass(frozen=True, slots=True)
class OrdersRound:
    """One round: compare, and repair what the policy says."""

    container: Container
    repair: RepairOrdersHandler

    async def __call__(self) -> None:
        reconciliation = self.container.reconciliation
        async with reconciliation.locks.hold("orders") as held:
            if not held:
                return
            begun_at = self.container.clock.now()
            done = await reconciliation.compare_orders()
            repaired = await self.repair(done.findings)
        new = [one for one in done.findings if one.first_seen >= begun_at]
        if new or repaired:
            logger.warning("orders_differ", new=_told(new), repaired=_told(repaired))


@dataclass(frozen=True, slots=True)
class GatewayRound:
    """One round: compare the payments with their gateways, and repair what the policy says."""

    container: Container
    compare: CompareGatewayHandler

    async def __call__(self) -> None:
        async with self.container.payments.reconciliation.locks.hold("gateway") as held:
            if not held:
                return
            begun_at = self.container.clock.now()
            done = await self.compare()
        new = [one for one in done.findings if one.first_seen >= begun_at]
        if new or done.repaired:
            logger.warning("gateway_differs", new=_told(new), repaired=_told(done.repaired))


def _told(findings: Sequence[Finding]) -> list[str]:
    return [f"{one.finding_id}: {one.type} of {one.object_id}" for one in findings[:TOLD]]


def orders_round_of(container: Container, repairer: str = RECONCILER) -> OrdersRound:
    """`repairer` is who repairs, in the audit log and to the refund policy."""
    reconciliation = container.reconciliation
    redeliver = LogRedelivery(container, container.logged_events, payment_events_inbox(container))
    repair = RepairOrdersHandler(
        redeliver,
        reconciliation.compare_orders.orders,
        reconciliation.give_back(repairer),
        reconciliation.unit_of_work,
        container.clock,
        repairer,
    )
    return OrdersRound(container, repair)


@dataclass(frozen=True, slots=True)
class LedgerRound:
    """One round: hold the ledger to the gateway."""

    locks: Locks
    compare: CompareLedgerHandler

    async def __call__(self) -> None:
        async with self.locks.hold("ledger") as held:
            if held:
                await self.compare()


def ledger_round_of(container: Container) -> LedgerRound:
    kept = container.payments.reconciliation
    ledger = VerifiedLedger(container.payments.ledger.verify)
    compare = CompareLedgerHandler(ledger, kept.record, kept.unit_of_work, container.clock, kept.grace)
    return LedgerRound(kept.locks, compare)


async def summarize_day(container: Container) -> None:
    """Once a day over all processes; with the ledger where the payments are."""
    kept = container.reconciliation if container.sides.orders else container.payments.reconciliation
    summarize = kept.summarize_day
    if container.sides.payments is not None:
        ledger = VerifiedLedger(container.payments.ledger.verify)
        summarize = replace(summarize, ledger_faults=ledger.faults)
    async with kept.locks.hold("summary") as held:
        if held:
            await summarize()
