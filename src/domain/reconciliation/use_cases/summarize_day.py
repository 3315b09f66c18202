"""Tell the operators once a day what was compared, found and repaired, and what is left."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from domain.reconciliation.finding import FindingStatus, FindingType
from domain.reconciliation.ports import UnitOfWorkFactory
from domain.reconciliation.summary import DaySummary, OperatorNotifier
from domain.reconciliation.use_cases.measure import ROUNDS, MeasureHandler, round_of
from domain.shared.system import Clock

_TOLD = "daily summary"

LedgerFaults = Callable[[], Awaitable[Sequence[str]]]
"""Why the ledger does not tie out, in sentences; none where it does."""


@dataclass(frozen=True, slots=True)
class SummarizeDayHandler:
    """Its place is in the first of `measure`'s databases."""

    measure: MeasureHandler
    operators: OperatorNotifier
    clock: Clock
    ledger_faults: LedgerFaults | None = None

    async def __call__(self) -> DaySummary | None:
        """Tell of the last whole day (UTC) unless that was done; one process at a time.

        At least once: who dies between the mail and the note of it sends it again, with the same id.
        A new installation begins with the day that it is.
        """
        today = self.clock.now().astimezone(UTC).date()
        unit_of_work = self.measure.databases[0]
        async with unit_of_work() as uow:
            told = await uow.cursors.get(_TOLD)
        totals = await self._totals()
        if told is None:
            await self._note(unit_of_work, today - timedelta(days=1), totals)
            return None
        yesterday = today - timedelta(days=1)
        if date.fromisoformat(told["day"]) >= yesterday:
            return None
        measured = await self.measure()
        before: Mapping[str, int] = told["totals"]
        summary = DaySummary(
            day=yesterday,
            looked_at={name: total - before.get(name, 0) for name, total in totals.items()},
            found=await self._found(yesterday),
            open=measured.open,
            drift_seconds=measured.drift_seconds,
            ledger_faults=await self.ledger_faults() if self.ledger_faults else None,
        )
        await self.operators.tell(summary)
        await self._note(unit_of_work, yesterday, totals)
        return summary

    async def _found(self, day: date) -> Mapping[tuple[FindingType, FindingStatus], int]:
        begin = datetime.combine(day, time(), UTC)
        found: Counter[tuple[FindingType, FindingStatus]] = Counter()
        for unit_of_work in self.measure.databases:
            async with unit_of_work() as uow:
                counts = await uow.findings.count_seen(since=begin, until=begin + timedelta(days=1))
            found.update(counts)
        return found

    async def _totals(self) -> dict[str, int]:
        """How much each comparison has looked at since it began."""
        totals: dict[str, int] = {}
        for unit_of_work in self.measure.databases:
            async with unit_of_work() as uow:
                for name in ROUNDS:
                    done = await uow.cursors.get(round_of(name))
                    if done is not None:
                        totals[name] = int(done.get("total", 0))
        return totals

    async def _note(self, unit_of_work: UnitOfWorkFactory, day: date, totals: Mapping[str, int]) -> None:
        async with unit_of_work() as uow:
            await uow.cursors.put(_TOLD, {"day": day.isoformat(), "totals": dict(totals)}, self.clock.now())
            await uow.commit()
