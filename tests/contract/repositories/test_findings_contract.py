"""What every store of findings does: run on the one in memory and on PostgreSQL."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from adapters.postgres.reconciliation import PostgresLocks, PostgresReconciliationUnitOfWork
from domain.reconciliation.finding import Action, Finding, FindingStatus, FindingType
from domain.reconciliation.ports import FindingFilter, Locks, ReconciliationUnitOfWork
from tests.support.house import START
from tests.support.memory import Database
from tests.support.memory_reconciliation import MemoryLocks, MemoryReconciliationUnitOfWork

ANY = FindingFilter()


@dataclass
class Store:
    unit_of_work: Callable[[], ReconciliationUnitOfWork]
    locks: Locks

    async def add(self, *findings: Finding) -> list[bool]:
        async with self.unit_of_work() as uow:
            added = [await uow.findings.add(finding) for finding in findings]
            await uow.commit()
        return added


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return Store(partial(MemoryReconciliationUnitOfWork, Database()), MemoryLocks())
    engine = request.getfixturevalue("engine")
    return Store(partial(PostgresReconciliationUnitOfWork, engine, "payments"), PostgresLocks(engine))


def a_finding(number: int = 1, **changes: Any) -> Finding:
    fields: dict[str, Any] = {
        "finding_id": f"fnd_{number:03}",
        "type": FindingType.AMOUNT_DIFFERS,
        "object_id": "pay_1",
        "gateway": "stripe",
        "payment_id": "pay_1",
        "order_id": "ord_1",
        "expected": {"amountCaptured": 1000, "status": "SUCCEEDED", "busy": False, "none": None},
        "found": {"amountCaptured": 900},
        "action": Action.FLAG,
        "first_seen": START,
        "last_seen": START + timedelta(seconds=1),
        "note": "the row was altered",
        **changes,
    }
    return Finding(**fields)


async def test_a_finding_is_kept_as_it_is(store: Store) -> None:
    finding = a_finding()
    assert await store.add(finding) == [True]
    async with store.unit_of_work() as uow:
        assert await uow.findings.lock("fnd_001") == finding
        assert await uow.findings.lock("fnd_002") is None
        finding.settle("ada", "we know", START + timedelta(hours=1))
        await uow.findings.save(finding)
        await uow.commit()
    async with store.unit_of_work() as uow:
        assert await uow.findings.list(ANY, after=None, limit=10) == [finding]


async def test_one_is_open_for_a_type_and_an_object(store: Store) -> None:
    assert await store.add(a_finding(1)) == [True]
    assert await store.add(a_finding(2)) == [False]
    assert await store.add(a_finding(3, type=FindingType.CURRENCY_DIFFERS)) == [True]
    assert await store.add(a_finding(4, object_id="pay_2", payment_id="pay_2")) == [True]
    async with store.unit_of_work() as uow:
        first = await uow.findings.lock("fnd_001")
        assert first is not None
        first.vanish(START)
        await uow.findings.save(first)
        await uow.commit()
    assert await store.add(a_finding(5)) == [True]
    async with store.unit_of_work() as uow:
        newest = await uow.findings.newest_of(["pay_1", "pay_7"])
    assert sorted(one.finding_id for one in newest) == ["fnd_003", "fnd_005"]


async def test_of_two_who_find_the_same_one_adds_it(store: Store) -> None:
    added = await asyncio.gather(*(store.add(a_finding(number)) for number in range(1, 5)))
    assert sorted(one for ones in added for one in ones) == [False, False, False, True]


async def test_what_is_not_committed_is_not_there(store: Store) -> None:
    async with store.unit_of_work() as uow:
        await uow.findings.add(a_finding())
        await uow.cursors.put("events", {"after": "evt_1"}, START)
    async with store.unit_of_work() as uow:
        assert await uow.findings.list(ANY, after=None, limit=10) == []
        assert await uow.cursors.get("events") is None


async def test_lists_are_filtered_and_paged(store: Store) -> None:
    closed = a_finding(3, type=FindingType.STUCK_OPERATION, order_id=None)
    closed.repair(Action.APPLY, "done", START)
    await store.add(a_finding(1), a_finding(2, object_id="ord_2", order_id="ord_2", payment_id=None), closed)

    async def ids(wanted: FindingFilter, after: str | None = None, limit: int = 10) -> list[str]:
        async with store.unit_of_work() as uow:
            return [one.finding_id for one in await uow.findings.list(wanted, after=after, limit=limit)]

    assert await ids(ANY) == ["fnd_003", "fnd_002", "fnd_001"]
    assert await ids(ANY, limit=2) == ["fnd_003", "fnd_002"]
    assert await ids(ANY, after="fnd_002") == ["fnd_001"]
    assert await ids(FindingFilter(status=FindingStatus.OPEN)) == ["fnd_002", "fnd_001"]
    assert await ids(FindingFilter(type=FindingType.STUCK_OPERATION)) == ["fnd_003"]
    assert await ids(FindingFilter(order_id="ord_2", status=FindingStatus.OPEN)) == ["fnd_002"]
    async with store.unit_of_work() as uow:
        of_order = await uow.findings.of_order("ord_2", ["pay_1"])
        assert [one.finding_id for one in of_order] == ["fnd_001", "fnd_002", "fnd_003"]


async def test_open_ones_are_counted_and_dated(store: Store) -> None:
    async with store.unit_of_work() as uow:
        assert await uow.findings.count_open() == {}
        assert await uow.findings.oldest_open() is None
    closed = a_finding(3, first_seen=START - timedelta(days=2))
    closed.vanish(START)
    younger = a_finding(2, object_id="pay_2", first_seen=START + timedelta(hours=1))
    await store.add(a_finding(1), younger, closed)
    async with store.unit_of_work() as uow:
        assert await uow.findings.count_open() == {FindingType.AMOUNT_DIFFERS: 2}
        assert await uow.findings.oldest_open() == START
        seen = await uow.findings.count_seen(since=START, until=START + timedelta(hours=1))
        assert seen == {(FindingType.AMOUNT_DIFFERS, FindingStatus.OPEN): 1}
        seen = await uow.findings.count_seen(since=START - timedelta(days=3), until=START)
        assert seen == {(FindingType.AMOUNT_DIFFERS, FindingStatus.RESOLVED): 1}


async def test_a_cursor_is_the_last_that_was_put(store: Store) -> None:
    values: list[dict[str, Any]] = [{"passed": [["evt_1", 5]], "begun": True}, {"passed": []}]
    for value in values:
        async with store.unit_of_work() as uow:
            await uow.cursors.put("events stripe", value, START)
            await uow.commit()
        async with store.unit_of_work() as uow:
            assert await uow.cursors.get("events stripe") == value
            assert await uow.cursors.get("events other") is None


async def test_a_lock_is_held_by_one_at_a_time(store: Store) -> None:
    async with (
        store.locks.hold("a") as first,
        store.locks.hold("a") as second,
        store.locks.hold("b") as other,
    ):
        assert (first, second, other) == (True, False, True)
    async with store.locks.hold("a") as again:
        assert again
