"""Orders against their payments: what is found, what is not, and that a second round finds nothing new."""

from collections.abc import Awaitable, Iterator
from dataclasses import replace

import pytest

from domain.orders.attempt import Attempt, AttemptKind
from domain.orders.status import OrderStatus
from domain.payments.gateway import CaptureMethod, IntentStatus
from domain.reconciliation.finding import FindingStatus, FindingType
from domain.reconciliation.use_cases import compare_orders
from domain.reconciliation.use_cases.repair_orders import (
    MOST_TRIES,
    is_to_be_repaired,
)
from domain.shared.statements import HeldEvent
from tests.support.house import SERVICE
from tests.unit.reconciliation.books import Books, later

T = FindingType
ORDER_ID = "ord_0000000000000000000000000z"


@pytest.fixture
def books() -> Books:
    return Books()


async def test_books_that_agree_have_no_findings(books: Books) -> None:
    order = await books.a_paid_order()
    refund = await books.house.refund(books.house.payment(order.payments[0].payment_id), 300)
    assert refund.amount == 300
    await books.house.deliver()
    later(books)
    assert await books.round() == []
    swept = await books.compare.sweep(since=None, until=None)
    assert (swept.orders, swept.payments, swept.findings) == (1, 1, [])


async def test_an_event_on_its_way_is_no_finding_until_the_grace_is_over(books: Books) -> None:
    order = await books.house.order()
    await books.house.confirm(order.order_id)
    assert await books.round() == []
    later(books)
    payment_id = books.house.log()[0].payment_id
    assert await books.round() == [(T.EVENT_NOT_APPLIED, payment_id)]
    [finding] = books.findings(FindingStatus.OPEN)
    assert finding.note == "the order side has not received the event"
    assert (finding.expected, finding.found) == ({"sequence": 1}, {"sequence": 0})
    await books.house.deliver()
    assert await books.round() == []
    assert [one.status for one in books.findings(FindingStatus.RESOLVED)] == [FindingStatus.RESOLVED]


async def test_a_parked_event_is_told_with_its_cause(books: Books) -> None:
    order = await books.house.order()
    await books.house.confirm(order.order_id)
    event = books.house.log()[0]
    books.orders.held.append(
        HeldEvent(
            event_id=str(event.event_id),
            payment_id=event.payment_id,
            attempts=10,
            is_parked=True,
            cause="KeyError: 'lines'",
        )
    )
    later(books)
    await books.round()
    [finding] = books.findings(FindingStatus.OPEN)
    assert finding.note == f"event {event.event_id} is parked after 10 attempts: KeyError: 'lines'"
    assert not is_to_be_repaired(finding)


async def test_a_repair_hands_the_events_over_again_and_says_so(books: Books) -> None:
    order = await books.house.order()
    await books.house.confirm(order.order_id)
    later(books)
    found = (await books.compare()).findings

    async def redeliver(payment_id: str) -> int:
        await books.house.deliver()
        return len(books.house.log(payment_id))

    repair = books.repair(redeliver)
    assert await repair(found) == found
    [repaired] = books.findings(FindingStatus.REPAIRED)
    assert repaired.note == "1 event(s) were handed to the order side again"
    assert [record.entry.action for record in books.database.audit] == ["finding.repair"]
    assert await books.round() == []
    assert await repair(found) == []  # closed by now


async def test_a_repair_that_does_not_help_is_given_up(books: Books) -> None:
    order = await books.house.order()
    await books.house.confirm(order.order_id)
    later(books)
    asked: list[str] = []

    async def redeliver(payment_id: str) -> int:
        asked.append(payment_id)
        return 1

    repair = books.repair(redeliver)
    for _ in range(MOST_TRIES + 3):
        assert await repair((await books.compare()).findings) == []
    assert len(asked) == MOST_TRIES
    [finding] = books.findings(FindingStatus.OPEN)
    assert finding.note == "1 event(s) were handed over again, and the order is at 0"


async def test_a_status_that_a_hand_has_changed_is_found(books: Books) -> None:
    order = await books.a_paid_order()
    books.house.saved_order(order.order_id).status = OrderStatus.CANCELED
    assert await books.round() == [(T.ORDER_ALTERED, order.order_id)]
    [finding] = books.findings(FindingStatus.OPEN)
    assert (finding.expected, finding.found) == ({"status": "PAID"}, {"status": "CANCELED"})
    assert finding.action == "flag"
    assert await books.round() == [(T.ORDER_ALTERED, order.order_id)]
    assert len(books.database.rows["finding"]) == 1
    books.house.saved_order(order.order_id).status = OrderStatus.PAID
    assert await books.round() == []


async def test_an_amount_that_a_hand_has_changed_is_found(books: Books) -> None:
    order = await books.a_paid_order()
    books.orders.altered[order.order_id] = {"amount_paid": 1}
    assert await books.round() == [(T.ORDER_ALTERED, order.order_id)]
    [finding] = books.findings(FindingStatus.OPEN)
    assert (finding.expected, finding.found) == ({"amountPaid": 1000}, {"amountPaid": 1})


async def test_amounts_of_the_two_sides_that_differ_are_found(books: Books) -> None:
    order = await books.a_paid_order()
    books.house.payment(order.payments[0].payment_id).amount_captured = 900
    assert await books.round() == [(T.AMOUNT_DIFFERS, order.order_id)]
    [finding] = books.findings(FindingStatus.OPEN)
    assert finding.expected["amountCaptured"] == 900
    assert finding.found["amountCaptured"] == 1000
    assert finding.payment_id == order.payments[0].payment_id


async def test_currencies_of_the_two_sides_that_differ_are_found(books: Books) -> None:
    order = await books.a_paid_order()
    books.house.payment(order.payments[0].payment_id).currency = "USD"
    assert await books.round() == [(T.CURRENCY_DIFFERS, order.order_id)]


async def test_a_paid_order_without_money_is_found(books: Books) -> None:
    order = await books.a_paid_order()
    books.house.world.payments.rows["payment"].clear()
    assert await books.round() == [(T.ORDER_PAID_WITHOUT_PAYMENT, order.order_id)]


async def test_two_live_payments_of_one_order_are_found(books: Books) -> None:
    order = await books.a_paid_order()
    payment = books.house.payment(order.payments[0].payment_id)
    second = replace(payment, payment_id="pay_second", sequence=0, amount_captured=0)
    second.status = IntentStatus.REQUIRES_PAYMENT_METHOD
    books.house.world.payments.rows["payment"]["pay_second"] = second
    assert await books.round() == [(T.TWO_LIVE_PAYMENTS, order.order_id)]
    second.status = IntentStatus.CANCELED
    assert await books.round() == []


async def test_a_payment_of_ours_without_its_order_is_found_and_one_of_others_is_not(books: Books) -> None:
    order = await books.a_paid_order()
    payment = books.house.payment(order.payments[0].payment_id)
    rows = books.house.world.payments.rows["payment"]
    rows["pay_orphan"] = replace(payment, payment_id="pay_orphan", order_id=ORDER_ID)
    rows["pay_foreign"] = replace(payment, payment_id="pay_foreign", order_id="A-4711")
    assert await books.round() == []  # it was made just now
    later(books)
    assert await books.round() == [(T.PAYMENT_WITHOUT_ORDER, "pay_orphan")]
    swept = await books.compare.sweep(since=None, until=None)
    assert [one.key for one in swept.findings] == [(T.PAYMENT_WITHOUT_ORDER, "pay_orphan")]


async def test_an_order_that_has_lost_a_payment_whose_events_it_had_followed_is_found(books: Books) -> None:
    order = await books.a_paid_order()
    payment_id = order.payments[0].payment_id
    books.house.saved_order(order.order_id).payments.clear()
    later(books)
    assert (T.EVENT_NOT_APPLIED, payment_id) in await books.round()
    by_type = {one.type: one for one in books.findings(FindingStatus.OPEN)}
    finding = by_type[T.EVENT_NOT_APPLIED]
    assert finding.action == "flag"
    assert finding.note == "its events were taken in, and the order does not have the payment"


async def test_an_attempt_that_stays_open_is_found_and_gone_once_it_is_answered(books: Books) -> None:
    order = await books.house.order()
    now = books.house.clock.now()
    attempt = Attempt(
        attempt_id="att_1",
        order_id=order.order_id,
        kind=AttemptKind.CREATE,
        created_at=now,
        next_check_at=now,
    )
    rows = books.house.world.orders.rows["attempt"]
    rows["att_1"] = attempt
    assert await books.round() == []
    books.house.clock.advance(minutes=16)
    assert await books.round() == [(T.STUCK_ATTEMPT, "att_1")]
    del rows["att_1"]
    assert await books.round() == []


async def test_what_changed_is_looked_at_although_many_newer_orders_are_there(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changes alone, without the rolling look at everything."""
    for name in ("NEWEST", "ROLLING"):
        monkeypatch.setattr(compare_orders, name, 0)
    monkeypatch.setattr(compare_orders, "PAGE", 2)
    first = await books.a_paid_order()
    for _ in range(4):
        await books.a_paid_order()
    later(books)
    assert await books.round() == []
    assert books.database.rows["cursor"]["orders: changes"] == {"after": "0-5"}
    await books.house.refund(books.house.payment(first.payments[0].payment_id), 300)
    later(books)
    assert await books.round() == [(T.EVENT_NOT_APPLIED, first.payments[0].payment_id)]


async def test_the_rolling_look_goes_through_all_orders_and_begins_anew(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_orders, "NEWEST", 0)
    monkeypatch.setattr(compare_orders, "PAGE", 2)
    monkeypatch.setattr(compare_orders, "ROLLING", 2)
    orders = [await books.a_paid_order() for _ in range(5)]
    later(books)
    await books.round()
    books.house.saved_order(orders[0].order_id).status = OrderStatus.DRAFT  # behind the place already
    seen = [await books.round() for _ in range(4)]
    assert seen[-1] == [(T.ORDER_ALTERED, orders[0].order_id)]
    assert seen[0] == []


async def test_while_the_consumer_is_behind_as_a_whole_the_comparison_waits_where_it_is(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NEWEST", "ROLLING"):
        monkeypatch.setattr(compare_orders, name, 0)
    monkeypatch.setattr(compare_orders, "PAGE", 2)
    monkeypatch.setattr(compare_orders, "MOST_NOT_APPLIED", 2)
    for _ in range(6):
        await books.house.confirm((await books.house.order()).order_id)
    later(books)
    assert len(await books.round()) == 2
    assert len(await books.round()) == 2
    await books.house.deliver()
    assert await books.round() == []
    assert books.database.rows["cursor"]["orders: changes"] == {"after": "0-6"}


async def test_nothing_is_found_whatever_moment_of_a_payment_is_looked_at(books: Books) -> None:
    """Every step of a payment's life, with its events delivered and not: no finding within the grace."""
    house = books.house
    order = await house.order()
    await house.confirm(order.order_id, "pm_card_visa_chargeDeclined")
    for step in _steps(books, order.order_id):
        await step
        assert await books.round() == []
        await house.deliver()
        assert await books.round() == []
    manual = await house.order()
    payment = await house.pay(manual, capture_method=CaptureMethod.MANUAL)
    assert await books.round() == []
    await house.deliver()
    await house.capture(payment, 400)
    assert await books.round() == []
    await house.deliver()
    later(books)
    assert await books.round() == []


def _steps(books: Books, order_id: str) -> Iterator[Awaitable[object]]:
    house = books.house
    yield house.retry(order_id)
    yield house.refund_by_order(order_id, amount=300)
    yield house.call_off(order_id, caller=SERVICE)
