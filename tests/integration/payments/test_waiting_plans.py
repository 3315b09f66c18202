"""What waits is found by index, however many payments there are: those that do not wait stand in none of them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.cloudevents import payment_events
from adapters.postgres import engine as engines
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from domain.payments.gateway import CaptureMethod, IntentStatus
from domain.payments.payment import Payment
from outbox import Outbox
from tests.contract.repositories.conftest import Payments, no_trace
from tests.contract.repositories.rows import a_payment, keep
from tests.integration.outbox.conftest import async_url
from tests.support.driver import ProbedConnection, probe
from tests.support.house import START
from tests.support.plans import Explainer, wasteful
from tests.support.vault import VAULT

PAYMENTS = 30_000


def _nobody() -> None:
    """No relay runs that could be woken."""


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(
        async_url(database_url),
        connect_args={"connection_class": ProbedConnection},
        execution_options={engines.VAULT: VAULT},
    )
    yield engine
    await engine.dispose()


@pytest.fixture
async def payments(engine: AsyncEngine) -> Payments:
    """Many payments of the past, as many authorizations of today, and a few that are due."""
    encode = partial(payment_events.encode, traceparent=no_trace)
    made = Payments(partial(PostgresPaymentsUnitOfWork, engine, Outbox("payments"), encode, _nobody), engine)
    await keep(
        made,
        a_payment("past", "past", status=IntentStatus.SUCCEEDED, amount_captured=1000),
        held("fresh", days=7),
        held("lapsing", days=1),
    )
    async with engine.begin() as connection:
        for kind, count in (("past", PAYMENTS), ("fresh", PAYMENTS), ("lapsing", 20)):
            copy = f"jsonb_build_object('payment_id', '{kind}_' || n, 'order_id', '{kind}_' || n)"
            await connection.execute(
                text(
                    f"INSERT INTO payments.payment SELECT (jsonb_populate_record(t, {copy})).*"
                    f" FROM payments.payment AS t, generate_series(1, {count}) AS n WHERE payment_id = '{kind}'"
                )
            )
    return made


def held(payment_id: str, *, days: int) -> Payment:
    """An authorization that lapses in so many days."""
    lapse = START + timedelta(days=days)
    return a_payment(
        payment_id,
        payment_id,
        capture_method=CaptureMethod.MANUAL,
        status=IntentStatus.REQUIRES_CAPTURE,
        amount_capturable=1000,
        capture_before=lapse,
        check_at=lapse + timedelta(minutes=10),
        attention="DISPUTED" if payment_id == "lapsing" else None,
    )


async def test_a_round_of_checks_reads_what_is_due_and_no_more(
    payments: Payments, engine: AsyncEngine
) -> None:
    explainer = Explainer(("payments",))
    for analyzed in (False, True):
        if analyzed:
            async with engine.begin() as connection:
                await connection.execute(text("ANALYZE payments.payment"))
        token = probe.set(explainer)
        try:
            async with payments.unit_of_work() as uow:
                expiring = await uow.payments.take_expiring(before=START + timedelta(days=2), limit=50)
                due = await uow.payments.take_due(now=START + timedelta(days=2), limit=50)
                await uow.payments.put_off("fresh_1", START + timedelta(days=8))
                await uow.payments.begin_look_up("fresh_1", now=START, not_since=START)
                if analyzed:  # without statistics PostgreSQL takes an attention for nothing special
                    assert await uow.payments.count_attentions() == {"DISPUTED": 21}
        finally:
            probe.reset(token)
        assert (len(expiring), len(due)) == (21, 21)
    assert len({plan.statement for plan in explainer.plans}) == 5
    found = wasteful(explainer.plans)
    assert not found, "\n".join(found)
