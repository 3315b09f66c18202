"""What only the database can promise: a log in which nothing is committed before a place once passed."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.cloudevents import payment_events
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.postgres.unit_of_work import DatabaseUnavailable, make_engine
from domain.payments.payment import Occasion
from outbox import Outbox
from tests.contract.repositories.conftest import Payments, no_trace
from tests.contract.repositories.rows import a_payment, a_snapshot, ids, keep, pay
from tests.support.house import START

_KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE state = 'idle in transaction' AND datname = current_database()
"""


def unit_of_work(engine: AsyncEngine, woken: list[str] | None = None) -> PostgresPaymentsUnitOfWork:
    woken = [] if woken is None else woken
    encode = partial(payment_events.encode, traceparent=no_trace)
    return PostgresPaymentsUnitOfWork(engine, Outbox("payments"), encode, lambda: woken.append("relay"))


async def _read_on(engine: AsyncEngine, cursor: str | None, seen: list[str]) -> str | None:
    async with unit_of_work(engine) as uow:
        events = await uow.events.list(after=cursor, type=None, order_id=None, limit=100)
    seen.extend(event.envelope["subject"] for event in events)
    return events[-1].cursor if events else cursor


async def test_the_log_waits_for_a_transaction_that_commits_late(engine: AsyncEngine) -> None:
    payments = Payments(partial(unit_of_work, engine), engine)
    await keep(payments, *(a_payment(f"pay_{n}", f"ord_{n}") for n in range(3)))
    await pay(payments, "pay_0")
    seen: list[str] = []
    async with unit_of_work(engine) as late:
        payment = await late.payments.lock("pay_1")
        assert payment is not None
        payment.record_intent(a_snapshot("pay_1"), Occasion(START, ids.event_id))
        await late.payments.save(payment)
        await pay(payments, "pay_2")  # begins later and commits earlier
        cursor = await _read_on(engine, None, seen)
        assert seen == ["pay_0"]
        await late.commit()
    await _read_on(engine, cursor, seen)
    assert seen == ["pay_0", "pay_1", "pay_2"]


async def test_a_reader_beside_many_writers_misses_and_repeats_nothing(engine: AsyncEngine) -> None:
    payments = Payments(partial(unit_of_work, engine), engine)
    names = [f"pay_{n}" for n in range(24)]
    await keep(payments, *(a_payment(name, f"ord_{name}") for name in names))
    seen: list[str] = []

    async def write(some: Sequence[str]) -> None:
        for name in some:
            await pay(payments, name)

    writing = asyncio.gather(*(write(names[n::4]) for n in range(4)))
    cursor = None
    while not writing.done():
        cursor = await _read_on(engine, cursor, seen)
    await writing
    await _read_on(engine, cursor, seen)
    assert sorted(seen) == sorted(names)


async def test_a_commit_with_events_wakes_the_relay_and_others_do_not(engine: AsyncEngine) -> None:
    woken: list[str] = []
    payments = Payments(partial(unit_of_work, engine, woken), engine)
    await keep(payments, a_payment())
    assert woken == []
    async with unit_of_work(engine, woken) as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        payment.record_intent(a_snapshot(), Occasion(START, ids.event_id))
        await uow.payments.save(payment)
    assert woken == []
    await pay(payments)
    assert woken == ["relay"]


async def test_a_killed_connection_is_an_unavailable_database(engine: AsyncEngine) -> None:
    await keep(Payments(partial(unit_of_work, engine), engine), a_payment())

    async def be_killed() -> None:
        async with unit_of_work(engine) as uow:
            await uow.payments.lock("pay_1")
            async with engine.connect() as other:
                await other.execute(text(_KILL))
            await uow.payments.lock("pay_1")

    with pytest.raises(DatabaseUnavailable):
        await be_killed()
    async with unit_of_work(engine) as uow:
        assert await uow.payments.get("pay_1") is not None


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/nothing", pool_size=1, application="test")
    with pytest.raises(DatabaseUnavailable):
        async with unit_of_work(engine):
            pass
    await engine.dispose()
