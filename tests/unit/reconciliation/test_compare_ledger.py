"""The ledger against the gateway: what moves is no finding, what stands and differs is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from domain.reconciliation.finding import FindingStatus, FindingType
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.use_cases.compare_ledger import Balance, CompareLedgerHandler, Movement
from domain.reconciliation.use_cases.record_differences import RecordDifferencesHandler
from tests.support.house import START, CountedIds, ManualClock
from tests.support.memory import Database
from tests.support.memory_reconciliation import MemoryReconciliationUnitOfWork

T = FindingType


@dataclass
class Ledger:
    clearing: int = 100
    at_gateway: int = 100
    movements: list[Movement] = field(default_factory=list)

    async def balances(self) -> Sequence[Balance]:
        return [Balance(gateway="stripe", currency="EUR", clearing=self.clearing, at_gateway=self.at_gateway)]

    async def unexplained(self, limit: int) -> Sequence[Movement]:
        return self.movements[:limit]


class Desk:
    def __init__(self) -> None:
        self.clock, self.ledger, self.database = ManualClock(), Ledger(), Database()
        uow = partial(MemoryReconciliationUnitOfWork, self.database)
        record = RecordDifferencesHandler(uow, RepairPolicy(), self.clock, CountedIds())
        self.compare = CompareLedgerHandler(self.ledger, record, uow, self.clock, timedelta(seconds=30))

    async def round(self, seconds: float = 20) -> list[tuple[FindingType, str]]:
        found = await self.compare()
        self.clock.advance(seconds=seconds)
        return [one.key for one in found]


async def test_a_balance_that_moves_is_no_finding_and_one_that_stands_and_differs_is() -> None:
    desk = Desk()
    assert await desk.round() == []
    for amount in (150, 200, 250):
        desk.ledger.at_gateway = amount
        assert await desk.round() == []
    assert await desk.round() == []
    assert await desk.round() == [(T.LEDGER_DIFFERS, "stripe EUR")]
    [finding] = desk.database.rows["finding"].values()
    assert (finding.expected["balance"], finding.found["balance"]) == (250, 100)
    assert finding.action == "flag"
    desk.ledger.clearing = 200  # it moves: neither gone nor new
    assert await desk.round() == []
    assert len(desk.database.rows["finding"]) == 1
    desk.ledger.clearing = 250
    assert await desk.round() == []
    [finding] = desk.database.rows["finding"].values()
    assert finding.status is FindingStatus.RESOLVED


async def test_a_movement_that_nothing_explains_is_found_once_it_is_old_and_gone_once_explained() -> None:
    desk = Desk()
    desk.ledger.movements.append(
        Movement(
            gateway="stripe",
            transaction_id="txn_1",
            type="adjustment",
            amount=-500,
            currency="EUR",
            source_id=None,
            created_at=START,
        )
    )
    assert await desk.round(seconds=200) == []
    assert await desk.round() == [(T.UNEXPLAINED_BALANCE_TRANSACTION, "txn_1")]
    [finding] = desk.database.rows["finding"].values()
    assert finding.note == "a balance transaction of type adjustment"
    desk.ledger.movements.clear()
    assert await desk.round() == []
    [finding] = desk.database.rows["finding"].values()
    assert finding.status is FindingStatus.RESOLVED
