"""Findings are opened once, seen again, closed when they are gone, and settled by people."""

from functools import partial
from typing import Any

import pytest

from domain.reconciliation.finding import Action, Difference, Finding, FindingStatus, FindingType
from domain.reconciliation.policy import ALLOWED, DEFAULTS, PolicyWrong, RepairPolicy
from domain.reconciliation.ports import FindingFilter
from domain.reconciliation.use_cases.record_differences import RecordDifferencesHandler
from tests.support.house import START, CountedIds, ManualClock
from tests.support.memory import Database
from tests.support.memory_reconciliation import MemoryReconciliationUnitOfWork

AMOUNTS = [FindingType.AMOUNT_DIFFERS, FindingType.CURRENCY_DIFFERS]


class Desk:
    """Records differences of a comparison that looks at amounts and currencies."""

    def __init__(self, **chosen: Action) -> None:
        self.clock = ManualClock()
        self.unit_of_work = partial(MemoryReconciliationUnitOfWork, Database())
        policy = RepairPolicy({FindingType(name): action for name, action in chosen.items()})
        self.record = RecordDifferencesHandler(self.unit_of_work, policy, self.clock, CountedIds())

    async def see(self, *differences: Difference, examined: str = "pay_1") -> list[Finding]:
        self.clock.advance(seconds=10)
        return await self.record(differences, examined=[examined], types=AMOUNTS)

    async def all(self) -> list[Finding]:
        async with self.unit_of_work() as uow:
            return [*await uow.findings.list(FindingFilter(), after=None, limit=100)]


def a_difference(amount: int = 900, **changes: Any) -> Difference:
    fields: dict[str, Any] = {
        "type": FindingType.AMOUNT_DIFFERS,
        "object_id": "pay_1",
        "expected": {"amount": 1000},
        "found": {"amount": amount},
        **changes,
    }
    return Difference(**fields)


async def test_a_difference_is_one_finding_however_often_it_is_seen() -> None:
    desk = Desk()
    (first,) = await desk.see(a_difference())
    (again,) = await desk.see(a_difference())
    assert first.finding_id == again.finding_id
    assert (again.first_seen, again.last_seen) == (first.first_seen, desk.clock.now())
    assert len(await desk.all()) == 1


async def test_what_is_gone_is_resolved_and_may_come_back_as_another() -> None:
    desk = Desk()
    await desk.see(a_difference())
    assert await desk.see() == []
    (gone,) = await desk.all()
    assert (gone.status, gone.closed_at, gone.settled_by) == (FindingStatus.RESOLVED, desk.clock.now(), None)
    (back,) = await desk.see(a_difference())
    assert back.finding_id != gone.finding_id


async def test_only_what_was_looked_for_and_at_counts_as_gone() -> None:
    desk = Desk()
    await desk.see(a_difference())
    await desk.see(examined="pay_2")
    await desk.record([], examined=["pay_1"], types=[FindingType.STUCK_OPERATION])
    assert [one.status for one in await desk.all()] == [FindingStatus.OPEN]


async def test_what_a_person_settled_is_not_raised_again_unless_it_changes() -> None:
    desk = Desk()
    (finding,) = await desk.see(a_difference())
    async with desk.unit_of_work() as uow:
        finding.settle("ada", "agreed with the customer", START)
        await uow.findings.save(finding)
        await uow.commit()
    assert await desk.see(a_difference()) == []
    (other,) = await desk.see(a_difference(amount=800))
    assert other.finding_id != finding.finding_id


async def test_ignored_ones_are_kept_once_and_closed() -> None:
    desk = Desk(AMOUNT_DIFFERS=Action.IGNORE)
    assert await desk.see(a_difference()) == []
    assert await desk.see(a_difference()) == []
    (ignored,) = await desk.all()
    assert (ignored.status, ignored.action) == (FindingStatus.IGNORED, Action.IGNORE)


async def test_a_changed_difference_has_its_repairs_tried_anew() -> None:
    desk = Desk()
    (finding,) = await desk.see(a_difference())
    async with desk.unit_of_work() as uow:
        finding.note_try("it did not help", START)
        await uow.findings.save(finding)
        await uow.commit()
    assert [(one.tries, one.note) for one in await desk.see(a_difference())] == [(1, "it did not help")]
    assert [(one.tries, one.note) for one in await desk.see(a_difference(amount=5))] == [(0, None)]


def test_every_type_has_a_policy_and_says_what_it_means() -> None:
    for finding_type in FindingType:
        assert DEFAULTS[finding_type] in ALLOWED[finding_type]
        assert {Action.FLAG, Action.IGNORE} <= ALLOWED[finding_type]
        assert finding_type.meaning.endswith(".")


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(PolicyWrong, match="GATEWAY_DID_NOT_SUCCEED allows flag, ignore, not apply"):
        RepairPolicy({FindingType.GATEWAY_DID_NOT_SUCCEED: Action.APPLY})


def test_what_a_hand_has_made_is_never_repaired() -> None:
    by_hand = a_difference(type=FindingType.GATEWAY_SUCCEEDED, by_hand=True)
    assert RepairPolicy().action_for(by_hand) is Action.FLAG
    ignoring = RepairPolicy({FindingType.GATEWAY_SUCCEEDED: Action.IGNORE})
    assert ignoring.action_for(by_hand) is Action.IGNORE
