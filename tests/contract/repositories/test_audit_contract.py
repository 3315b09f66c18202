"""What every audit log does, of both services: run on the one in memory and on PostgreSQL."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.orders.ports import OrdersUnitOfWork
from domain.payments.errors import OperationInFlight
from domain.payments.ports import PaymentsUnitOfWork
from domain.shared.audit import GENESIS, AuditEntry, AuditFilter, canonical, chained
from domain.shared.callers import Caller
from tests.contract.repositories.conftest import Payments, orders_in, payments_in
from tests.contract.repositories.rows import a_payment
from tests.support.house import START

UnitOfWork = Callable[[], PaymentsUnitOfWork] | Callable[[], OrdersUnitOfWork]
ANY = AuditFilter()


@pytest.fixture(params=["payments-memory", "payments-postgres", "orders-memory", "orders-postgres"])
def unit_of_work(request: pytest.FixtureRequest) -> UnitOfWork:
    service, _, kind = request.param.partition("-")
    if service == "payments":
        return payments_in(kind, request).unit_of_work
    return orders_in(kind, request).unit_of_work


def an_entry(object_id: str = "ref_1", **changes: Any) -> AuditEntry:
    fields: dict[str, Any] = {
        "at": START,
        "action": "refund.approve",
        "subject": "ada",
        "actor": "console",
        "scopes": ("refunds:approve",),
        "request_id": "req_1",
        "object_type": "refund",
        "reason": 'broken glass, says "Größe ☃"',
        "before": {"status": "PENDING_APPROVAL", "attention": None},
        "after": {"status": "PENDING", "amount": 500, "final": True},
        **changes,
    }
    return AuditEntry(object_id=object_id, **fields)


async def append(unit_of_work: UnitOfWork, *entries: AuditEntry) -> None:
    async with unit_of_work() as uow:
        for entry in entries:
            await uow.audit.append(entry)
        await uow.commit()


async def test_an_entry_comes_back_as_it_was_and_its_hash_follows_from_the_one_before(
    unit_of_work: UnitOfWork,
) -> None:
    first, second, third = (
        an_entry(),
        an_entry("ref_2", actor=None, reason=None, scopes=()),
        an_entry("ref_3"),
    )
    await append(unit_of_work, first, second)
    await append(unit_of_work, third)

    async with unit_of_work() as uow:
        records = await uow.audit.after(0, limit=10)
        head = await uow.audit.head()
        assert await uow.audit.get(2) == records[1]
        assert await uow.audit.get(4) is None
        assert await uow.audit.after(1, limit=1) == records[1:2]
    assert [record.position for record in records] == [1, 2, 3]
    assert [record.entry for record in records] == [first, second, third]
    previous = GENESIS
    for record, entry in zip(records, (first, second, third), strict=True):
        assert record.text == canonical(entry)
        previous = chained(previous, record.text)
        assert record.hash == previous
    assert head == records[-1]


async def test_what_is_undone_leaves_no_entry_and_no_gap(unit_of_work: UnitOfWork) -> None:
    async with unit_of_work() as uow:
        assert await uow.audit.head() is None
        await uow.audit.append(an_entry())
    await append(unit_of_work, an_entry("ref_2"))
    async with unit_of_work() as uow:
        assert [
            (record.position, record.entry.object_id) for record in await uow.audit.after(0, limit=9)
        ] == [(1, "ref_2")]


async def test_those_who_append_at_once_make_one_chain(unit_of_work: UnitOfWork) -> None:
    await asyncio.gather(
        *(append(unit_of_work, *[an_entry(f"ref_{n}_{m}") for m in range(3)]) for n in range(8))
    )
    async with unit_of_work() as uow:
        records = await uow.audit.after(0, limit=100)
    assert [record.position for record in records] == list(range(1, 25))
    previous = GENESIS
    for record in records:
        previous = chained(previous, record.text)
        assert record.hash == previous
    together = [record.entry.object_id.rsplit("_", 1)[0] for record in records]
    assert all(len(set(together[n : n + 3])) == 1 for n in range(0, 24, 3)), (
        "of one transaction, side by side"
    )


async def test_entries_are_found_newest_first(unit_of_work: UnitOfWork) -> None:
    later = START + timedelta(hours=1)
    await append(
        unit_of_work,
        an_entry("ref_1"),
        an_entry("ref_2", subject="bob"),
        an_entry("ref_1", at=later),
        an_entry("ref_3", subject="bob", at=later),
    )

    async def found(wanted: AuditFilter, before: int | None = None, limit: int = 9) -> list[int]:
        async with unit_of_work() as uow:
            return [record.position for record in await uow.audit.find(wanted, before=before, limit=limit)]

    assert await found(ANY) == [4, 3, 2, 1]
    assert await found(ANY, before=4, limit=2) == [3, 2]
    assert await found(AuditFilter(object_id="ref_1")) == [3, 1]
    assert await found(AuditFilter(subject="bob")) == [4, 2]
    assert await found(AuditFilter(object_id="ref_1", subject="bob")) == []
    assert await found(AuditFilter(since=later)) == [4, 3]
    assert await found(AuditFilter(until=later)) == [2, 1]


async def test_an_entry_is_committed_with_what_it_tells_of(payments: Payments) -> None:
    async def begin(refund_id: str) -> None:
        async with payments.unit_of_work() as uow:
            await uow.audit.append(an_entry(refund_id))
            await uow.payments.add(a_payment())
            await uow.commit()

    await begin("ref_1")
    with pytest.raises(OperationInFlight):
        await begin("ref_2")
    async with payments.unit_of_work() as uow:
        assert [record.entry.object_id for record in await uow.audit.after(0, limit=9)] == ["ref_1"]


def test_an_entry_of_a_caller_names_the_person_the_service_and_the_request() -> None:
    caller = Caller("ada", frozenset({"users:any", "refunds:approve"}), actor="console", request_id="req_9")
    entry = AuditEntry.of(
        caller, "refund.approve", "refund", "ref_1", at=START, reason="ok", after={"status": "PENDING"}
    )
    assert (entry.subject, entry.actor, entry.request_id) == ("ada", "console", "req_9")
    assert entry.scopes == ("refunds:approve", "users:any")
    assert entry.before == {}
