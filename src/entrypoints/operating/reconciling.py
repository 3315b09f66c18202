"""A full comparison of the three books over a range of time, at an operator's wish."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from domain.reconciliation.finding import Action, Difference, Finding, FindingStatus, FindingType
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.ports import Locks, UnitOfWorkFactory
from domain.reconciliation.use_cases.compare_gateway import CompareGatewayHandler
from domain.reconciliation.use_cases.compare_orders import ComparedOrders
from domain.reconciliation.use_cases.examine_objects import Examined, Ref
from entrypoints.bootstrap import Container
from entrypoints.worker.reconciling import orders_round_of

EXAMINED_AT_ONCE = 100
"""Under one lock: the continuous comparison has its turn in between."""
LOCK_PAUSE_SECONDS = 0.5

Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A difference, and what became of it in this run."""

    difference: Difference
    action: Action
    status: FindingStatus
    note: str | None = None
    finding_id: str | None = None


@dataclass(slots=True)
class Report:
    since: datetime
    until: datetime
    applied: bool
    payments: int = 0
    orders: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)

    @property
    def open(self) -> list[Disagreement]:
        return [one for one in self.disagreements if one.status is FindingStatus.OPEN]

    def by_type(self) -> Mapping[FindingType, Mapping[FindingStatus, int]]:
        counted: dict[FindingType, dict[FindingStatus, int]] = {}
        for one in self.disagreements:
            of_type = counted.setdefault(one.difference.type, {})
            of_type[one.status] = of_type.get(one.status, 0) + 1
        return counted


@dataclass(slots=True)
class _OnPaper:
    """Stands in for what keeps findings: nothing is written, and nobody repairs."""

    seen: list[Difference] = field(default_factory=list)

    async def __call__(
        self, differences: Sequence[Difference], *, examined: Collection[str], types: Collection[FindingType]
    ) -> list[Finding]:
        self.seen += differences
        return []


@dataclass(frozen=True, slots=True)
class Reconciler:
    """`repairer` is who repairs, in the audit log; `sleep` waits for what may be on its way."""

    container: Container
    repairer: str
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def __call__(
        self, *, since: datetime, until: datetime, apply: bool, told_total: Told, told: Told
    ) -> Report:
        """Compare what was made in [since, until); with `apply` keep what differs, and repair by the policy.

        Raises Unavailable.
        """
        report = Report(since, until, apply)
        if self.container.sides.payments is not None:
            await self._payments(report, told_total, told)
        if self.container.sides.orders is not None:
            await self._orders(report)
        return report

    async def _payments(self, report: Report, told_total: Told, told: Told) -> None:
        since, until = report.since, report.until
        compare = self.container.payments.reconciliation.compare(self.repairer)
        told_total(await compare.own.count(since=since, until=until))

        def compared(payments: int) -> None:
            report.payments += payments
            told(payments)

        refs: list[Ref] = []
        for gateway in compare.gateways.accounts:
            if compare.gateways.is_listed(gateway):
                found = compare.sweep(gateway, since=since, until=until, told=compared)
                refs += [ref async for ref in found]
        await self._examine(compare, refs, report)

    async def _examine(self, compare: CompareGatewayHandler, refs: Sequence[Ref], report: Report) -> None:
        """What looks different is looked at again once nothing of it can be on its way any more."""
        done = Examined()
        if refs:
            await self.sleep(compare.grace.total_seconds())
        for first in range(0, len(refs), EXAMINED_AT_ONCE):
            batch = refs[first : first + EXAMINED_AT_ONCE]
            if report.applied:
                await self._alone(
                    "gateway",
                    self.container.payments.reconciliation.locks,
                    partial(compare.examine, batch, {}, apply=True, done=done),
                )
            else:
                await compare.examine(batch, {}, apply=False, done=done)
        stuck = [(one, compare.examine.policy.action_for(one)) for one in await compare.stuck()]
        await self._add([*done.differences, *stuck], compare.unit_of_work, report)

    async def _orders(self, report: Report) -> None:
        reconciliation = self.container.reconciliation
        compare, policy = reconciliation.compare_orders, RepairPolicy(self.container.settings.repair_policy)
        paper = _OnPaper()
        compared: ComparedOrders = await replace(compare, record=paper).sweep(
            since=report.since, until=report.until
        )
        report.orders = compared.orders
        if report.applied and paper.seen:
            round = orders_round_of(self.container, self.repairer)

            async def record_and_repair() -> None:
                done = await compare.sweep(since=report.since, until=report.until)
                await round.repair(done.findings)

            await self._alone("orders", reconciliation.locks, record_and_repair)
        differences = {one.key: one for one in paper.seen}.values()
        await self._add(
            [(one, policy.action_for(one)) for one in differences], reconciliation.unit_of_work, report
        )

    async def _add(
        self,
        differences: Sequence[tuple[Difference, Action]],
        unit_of_work: UnitOfWorkFactory,
        report: Report,
    ) -> None:
        """With what is kept of each: a repair, or that somebody has decided about it."""
        ids = {difference.object_id for difference, _ in differences}
        async with unit_of_work() as uow:
            kept = {one.key: one for one in await uow.findings.newest_of(ids)} if ids else {}
        for difference, action in differences:
            finding = kept.get(difference.key)
            if finding is not None and finding.answers(difference):
                continue
            if report.applied and finding is not None:
                status, note, finding_id = finding.status, finding.note, finding.finding_id
            else:
                ignored = action is Action.IGNORE
                status = FindingStatus.IGNORED if ignored else FindingStatus.OPEN
                note, finding_id = difference.note, None
            report.disagreements.append(Disagreement(difference, action, status, note, finding_id))

    async def _alone(self, name: str, locks: Locks, work: Callable[[], Awaitable[None]]) -> None:
        """Do this while nobody else compares or repairs."""
        while True:
            async with locks.hold(name) as held:
                if held:
                    await work()
                    return
            await self.sleep(LOCK_PAUSE_SECONDS)
