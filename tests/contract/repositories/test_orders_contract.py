"""What every orders unit of work does: run on the one in memory and on PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.orders.attempt import Attempt, AttemptKind, AttemptStatus
from domain.orders.cancellation import Cancellation
from domain.orders.cart import Address, Customer, OrderLine
from domain.orders.effects import Effect, EffectType
from domain.orders.history import Entry, EntryKind, Recorded
from domain.orders.order import Order
from domain.orders.order_payment import OrderPayment
from domain.orders.ports import OrderKept
from domain.orders.status import OrderStatus
from domain.shared.payment_events import CardMethod, LastError, NextAction, NextActionType
from tests.contract.repositories.conftest import Orders
from tests.support.house import START

LATER = START + timedelta(minutes=1)
CONFIRMED = Entry(kind=EntryKind.REQUEST, name="confirm", cause="r_1", subject="u_1")


def an_order(order_id: str = "ord_1", **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "user_id": "u_1",
        "currency": "EUR",
        "lines": (OrderLine(sku="OAK", name="Oak board", quantity=2, unit_amount=500),),
        "created_at": START,
        "updated_at": START,
        **changes,
    }
    return Order(order_id=order_id, **fields)


def an_attempt(attempt_id: str = "att_1", order_id: str = "ord_1", **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "kind": AttemptKind.CREATE,
        "return_url": None,
        "capture_method": "AUTOMATIC",
        "created_at": START,
        "next_check_at": START,
        **changes,
    }
    return Attempt(attempt_id=attempt_id, order_id=order_id, **fields)


async def keep(orders: Orders, *new: Order) -> None:
    async with orders.unit_of_work() as uow:
        for order in new:
            await uow.orders.add(order)
        await uow.commit()


async def load(orders: Orders, order_id: str = "ord_1") -> Order | None:
    async with orders.unit_of_work() as uow:
        return await uow.orders.get(order_id)


async def test_an_order_comes_back_as_it_was_kept(orders: Orders) -> None:
    order = an_order(
        confirmed_at=START,
        lines=(
            OrderLine(
                sku="OAK",
                name="Oak board",
                quantity=2,
                unit_amount=500,
                discount_amount=10,
                tax_amount=20,
                commodity_code="301036",
                unit_of_measure="each",
            ),
            OrderLine(sku="ASH", name="Ash board", quantity=1, unit_amount=1),
        ),
        customer=Customer(name="Jenny", email="j@example.com", billing_address=Address(city="Oakland")),
        shipping_amount=400,
        metadata={"channel": "web"},
        status=OrderStatus.PAID,
        attentions=("DISPUTED", "REFUND_FAILED"),
        payments=[
            OrderPayment(
                payment_id="pay_1",
                gateway_payment_intent_id="pi_1",
                status="SUCCEEDED",
                amount_captured=1411,
                amount_refunded=11,
                method=CardMethod("visa", "4242"),
                paid_at=LATER,
                last_error=LastError("card_declined", None, "Declined."),
                next_action=NextAction(NextActionType.REDIRECT, "https://bank.test"),
            )
        ],
        accepted_at=LATER,
        fulfilled_at=LATER,
        cancellation=Cancellation(requested_at=LATER, reason="by mistake", requested_by="u_1"),
    )
    await keep(orders, order)
    assert await load(orders) == order
    assert await load(orders, "ord_2") is None


async def test_a_changed_order_is_one_version_on(orders: Orders) -> None:
    await keep(orders, an_order())
    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        order.confirm(LATER)
        order.note(CONFIRMED)
        order.link_payment("pay_1", "pi_1", "SUCCEEDED", LATER)
        order.attentions, order.accepted_at, order.fulfilled_at = ("DISPUTED", "DISPUTE_LOST"), LATER, LATER
        order.cancellation = Cancellation(requested_at=LATER, reason=None, requested_by=None)
        await uow.orders.save([order])
        await uow.commit()
    saved = await load(orders)
    assert saved == order
    assert saved is not None
    assert saved.version == 2


async def test_a_changed_draft_is_written_whole(orders: Orders) -> None:
    await keep(orders, an_order(customer=Customer(name="Jenny")))
    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        order.currency, order.customer = "USD", None
        order.lines = (OrderLine(sku="ASH", name="Ash board", quantity=3, unit_amount=7),)
        order.shipping_amount, order.metadata, order.updated_at = 5, {"a": "b"}, LATER
        await uow.orders.save_draft(order)
        await uow.commit()
    saved = await load(orders)
    assert saved == order
    assert saved is not None
    assert (saved.version, saved.total_amount) == (2, 26)


async def test_what_is_not_committed_never_was(orders: Orders) -> None:
    await keep(orders, an_order())

    async def fail() -> None:
        async with orders.unit_of_work() as uow:
            order = (await uow.orders.lock(["ord_1"]))["ord_1"]
            order.confirm(LATER)
            order.note(CONFIRMED)
            order._effects.append(Effect(EffectType.NOTIFY_CUSTOMER, "ord_1", "PaymentFailed"))
            await uow.orders.save([order])
            await uow.attempts.put(an_attempt())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await load(orders) == an_order()
    assert await orders.committed_effects() == []
    assert await history(orders) == []
    async with orders.unit_of_work() as uow:
        assert await uow.attempts.get("att_1") is None


async def history(orders: Orders, order_id: str = "ord_1", **wanted: Any) -> Sequence[Recorded]:
    async with orders.unit_of_work() as uow:
        return await uow.history.of(order_id, **{"limit": 10, **wanted})


async def test_an_order_and_what_it_notes_are_committed_together(orders: Orders) -> None:
    new = an_order()
    made = replace(CONFIRMED, name="create", details={"amount": 1000, "reason": None})
    new.note(made)
    await keep(orders, new, an_order("ord_2"))
    async with orders.unit_of_work() as uow:
        found = await uow.orders.lock(["ord_1", "ord_2"])
        for order in found.values():
            order.confirm(LATER)
            order.note(replace(CONFIRMED))
        found["ord_1"].raise_attention("DISPUTED")
        found["ord_1"].note(Entry(kind=EntryKind.EVENT, name="PaymentFailed", sequence=1))
        await uow.orders.save(list(found.values()))
        assert [row.entry for row in await history(orders)] == [made]
        await uow.commit()
    one, two, three = await history(orders)
    confirmed = replace(CONFIRMED, before="DRAFT", after="PENDING_PAYMENT", rule="checkout is complete")
    assert [one.entry, two.entry] == [made, confirmed]
    assert (three.entry.before, three.entry.sequence) == ("PENDING_PAYMENT", 1)
    assert (three.entry.attention, three.entry.attentions) == ("DISPUTED", ("DISPUTED",))
    assert one.position < two.position < three.position
    assert one.at <= two.at <= three.at
    assert [row.entry for row in await history(orders, "ord_2")] == [confirmed]
    assert await history(orders, after=one.position, limit=1) == [two]
    assert await history(orders, after=three.position) == []
    async with orders.unit_of_work() as uow:
        behind = {"ord_1": one.position, "ord_2": 0, "ord_3": 0}
        rows = await uow.history.behind(behind, limit=5)
        assert [row for row in rows if row.order_id == "ord_1"] == [two, three]
        assert [row.entry for row in rows if row.order_id == "ord_2"] == [confirmed]
        assert [row.position for row in await uow.history.behind({"ord_1": 0}, limit=2)] == [
            one.position,
            two.position,
        ]


async def test_a_change_of_status_that_nobody_noted_is_not_saved(orders: Orders) -> None:
    await keep(orders, an_order())
    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        order.confirm(LATER)
        with pytest.raises(AssertionError):
            await uow.orders.save([order])


async def test_what_changes_nothing_of_the_order_is_noted_behind_its_lock(orders: Orders) -> None:
    await keep(orders, an_order())
    sent = Entry(kind=EntryKind.EFFECT, name="NotifyCustomer", cause="e_1")

    async def append() -> None:
        async with orders.unit_of_work() as uow:
            await uow.history.append("ord_1", sent)
            await uow.history.append("ord_2", sent)  # which does not exist
            await uow.commit()

    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        waiting = asyncio.create_task(append())
        order.confirm(LATER)
        order.note(replace(CONFIRMED))
        await uow.orders.save([order])
        await uow.commit()
    await waiting
    assert [row.entry.name for row in await history(orders)] == ["confirm", "NotifyCustomer"]
    assert await history(orders, "ord_2") == []


async def test_an_order_and_its_effects_are_committed_together(orders: Orders) -> None:
    await keep(orders, an_order("ord_1"), an_order("ord_2"))
    async with orders.unit_of_work() as uow:
        found = await uow.orders.lock(["ord_2", "ord_1"])
        for order in found.values():
            order._effects.append(Effect(EffectType.NOTIFY_WAREHOUSE, order.order_id, "PaymentSucceeded"))
        await uow.orders.save(list(found.values()))
        assert await orders.committed_effects() == []
        await uow.commit()
    assert sorted(await orders.committed_effects()) == [
        ("NotifyWarehouse", "ord_1"),
        ("NotifyWarehouse", "ord_2"),
    ]


async def test_only_existing_orders_are_locked(orders: Orders) -> None:
    await keep(orders, an_order("ord_1"), an_order("ord_2"))
    async with orders.unit_of_work() as uow:
        assert set(await uow.orders.lock(["ord_2", "ord_3", "ord_1", "ord_1"])) == {"ord_1", "ord_2"}
        assert await uow.orders.lock([]) == {}
        await uow.orders.save([])


async def test_orders_locked_in_any_order_never_deadlock(orders: Orders) -> None:
    names = [f"ord_{n}" for n in range(4)]
    await keep(orders, *map(an_order, names))

    async def change(wanted: list[str]) -> None:
        async with orders.unit_of_work() as uow:
            found = await uow.orders.lock(wanted)
            await uow.orders.save(list(found.values()))
            await uow.commit()

    await asyncio.gather(*(change(names if n % 2 else names[::-1]) for n in range(8)))
    saved = await load(orders, "ord_0")
    assert saved is not None
    assert saved.version == 9


async def test_orders_are_listed_newest_first_in_pages(orders: Orders) -> None:
    await keep(orders, *(an_order(f"ord_{n}", user_id=f"u_{n % 2}") for n in range(5)))
    await keep(orders, an_order("ord_5", user_id=None, status=OrderStatus.PAID))

    async def listed(**wanted: Any) -> list[str]:
        fields: dict[str, Any] = {
            "status": None,
            "user_id": None,
            "order_id": None,
            "after": None,
            "limit": 10,
            **wanted,
        }
        async with orders.unit_of_work() as uow:
            return [order.order_id for order in await uow.orders.list(**fields)]

    assert await listed(limit=2) == ["ord_5", "ord_4"]
    assert await listed(limit=2, after="ord_4") == ["ord_3", "ord_2"]
    assert await listed(user_id="u_1") == ["ord_3", "ord_1"]
    assert await listed(status="PAID") == ["ord_5"]
    assert await listed(order_id="ord_2") == ["ord_2"]
    assert await listed(order_id="ord_2", status="PAID") == []
    assert await listed(with_attention=True) == []
    await keep(
        orders, an_order("ord_6", attentions=("DISPUTED",)), an_order("ord_7", attentions=("DISPUTED",))
    )
    assert await listed(with_attention=True) == ["ord_7", "ord_6"]
    assert await listed(with_attention=True, after="ord_7") == ["ord_6"]


async def test_an_attempt_is_put_changed_and_found_open(orders: Orders) -> None:
    await keep(orders, an_order(), an_order("ord_2"))
    attempt = an_attempt(
        payment_id="pay_1",
        payment_method_token="pm_1",
        return_url="https://shop.test",
        setup_future_usage="ON_SESSION",
        off_session=True,
    )
    async with orders.unit_of_work() as uow:
        await uow.attempts.put(attempt)
        await uow.commit()
    async with orders.unit_of_work() as uow:
        assert await uow.attempts.get("att_1") == attempt
        assert await uow.attempts.open_of("ord_1") == attempt
        assert await uow.attempts.open_of("ord_2") is None
        attempt.finish(AttemptStatus.REFUSED, "payment_in_progress")
        await uow.attempts.put(attempt)
        await uow.commit()
    async with orders.unit_of_work() as uow:
        saved = await uow.attempts.get("att_1")
        assert saved == attempt
        assert saved.payment_method_token is None
        assert await uow.attempts.open_of("ord_1") is None


async def test_an_order_is_made_once(orders: Orders) -> None:
    await keep(orders, an_order())
    with pytest.raises(OrderKept):
        await keep(orders, an_order("ord_2"), an_order())
    async with orders.unit_of_work() as uow:
        assert await uow.orders.get("ord_1") == an_order()
        assert await uow.orders.get("ord_2") is None


async def test_what_an_order_has_begun_is_seen_in_one_look(orders: Orders) -> None:
    await keep(orders, an_order(), an_order("ord_2"))
    async with orders.unit_of_work() as uow:
        await uow.attempts.put(an_attempt("att_1", status=AttemptStatus.REFUSED))
        await uow.attempts.put(an_attempt("att_2"))
        await uow.commit()
    refused, started = an_attempt("att_1", status=AttemptStatus.REFUSED), an_attempt("att_2")
    async with orders.unit_of_work() as uow:
        assert await uow.attempts.begun("att_1", "ord_1") == (refused, started)
        assert await uow.attempts.begun("att_2", "ord_1") == (started, started)
        assert await uow.attempts.begun("att_3", "ord_2") == (None, None)


async def test_an_attempt_is_locked_with_its_order(orders: Orders) -> None:
    await keep(orders, an_order())
    async with orders.unit_of_work() as uow:
        await uow.attempts.put(an_attempt())
        await uow.commit()
    seen: list[str] = []

    async def second() -> None:
        async with orders.unit_of_work() as uow:
            found = await uow.attempts.lock("att_1")
            assert found is not None
            seen.append(f"second: version {found[0].version}, {found[1].status}")

    async with orders.unit_of_work() as uow:
        assert await uow.attempts.lock("att_2") is None
        found = await uow.attempts.lock("att_1")
        assert found == (an_order(), an_attempt())
        waiting = asyncio.create_task(second())
        order, attempt = found
        attempt.finish(AttemptStatus.DONE)
        await uow.orders.save([order])
        await uow.attempts.put(attempt)
        seen.append("first")
        await uow.commit()
    await waiting
    assert seen == ["first", f"second: version {order.version}, DONE"]


async def test_attempts_that_an_order_asks_for_are_saved_with_it(orders: Orders) -> None:
    order = an_order(status=OrderStatus.PAID)
    taken: dict[str, Any] = {"status": "SUCCEEDED", "amount_captured": 500}
    order.payments = [
        OrderPayment(payment_id=f"pay_{n}", gateway_payment_intent_id=f"pi_{n}", **taken) for n in range(2)
    ]
    await keep(orders, order)
    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        cancellation = Cancellation(requested_at=LATER, reason="by mistake", requested_by="u_1")
        order.call_off(cancellation, key="off", check_at=LATER, busy=False)
        asked = order.attempts_asked_for
        await uow.orders.save([order])
        await uow.attempts.put(an_attempt())  # money given back is no attempt at paying
        await uow.commit()
    async with orders.unit_of_work() as uow:
        assert [await uow.attempts.get(attempt.attempt_id) for attempt in asked] == asked
        assert {(one.kind, one.payment_id, one.requested_by, one.reason) for one in asked} == {
            (AttemptKind.REFUND, "pay_0", "u_1", "by mistake"),
            (AttemptKind.REFUND, "pay_1", "u_1", "by mistake"),
        }
        assert await uow.attempts.open_of("ord_1") == an_attempt()


async def test_abandoned_checkouts_are_taken_by_one(orders: Orders) -> None:
    unpaid = [
        OrderStatus.PENDING_PAYMENT,
        OrderStatus.PAYMENT_FAILED,
        OrderStatus.AWAITING_USER_PAYMENT_ACTION,
    ]
    await keep(orders, *(an_order(f"ord_{n}", status=status) for n, status in enumerate(unpaid)))
    await keep(orders, an_order("ord_draft"), an_order("ord_paid", status=OrderStatus.PAID))
    await keep(orders, an_order("ord_busy", status=OrderStatus.PENDING_PAYMENT))
    await keep(orders, an_order("ord_new", status=OrderStatus.PENDING_PAYMENT, updated_at=LATER))
    async with orders.unit_of_work() as uow:
        await uow.attempts.put(an_attempt(order_id="ord_busy"))
        await uow.commit()
    async with orders.unit_of_work() as first, orders.unit_of_work() as second:
        one = await first.orders.take_abandoned(before=START, limit=2)
        two = await second.orders.take_abandoned(before=START, limit=2)
        assert (len(one), len(two)) == (2, 1)
        assert {order.order_id for order in (*one, *two)} == {"ord_0", "ord_1", "ord_2"}


async def test_due_attempts_are_taken_once(orders: Orders) -> None:
    await keep(orders, *(an_order(f"ord_{n}") for n in range(6)))
    async with orders.unit_of_work() as uow:
        for n in range(4):
            await uow.attempts.put(an_attempt(f"att_{n}", f"ord_{n}"))
        await uow.attempts.put(an_attempt("att_done", "ord_4", status=AttemptStatus.DONE))
        await uow.attempts.put(an_attempt("att_later", "ord_5", next_check_at=LATER))
        await uow.commit()
    async with orders.unit_of_work() as first, orders.unit_of_work() as second:
        one = await first.attempts.take_due(now=START, until=LATER, limit=3)
        two = await second.attempts.take_due(now=START, until=LATER, limit=3)
        await first.commit()
        await second.commit()
    assert (len(one), len(two)) == (3, 1)
    assert {attempt.attempt_id for attempt in (*one, *two)} == {f"att_{n}" for n in range(4)}
    async with orders.unit_of_work() as uow:
        assert await uow.attempts.take_due(now=START, until=LATER, limit=3) == []
