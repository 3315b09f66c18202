"""The daily summary: once a day, with the same id however often it is sent, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial

import pytest

from domain.reconciliation.finding import Difference, FindingStatus, FindingType
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.summary import DaySummary
from domain.reconciliation.use_cases.measure import MeasureHandler, round_of
from domain.reconciliation.use_cases.record_differences import RecordDifferencesHandler
from domain.reconciliation.use_cases.summarize_day import SummarizeDayHandler
from tests.support.house import START, CountedIds, ManualClock
from tests.support.memory import Database
from tests.support.memory_reconciliation import MemoryReconciliationUnitOfWork

T = FindingType


@dataclass
class Operators:
    told: list[DaySummary] = field(default_factory=list)
    away: bool = False

    async def tell(self, summary: DaySummary) -> None:
        self.told.append(summary)
        if self.away:
            raise ConnectionError


class Desk:
    def __init__(self, faults: Sequence[str] | None = None) -> None:
        self.clock, self.operators = ManualClock(), Operators()
        self.uow = partial(MemoryReconciliationUnitOfWork, Database())
        self.record = RecordDifferencesHandler(self.uow, RepairPolicy(), self.clock, CountedIds())

        async def ledger_faults() -> Sequence[str]:
            return faults or []

        measure = MeasureHandler([self.uow], self.clock)
        self.summarize = SummarizeDayHandler(
            measure, self.operators, self.clock, None if faults is None else ledger_faults
        )

    async def find(self, *order_ids: str, gone: Sequence[str] = ()) -> None:
        some = [
            Difference(
                type=T.ORDER_ALTERED, object_id=one, order_id=one, expected={}, found={"status": "PAID"}
            )
            for one in order_ids
        ]
        await self.record(some, examined=[*order_ids, *gone], types=[T.ORDER_ALTERED])

    async def looked_at(self, total: int) -> None:
        async with self.uow() as uow:
            value = {"completedAt": self.clock.now().isoformat(), "total": total}
            await uow.cursors.put(round_of("orders"), value, self.clock.now())
            await uow.commit()


async def test_it_is_told_once_a_day_and_begins_with_the_day_of_the_installation() -> None:
    desk = Desk()
    await desk.looked_at(1_000)
    assert await desk.summarize() is None
    await desk.find("ord_1", "ord_2")
    await desk.find(gone=["ord_2"])
    await desk.looked_at(5_000)
    desk.clock.advance(hours=11)
    assert await desk.summarize() is None
    desk.clock.advance(hours=2)
    summary = await desk.summarize()
    assert summary is not None
    assert summary.day == START.date() == date(2026, 3, 1)
    assert summary.looked_at == {"orders": 4_000}
    assert summary.found == {
        (T.ORDER_ALTERED, FindingStatus.OPEN): 1,
        (T.ORDER_ALTERED, FindingStatus.RESOLVED): 1,
    }
    assert summary.open == {T.ORDER_ALTERED: 1}
    assert summary.drift_seconds == timedelta(hours=13).total_seconds()
    assert summary.message_id == "reconciliation-2026-03-01"
    assert await desk.summarize() is None
    assert desk.operators.told == [summary]
    desk.clock.advance(days=1)
    again = await desk.summarize()
    assert again is not None
    assert (again.day, again.found, again.looked_at) == (date(2026, 3, 2), {}, {"orders": 0})


async def test_one_that_could_not_be_sent_is_sent_again_with_the_same_id() -> None:
    desk = Desk()
    await desk.summarize()
    desk.clock.advance(days=1)
    desk.operators.away = True
    with pytest.raises(ConnectionError):
        await desk.summarize()
    desk.operators.away = False
    await desk.summarize()
    assert [one.message_id for one in desk.operators.told] == ["reconciliation-2026-03-01"] * 2


async def test_it_says_in_words_what_is_left() -> None:
    desk = Desk(faults=["clearing has 5 EUR, the gateway 4"])
    await desk.summarize()
    await desk.find("ord_1")
    desk.clock.advance(days=1)
    summary = await desk.summarize()
    assert summary is not None
    assert summary.subject == "Books of 2026-03-01: 1 finding(s) open, the ledger does not tie out"
    text = "\n".join(summary.lines())
    assert "1 × ORDER_ALTERED, open by now" in text
    assert "An order's status or amounts do not follow from its own history and payments." in text
    assert "The oldest has been open for 86400 s." in text
    assert "The ledger does not tie out:\n  clearing has 5 EUR, the gateway 4" in text


async def test_a_clean_day_says_so_in_the_subject() -> None:
    desk = Desk(faults=[])
    await desk.summarize()
    desk.clock.advance(days=1)
    summary = await desk.summarize()
    assert summary is not None
    assert summary.subject == "Books of 2026-03-01: they agree"
    assert "The ledger ties out." in list(summary.lines())
