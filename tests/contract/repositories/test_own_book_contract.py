"""What the payment side states of its gateway's objects: the same from memory and from PostgreSQL."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import text

from adapters.postgres.gateway_statements import PostgresOwnBook
from domain.payments.operation import OperationKind
from domain.reconciliation.gateway_ports import OwnBook
from domain.shared.gateway_objects import GatewayObject, ObjectKind, OwnObject, ToldTotals
from tests.contract.repositories.conftest import Payments
from tests.contract.repositories.rows import (
    a_dispute,
    a_payment,
    a_refund,
    a_webhook,
    an_operation,
    keep,
    pay,
)
from tests.support.house import START
from tests.support.memory_own_book import MemoryOwnBook

EVER = START - timedelta(days=3650), START + timedelta(days=3650)
INTENT, REFUND, DISPUTE = ObjectKind.INTENT, ObjectKind.REFUND, ObjectKind.DISPUTE


@dataclass
class Side:
    payments: Payments
    book: OwnBook

    async def page(
        self, kind: ObjectKind, after: OwnObject | None = None, limit: int = 10, gateway: str = "fake"
    ) -> list[OwnObject]:
        since, until = EVER
        return [
            *await self.book.page(kind, gateway, since=since, until=until, after=after, limit=limit),
        ]


@pytest.fixture
def side(payments: Payments) -> Side:
    if payments.engine is None:
        assert payments.database is not None
        return Side(payments, MemoryOwnBook(payments.database))
    return Side(payments, PostgresOwnBook(payments.engine))


async def test_a_payment_and_what_its_last_event_told(side: Side) -> None:
    await keep(side.payments, a_payment())
    assert await side.page(INTENT) == []  # it has no intent yet
    await pay(side.payments)
    (paid,) = await side.page(INTENT)
    assert paid == OwnObject(
        stated=GatewayObject(
            kind=INTENT,
            gateway="fake",
            object_id="pi_pay_1",
            intent_id="pi_pay_1",
            own_id="pay_1",
            status="SUCCEEDED",
            amount=1000,
            currency="EUR",
            moved=1000,
            attempt=None,
        ),
        payment_id="pay_1",
        order_id="ord_1",
        created_at=START,
        changed_at=START + timedelta(minutes=1),
        is_explained=False,
        sequence=1,
        amount_refunded=0,
        told=ToldTotals(sequence=1, amount_captured=1000, amount_refunded=0),
    )
    assert await side.book.of_objects(INTENT, "fake", ["pi_pay_1", "pi_none"]) == {"pi_pay_1": paid}
    assert await side.book.of_objects(INTENT, "other", ["pi_pay_1"]) == {}


async def test_nothing_told_and_a_call_in_flight(side: Side) -> None:
    await keep(side.payments, a_payment(intent_id="pi_pay_1", in_flight="op_1"))
    (waiting,) = await side.page(INTENT)
    assert (waiting.told, waiting.sequence, waiting.is_explained) == (None, 0, True)


async def test_pages_are_newest_first_within_a_range(side: Side) -> None:
    payments = [
        a_payment(
            f"pay_{number}",
            f"ord_{number}",
            intent_id=f"pi_{9 - number}",
            created_at=START + timedelta(seconds=number // 2),
        )
        for number in range(5)
    ]
    await keep(side.payments, *payments)
    first = await side.page(INTENT, limit=2)
    rest = await side.page(INTENT, after=first[-1])
    assert [one.payment_id for one in (*first, *rest)] == ["pay_4", "pay_3", "pay_2", "pay_1", "pay_0"]
    since, until = START + timedelta(seconds=1), START + timedelta(seconds=2)
    within = await side.book.page(INTENT, "fake", since=since, until=until, after=None, limit=10)
    assert [one.payment_id for one in within] == ["pay_3", "pay_2"]
    assert await side.book.count(since=since, until=until) == 2
    assert await side.page(INTENT, gateway="other") == []


async def test_refunds_and_disputes_belong_to_their_payments(side: Side) -> None:
    await keep(side.payments, a_payment(), a_payment("pay_2", "ord_2", gateway="other"))
    await pay(side.payments)
    async with side.payments.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        payment.amount_refunding = 900
        await uow.payments.save(payment)
        await uow.refunds.add(a_refund(gateway_refund_id="re_1"))
        await uow.refunds.add(a_refund("ref_2", gateway_refund_id="re_2", created_at=START + timedelta(1)))
        await uow.refunds.add(a_refund("ref_3"))
        await uow.operations.add(an_operation("op_2", refund_id="ref_2", kind=OperationKind.REFUND))
        await uow.disputes.put(a_dispute())
        await uow.commit()
    second, first = await side.page(REFUND)
    assert (first.stated.object_id, first.stated.own_id, first.stated.intent_id) == (
        "re_1",
        "ref_1",
        "pi_pay_1",
    )
    assert (first.stated.status, first.stated.amount, first.stated.moved) == ("PENDING", 300, 0)
    assert (first.payment_id, first.order_id, first.is_explained) == ("pay_1", "ord_1", False)
    assert (second.stated.object_id, second.is_explained) == ("re_2", True)
    assert await side.page(REFUND, after=second) == [first]
    (dispute,) = await side.page(DISPUTE)
    assert (dispute.stated.object_id, dispute.stated.own_id, dispute.stated.status) == (
        "du_1",
        None,
        "needs_response",
    )
    assert (dispute.stated.moved, dispute.payment_id, dispute.told) == (1000, "pay_1", None)
    assert await side.page(DISPUTE, after=dispute) == []
    assert await side.book.of_objects(DISPUTE, "fake", ["du_1"]) == {"du_1": dispute}
    assert await side.book.unsent(REFUND, ["ref_1", "ref_3", "ref_9"]) == {"ref_3"}
    assert await side.book.unsent(DISPUTE, ["du_1"]) == set()


async def test_payments_whose_making_is_open(side: Side) -> None:
    await keep(
        side.payments,
        a_payment(in_flight="op_1"),
        a_payment("pay_2", "ord_2", intent_id="pi_2", in_flight="op_2"),
        a_payment("pay_3", "ord_3"),
    )
    assert await side.book.unsent(INTENT, ["pay_1", "pay_2", "pay_3", "pay_4"]) == {"pay_1"}


async def test_which_events_never_came(side: Side) -> None:
    async with side.payments.unit_of_work() as uow:
        await uow.webhooks.insert(a_webhook("evt_1"))
        await uow.webhooks.insert(a_webhook("evt_2", gateway="other"))
        await uow.commit()
    assert await side.book.unheard("fake", ["evt_1", "evt_2", "evt_3"]) == {"evt_2", "evt_3"}
    assert await side.book.unheard("fake", []) == set()


async def test_calls_that_stay_open(side: Side) -> None:
    await keep(side.payments, a_payment())
    async with side.payments.unit_of_work() as uow:
        stuck = an_operation()
        await uow.operations.add(stuck)
        stuck.unknown("no answer", START)
        await uow.operations.save(stuck)
        await uow.commit()
    assert await side.book.stuck_calls(before=START, limit=10) == []
    (found,) = await side.book.stuck_calls(before=START + timedelta(seconds=1), limit=10)
    assert (found.operation_id, found.kind, found.gateway, found.payment_id, found.order_id) == (
        "op_1",
        "CONFIRM",
        "fake",
        "pay_1",
        "ord_1",
    )
    assert found.since == START


async def test_pages_are_found_by_index(side: Side) -> None:
    if side.payments.engine is None:
        pytest.skip("of PostgreSQL")
    async with side.payments.engine.connect() as connection:
        for other in ("seqscan", "bitmapscan", "sort"):
            await connection.execute(text(f"SET enable_{other} = off"))
        for table, time, key in (
            ("payment", "created_at", "payment_id"),
            ("refund", "created_at", "refund_id"),
            ("dispute", "opened_at", "gateway_dispute_id"),
        ):
            plan = await connection.scalars(
                text(
                    f"EXPLAIN SELECT * FROM payments.{table} WHERE {time} < now() AND ({time}, {key}) < (now(), 'x')"
                    f" ORDER BY {time} DESC, {key} DESC LIMIT 10"
                )
            )
            told = "\n".join(plan)
            assert "Index Scan Backward" in told
            assert "Sort" not in told
