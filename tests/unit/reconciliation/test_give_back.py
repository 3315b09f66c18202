"""Payments without an order, and payments too many: given back once, under the refund policy, where no doubt is."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from domain.orders.order import Order
from domain.payments.gateway import CaptureMethod
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import Limits, RefundPolicy, Rule
from domain.reconciliation.finding import Action, Finding, FindingStatus, FindingType
from domain.reconciliation.use_cases.give_back import MOST_TRIES
from tests.support.house import World
from tests.unit.reconciliation.books import Books, later

T = FindingType
POLICY = {T.PAYMENT_WITHOUT_ORDER: Action.REFUND, T.TWO_LIVE_PAYMENTS: Action.REFUND}


@pytest.fixture
def books() -> Books:
    return Books(policy=POLICY)


def refunds(books: Books) -> list[Refund]:
    found: Mapping[str, Refund] = books.house.world.payments.rows["refund"]
    return list(found.values())


def audited(books: Books) -> list[tuple[str, str | None]]:
    return [(record.entry.action, record.entry.subject) for record in books.database.audit]


async def rounds(books: Books, count: int = 1) -> list[Finding]:
    """Those that were repaired."""
    repaired: list[Finding] = []
    for _ in range(count):
        repaired += await books.repair()((await books.compare()).findings)
    return repaired


def lose_the_order(books: Books, order_id: str) -> None:
    del books.house.world.orders.rows["order"][order_id]
    later(books)


async def test_money_without_an_order_is_given_back_once(books: Books) -> None:
    order = await books.a_paid_order()
    payment_id = order.payments[0].payment_id
    lose_the_order(books, order.order_id)
    assert [one.key for one in await rounds(books)] == [(T.PAYMENT_WITHOUT_ORDER, payment_id)]
    [refund] = refunds(books)
    [finding] = books.findings(FindingStatus.REPAIRED)
    assert (refund.amount, refund.status, refund.requested_by) == (1000, RefundStatus.SUCCEEDED, "reconciler")
    assert refund.refund_id == f"ref_{finding.finding_id.removeprefix('fnd_')}"
    assert refund.actor == "orders"
    assert finding.note == f"refund {refund.refund_id} of 1000 is SUCCEEDED"
    assert audited(books) == [("finding.repair", "reconciler")]
    assert await rounds(books, 2) == []
    assert (len(refunds(books)), len(books.database.rows["finding"])) == (1, 1)


async def test_what_is_only_held_is_voided(books: Books) -> None:
    order = await books.house.order()
    payment = await books.house.pay(order, capture_method=CaptureMethod.MANUAL)
    lose_the_order(books, order.order_id)
    await rounds(books)
    assert books.house.payment(payment.payment_id).status == "CANCELED"
    [finding] = books.findings(FindingStatus.REPAIRED)
    assert finding.note == f"payment {payment.payment_id} is CANCELED"
    assert refunds(books) == []
    assert await rounds(books) == []


async def test_the_rest_of_an_authorization_is_voided_and_what_was_captured_given_back(books: Books) -> None:
    books.house.gateway.multicapture = True
    order = await books.house.order()
    payment = await books.house.pay(order, capture_method=CaptureMethod.MANUAL)
    await books.house.capture(payment, 400, final=False)
    lose_the_order(books, order.order_id)
    await rounds(books)
    saved = books.house.payment(payment.payment_id)
    assert (saved.status, saved.amount_captured, saved.amount_refunded) == ("SUCCEEDED", 400, 400)
    [finding] = books.findings(FindingStatus.REPAIRED)
    assert finding.note is not None
    assert finding.note.endswith("of 400 is SUCCEEDED")


async def test_a_refund_that_waits_for_approval_leaves_the_finding_open_until_it_is_approved() -> None:
    rule = Rule(name="everybody", limits=Limits(per_refund={"EUR": 500}))
    boss = Rule(name="approvers", scopes=frozenset({"refunds:approve"}))
    books = Books(World(refund_policy=RefundPolicy(rules=(boss, rule))), POLICY)
    order = await books.a_paid_order()
    lose_the_order(books, order.order_id)
    assert await rounds(books, MOST_TRIES + 3) == []
    [refund] = refunds(books)
    [finding] = books.findings(FindingStatus.OPEN)
    assert finding.note == f"refund {refund.refund_id} of 1000 is PENDING_APPROVAL"
    assert (finding.tries, refund.status) == (1, RefundStatus.PENDING_APPROVAL)
    await books.house.approve(refund)
    assert [one.finding_id for one in await rounds(books)] == [finding.finding_id]
    assert audited(books) == [("finding.repair", "reconciler")]
    assert len(books.findings(FindingStatus.REPAIRED)) == 1


async def test_a_refund_that_was_rejected_is_not_asked_for_anew_and_given_up() -> None:
    rule = Rule(name="everybody", limits=Limits(per_refund={"EUR": 500}))
    books = Books(World(refund_policy=RefundPolicy(rules=(rule,))), POLICY)
    order = await books.a_paid_order()
    lose_the_order(books, order.order_id)
    await rounds(books)
    [refund] = refunds(books)
    await books.house.reject(refund)
    assert await rounds(books, MOST_TRIES + 3) == []
    assert len(refunds(books)) == 1
    [finding] = books.findings(FindingStatus.OPEN)
    assert finding.tries == MOST_TRIES
    assert "is REJECTED" in (finding.note or "")


async def test_an_order_that_is_there_again_ends_the_finding_without_a_repair() -> None:
    rule = Rule(name="everybody", limits=Limits(per_refund={"EUR": 500}))
    books = Books(World(refund_policy=RefundPolicy(rules=(rule,))), POLICY)
    order = await books.a_paid_order()
    lose_the_order(books, order.order_id)
    await rounds(books)
    books.house.world.orders.rows["order"][order.order_id] = order
    assert await rounds(books) == []
    assert [one.settled_by for one in books.findings(FindingStatus.RESOLVED)] == [None]
    assert audited(books) == []


async def test_nothing_is_given_back_where_the_policy_does_not_say_so() -> None:
    books = Books()
    order = await books.a_paid_order()
    lose_the_order(books, order.order_id)
    assert await rounds(books, 2) == []
    assert refunds(books) == []
    assert [one.action for one in books.findings(FindingStatus.OPEN)] == [Action.FLAG]


async def two_paid(books: Books) -> tuple[Order, str, str]:
    """An order with two payments that took its money; the older one, and the one that it follows."""
    order, spare = await books.a_paid_order(), await books.a_paid_order()
    older, newer = (books.house.payment(one.payments[0].payment_id) for one in (order, spare))
    rows = books.house.world
    rows.payments.rows["payment"][newer.payment_id].order_id = order.order_id
    saved = books.house.saved_order(order.order_id)
    saved.payments += books.house.saved_order(spare.order_id).payments
    del rows.orders.rows["order"][spare.order_id]
    rows.orders.history[:] = [
        replace(one, order_id=order.order_id) if one.order_id == spare.order_id else one
        for one in rows.orders.history
    ]
    books.orders.altered[order.order_id] = {"amount_paid": 2000}
    return order, older.payment_id, newer.payment_id


async def test_of_two_live_payments_the_one_that_the_order_does_not_follow_is_given_back(
    books: Books,
) -> None:
    order, older, newer = await two_paid(books)
    repaired = await rounds(books)
    assert [one.key for one in repaired] == [(T.TWO_LIVE_PAYMENTS, order.order_id)]
    assert [(one.payment_id, one.amount) for one in refunds(books)] == [(older, 1000)]
    assert books.house.payment(newer).amount_refunded == 0
    [finding] = books.findings(FindingStatus.REPAIRED)
    assert (finding.payment_id, finding.type) == (older, T.TWO_LIVE_PAYMENTS)
    await rounds(books, 2)
    assert len(refunds(books)) == 1


async def test_a_payment_that_the_order_has_never_heard_of_and_that_took_nothing_is_canceled(
    books: Books,
) -> None:
    order = await books.a_paid_order()
    spare = await books.house.order()
    other = await books.house.pay(spare, confirm=False)
    books.house.world.payments.rows["payment"][other.payment_id].order_id = order.order_id
    await rounds(books)
    assert books.house.payment(other.payment_id).status == "CANCELED"
    assert books.house.payment(order.payments[0].payment_id).amount_captured == 1000
    assert [one.type for one in books.findings(FindingStatus.REPAIRED)] == [T.TWO_LIVE_PAYMENTS]


@pytest.mark.parametrize("case", ["three", "late", "neither", "further"])
async def test_where_it_is_not_clear_which_one_stays_a_person_is_told(books: Books, case: str) -> None:
    order, older, newer = await two_paid(books)
    payments = books.house.world.payments.rows["payment"]
    if case == "three":
        payments["pay_third"] = replace(payments[newer], payment_id="pay_third")
        said = "3 payments are live"
    elif case == "late":
        payments[older].sequence += 1
        said = f"the order has not followed all events of {older}"
    elif case == "neither":
        books.house.saved_order(order.order_id).payments.clear()
        said = "follows neither"
    else:
        payments[newer].amount_captured = 0
        said = f"{older} has come further"
    assert [one for one in await rounds(books, 3) if one.type is T.TWO_LIVE_PAYMENTS] == []
    assert refunds(books) == []
    [finding] = [one for one in books.findings(FindingStatus.OPEN) if one.type is T.TWO_LIVE_PAYMENTS]
    assert said in (finding.note or "")
    assert finding.tries == 0


async def test_while_the_gateway_cannot_be_reached_it_waits(books: Books) -> None:
    order = await books.a_paid_order()
    lose_the_order(books, order.order_id)
    books.house.world.unreachable.add(books.house.gateway.name)
    assert await rounds(books, MOST_TRIES + 2) == []
    [finding] = books.findings(FindingStatus.OPEN)
    assert "gateway_unavailable" in (finding.note or "")
    books.house.world.unreachable.clear()
    assert len(await rounds(books)) == 1
    assert len(refunds(books)) == 1
