"""Stock follows the status of orders: held from the confirmation on, given back or used up once."""

from collections.abc import Sequence
from typing import Any

import pytest

from domain.orders.cancellation import Cancellation, Requester
from domain.orders.cart import OrderLine
from domain.orders.effects import Effect, EffectType
from domain.orders.errors import Lack, OnHandBelowReserved, StockInsufficient
from domain.orders.following import follow, may_need_stock
from domain.orders.order import Order
from domain.orders.refunds import RefundedLine
from domain.orders.status import HOLDS_NO_STOCK, OrderStatus
from domain.orders.stock import Shelf, StockChange, StockItem, listed, summed
from domain.orders.use_cases.cancel_order import CancelOrder
from domain.orders.use_cases.count_stock import CountStock
from domain.orders.use_cases.replay_order import differences, replay_order
from domain.shared.errors import Refused, VersionStale
from domain.shared.payment_events import (
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
)
from tests.support.events import an_event
from tests.support.house import CUSTOMER, OPERATOR, SERVICE, START, House, all_of

S = OrderStatus


def item(sku: str, on_hand: int, reserved: int = 0) -> StockItem:
    return StockItem(sku=sku, on_hand=on_hand, reserved=reserved, updated_at=START)


def shelf(**items: tuple[int, int]) -> Shelf:
    return Shelf({sku: item(sku, *numbers) for sku, numbers in items.items()})


def an_order(*, status: OrderStatus = S.PENDING_PAYMENT, **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "lines": (OrderLine(sku="OAK", name="Oak", quantity=2, unit_amount=500),),
        "reserved": None if status in HOLDS_NO_STOCK else {"OAK": 2},
        **changes,
    }
    return Order(
        order_id="ord_1",
        user_id="u_1",
        currency="EUR",
        created_at=START,
        updated_at=START,
        status=status,
        **fields,
    )


def lines(*quantities: tuple[str, int]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(sku=sku, name=sku, quantity=n, unit_amount=100) for sku, n in quantities)


# What is on the shelf


def test_lines_of_one_sku_count_together_and_untracked_ones_do_not() -> None:
    found = shelf(OAK=(5, 1), ASH=(1, 0))
    assert found.take([("OAK", 1), ("ELM", 99), ("OAK", 3), ("ASH", 1)]) == {"OAK": 4, "ASH": 1}
    assert [one.available for one in found.items.values()] == [0, 0]


def test_all_that_lacks_is_named_and_nothing_is_taken() -> None:
    found = shelf(OAK=(5, 3), ASH=(1, 0), ELM=(9, 0))
    with pytest.raises(StockInsufficient) as refusal:
        found.take([("ELM", 1), ("OAK", 2), ("ASH", 2), ("OAK", 1)])
    assert refusal.value.lacking == (Lack(1, "OAK", 3, 2), Lack(2, "ASH", 2, 1))
    assert [one.reserved for one in found.items.values()] == [3, 0, 0]


def test_orders_of_one_batch_do_not_take_the_same_piece() -> None:
    found = shelf(OAK=(3, 0))
    an_order(reserved=None).reserve(found)
    with pytest.raises(StockInsufficient):
        an_order(reserved=None).reserve(found)


def test_a_count_below_what_is_reserved_is_refused() -> None:
    counted = item("OAK", 5, 3)
    counted.count(3, START)
    assert counted.available == 0
    with pytest.raises(OnHandBelowReserved):
        counted.count(2, START)


def test_changes_of_one_sku_are_one_change() -> None:
    changes = [
        StockChange("OAK", reserved=2),
        StockChange("ASH", on_hand=-1, reserved=-1),
        StockChange("OAK", reserved=-2),
        StockChange("ASH", on_hand=4),
    ]
    assert summed(changes) == [StockChange("ASH", on_hand=3, reserved=-1)]


def test_the_history_names_some_skus_and_counts_the_others() -> None:
    assert listed(None) is listed({}) is None
    assert listed({"OAK": 2, "ASH": 1}) == "2 OAK, 1 ASH"
    assert (listed({f"SKU-{n}": 1 for n in range(500)}) or "").endswith("1 SKU-19 and 480 more")


# What an order holds


def test_a_reservation_is_made_once() -> None:
    order = an_order(reserved=None)
    order.reserve(shelf(OAK=(2, 0)))
    assert order.take_stock_changes() == [StockChange("OAK", reserved=2)]
    order.reserve(shelf(OAK=(2, 2)))
    assert order.take_stock_changes() == []
    assert order.reserved == {"OAK": 2}


@pytest.mark.parametrize("status", S)
def test_stock_follows_the_status(status: OrderStatus) -> None:
    order = an_order()
    order.status = status
    gives_back = status in (S.DRAFT, S.PAYMENT_FAILED, S.CANCELED)
    assert order.take_stock_changes() == ([StockChange("OAK", reserved=-2)] if gives_back else [])
    assert order.reserved == (None if gives_back else {"OAK": 2})
    assert order.take_stock_changes() == []


@pytest.mark.parametrize("status", [S.FULFILLED, S.PARTIALLY_REFUNDED, S.REFUNDED])
def test_what_is_shipped_is_used_up(status: OrderStatus) -> None:
    order = an_order(status=status, fulfilled_at=START)
    assert order.take_stock_changes() == [StockChange("OAK", on_hand=-2, reserved=-2)]
    assert order.reserved is None
    assert order.take_stock_changes() == []


# What payment events bring

Kind = tuple[type[PaymentEvent], dict[str, Any]]


def applied(order: Order, events: Sequence[PaymentEvent], found: Shelf) -> Order:
    for event in events:
        follow(order, event, found)
    return order


def numbered(*kinds: Kind) -> list[PaymentEvent]:
    return [an_event(kind, number, **changes) for number, (kind, changes) in enumerate(kinds, start=1)]


FAILED: Kind = (PaymentFailed, {})
PAID: Kind = (PaymentSucceeded, {})


def test_an_order_that_holds_its_stock_need_not_look_for_any() -> None:
    paid = an_event(PaymentSucceeded)
    assert not may_need_stock(an_order(), paid)
    assert not may_need_stock(an_order(reserved={}), paid)
    assert not may_need_stock(an_order(status=S.FULFILLED, reserved=None, fulfilled_at=START), paid)


def test_an_order_without_looks_where_it_may_be_paid() -> None:
    failed = an_order(status=S.PAYMENT_FAILED)
    assert may_need_stock(failed, an_event(PaymentSucceeded))
    assert not may_need_stock(failed, an_event(PaymentFailed))
    assert not may_need_stock(failed, an_event(PaymentCanceled))


def test_a_failure_and_a_payment_in_one_batch_keep_what_is_held() -> None:
    order = applied(an_order(), numbered(FAILED, PAID), shelf())
    assert (order.status, order.take_stock_changes()) == (S.PAID, [])


def test_money_that_comes_late_has_its_stock_reserved_again() -> None:
    order = applied(an_order(status=S.PAYMENT_FAILED), numbered(PAID), shelf(OAK=(2, 0)))
    assert (order.status, order.reserved, order.attention) == (S.PAID, {"OAK": 2}, None)
    assert order.take_stock_changes() == [StockChange("OAK", reserved=2)]


@pytest.mark.parametrize("status", [S.DRAFT, S.PAYMENT_FAILED])
def test_money_for_what_is_gone_is_flagged_and_ships_nothing(status: OrderStatus) -> None:
    order = applied(an_order(status=status), numbered(PAID), shelf(OAK=(2, 1)))
    assert (order.status, order.attention, order.amount_paid) == (status, "STOCK_INSUFFICIENT", 1000)
    assert (order.take_effects(), order.take_stock_changes()) == ([], [])
    assert order.take_history()[-1].rule == "the stock for it is gone"


def test_who_only_begins_to_pay_waits_for_stock() -> None:
    order = an_order(status=S.PAYMENT_FAILED)
    applied(order, numbered((PaymentRequiresAction, {})), shelf(OAK=(2, 1)))
    assert (order.status, order.attention) == (S.AWAITING_USER_PAYMENT_ACTION, None)
    order.take_effects()
    applied(order, [an_event(PaymentSucceeded, 2)], shelf(OAK=(2, 0)))
    assert (order.status, order.reserved) == (S.PAID, {"OAK": 2})


def test_funds_held_for_what_is_gone_are_flagged_until_there_is_stock() -> None:
    order = an_order(status=S.PAYMENT_FAILED)
    applied(order, numbered((PaymentAuthorized, {})), shelf(OAK=(0, 0)))
    assert (order.status, order.attention, order.reserved) == (S.AUTHORIZED, "STOCK_INSUFFICIENT", None)
    assert may_need_stock(order, an_event(PaymentCaptured, 2))
    applied(order, [an_event(PaymentCaptured, 2)], shelf(OAK=(2, 0)))
    assert (order.status, order.attention, order.reserved) == (S.PAID, None, {"OAK": 2})


@pytest.mark.parametrize(
    ("events", "on_hand"),
    [
        (numbered(FAILED, PAID), 0),
        (numbered(FAILED, PAID), 2),
        (numbered(FAILED, (PaymentAuthorized, {}), (PaymentCaptured, {})), 2),
    ],
)
def test_a_replay_knows_whether_there_was_stock(events: list[PaymentEvent], on_hand: int) -> None:
    order = an_order()
    for event in events:  # in batches of one
        follow(order, event, shelf(OAK=(on_hand, 0)))
        order.take_stock_changes()
    assert list(differences(order, replay_order(order, events))) == []


# What clients ask


async def test_confirm_reserves_and_a_failure_releases() -> None:
    house = House()
    await house.count("OAK", 3)
    order = await house.order(lines=lines(("OAK", 2)))
    await house.confirm(order.order_id, "pm_card_chargeDeclined")
    assert house.stock("OAK") == (3, 2)
    await house.deliver()
    assert house.saved_order(order.order_id).status is S.PAYMENT_FAILED
    assert house.stock("OAK") == (3, 0)
    await house.retry(order.order_id)
    assert house.stock("OAK") == (3, 2)
    await house.deliver()
    assert house.saved_order(order.order_id).status is S.PAID
    assert house.stock("OAK") == (3, 2)


async def test_another_attempt_needs_the_stock_again() -> None:
    house = House()
    await house.count("OAK", 2)
    first, second = [await house.order(lines=lines(("OAK", 2))) for _ in range(2)]
    await house.confirm(first.order_id, "pm_card_chargeDeclined")
    with pytest.raises(StockInsufficient):
        await house.confirm(second.order_id)
    await house.deliver()
    await house.confirm(second.order_id)
    with pytest.raises(StockInsufficient):
        await house.retry(first.order_id)
    await house.deliver()
    assert house.saved_order(first.order_id).status is S.PAYMENT_FAILED
    assert house.saved_order(second.order_id).status is S.PAID
    assert house.stock("OAK") == (2, 2)


async def test_a_refused_attempt_leaves_a_draft_that_holds_nothing() -> None:
    house = House()
    await house.count("OAK", 2)
    order = await house.order(lines=lines(("OAK", 2)))
    with pytest.raises(Refused):
        await house.confirm(order.order_id, "pm_unknown")
    saved = house.saved_order(order.order_id)
    assert (saved.status, saved.reserved, house.stock("OAK")) == (S.DRAFT, None, (2, 0))


async def test_a_sku_tracked_after_the_confirmation_is_left_alone() -> None:
    house = House()
    order = await house.order(lines=lines(("OAK", 2)))
    await house.confirm(order.order_id, "pm_card_chargeDeclined")
    await house.count("OAK", 1)
    await house.deliver()
    assert house.stock("OAK") == (1, 0)


async def test_a_refund_alone_leaves_the_goods_with_the_order() -> None:
    order = an_order(status=S.PAID)
    refund = {"amount": 1000, "amount_captured": 1000, "amount_refunded": 1000}
    applied(order, numbered(PAID, (RefundProcessed, refund)), shelf())
    assert (order.status, order.take_stock_changes(), order.reserved) == (S.REFUNDED, [], {"OAK": 2})


async def test_an_order_that_is_refunded_and_not_shipped_gives_its_goods_back_when_it_is_canceled() -> None:
    house = House()
    await house.count("OAK", 5)
    order_id = await paid_order(house, OAK=3)
    paid = house.payment(house.saved_order(order_id).payments[0].payment_id)
    await house.refund(paid, paid.amount)
    await house.recover()
    assert (house.saved_order(order_id).status, house.stock("OAK")) == (S.REFUNDED, (5, 3))
    canceled = await house.cancel_order(
        CancelOrder(request_id=house.ids.request_id(), caller=CUSTOMER, order_id=order_id)
    )
    assert (canceled.status, house.stock("OAK")) == (S.CANCELED, (5, 0))


async def test_the_last_piece_goes_to_one_of_many() -> None:
    house = House()
    await house.count("OAK", 1)
    orders = [await house.order(lines=lines(("OAK", 1))) for _ in range(20)]
    outcomes = await all_of(*(house.confirm(order.order_id) for order in orders))
    assert sum(isinstance(outcome, StockInsufficient) for outcome in outcomes) == 19
    assert house.stock("OAK") == (1, 1)


async def test_counts_that_meet_are_made_one_after_the_other() -> None:
    house = House()
    counted = await all_of(
        *(house.count_stock(CountStock(caller=OPERATOR, sku="OAK", on_hand=n)) for n in range(4))
    )
    assert sorted(one.first for one in counted) == [False, False, False, True]
    firsts = await all_of(
        *(
            house.count_stock(CountStock(caller=OPERATOR, sku="ASH", on_hand=n, tracked=False))
            for n in range(4)
        )
    )
    assert sum(isinstance(outcome, VersionStale) for outcome in firsts) == 3


async def test_money_for_a_draft_reserves_its_stock() -> None:
    house = House()
    await house.count("OAK", 2)
    first, second = [await house.order(lines=lines(("OAK", 2))) for _ in range(2)]
    await house.pay(first)
    await house.pay(second)
    await house.deliver()
    saved = [house.saved_order(order.order_id) for order in (first, second)]
    assert [(one.status, one.attention) for one in saved] == [
        (S.PAID, None),
        (S.DRAFT, "STOCK_INSUFFICIENT"),
    ]
    assert house.stock("OAK") == (2, 2)


@pytest.mark.parametrize("on_hand", [0, 2])
def test_a_replay_of_a_canceled_order_knows_it_too(on_hand: int) -> None:
    order = an_order()
    refunded = {"amount": 1000, "amount_captured": 1000, "amount_refunded": 1000}
    events = numbered(FAILED, PAID, (RefundProcessed, refunded))
    for number, event in enumerate(events):
        if number == 2:
            off = Cancellation(requested_at=START, reason=None, requested_by="u_1")
            order.call_off(off, key="req_1", check_at=START, busy=False)
        follow(order, event, shelf(OAK=(on_hand, 0)))
        order.take_stock_changes()
    assert order.status is S.CANCELED
    assert list(differences(order, replay_order(order, events))) == []


# Goods that come back


def restock(order_id: str, refund_id: str = "ref_1", **goods: int) -> Effect:
    return Effect(EffectType.RESTOCK, order_id, "RefundProcessed", refund_id=refund_id, goods=goods)


async def paid_order(house: House, **quantities: int) -> str:
    order = await house.order(lines=lines(*quantities.items()))
    await house.confirm(order.order_id)
    await house.deliver()
    return order.order_id


async def test_goods_that_were_not_shipped_are_free_again_once() -> None:
    house = House()
    await house.count("OAK", 5)
    order_id = await paid_order(house, OAK=3, ELM=1)
    for _ in range(2):
        await house.restock_goods(restock(order_id, OAK=2, ELM=1), "effect-1")
    assert house.stock("OAK") == (5, 1)
    assert house.saved_order(order_id).reserved == {"OAK": 1}
    await house.restock_goods(restock(order_id, "ref_2", OAK=1), "effect-2")
    assert (house.stock("OAK"), house.saved_order(order_id).reserved) == ((5, 0), {})
    notes = [one.entry.name for one in house.world.orders.history if one.order_id == order_id]
    assert notes.count("Restock") == 2


async def test_goods_that_were_shipped_are_there_again_once() -> None:
    house = House()
    await house.count("OAK", 5)
    order_id = await paid_order(house, OAK=3)
    await house.fulfil_order("req_1", SERVICE, order_id)
    assert house.stock("OAK") == (2, 0)
    outcomes = await all_of(*(house.restock_goods(restock(order_id, OAK=2), "effect-1") for _ in range(4)))
    assert outcomes == [None] * 4
    assert house.stock("OAK") == (4, 0)


async def test_goods_of_an_order_that_gave_all_back_are_not_given_back_again() -> None:
    house = House()
    await house.count("OAK", 5)
    order = await house.order(lines=lines(("OAK", 3)))
    await house.confirm(order.order_id, "pm_card_chargeDeclined")
    await house.deliver()
    await house.restock_goods(restock(order.order_id, OAK=3), "effect-1")
    assert house.stock("OAK") == (5, 0)


async def test_no_more_is_given_back_than_is_held() -> None:
    house = House()
    await house.count("OAK", 5)
    order_id = await paid_order(house, OAK=1)
    await house.restock_goods(restock(order_id, OAK=2), "effect-1")
    assert house.stock("OAK") == (5, 0)


@pytest.mark.parametrize("restock", [True, False])
def test_a_refund_of_lines_asks_for_its_goods_once_the_money_is_back(restock: bool) -> None:
    order = applied(an_order(), numbered(PAID), shelf())
    refund = order.refund(
        amount=None,
        lines=(RefundedLine(sku="OAK", quantity=1), RefundedLine(sku="OAK", quantity=1)),
        reason="torn",
        restock=restock,
        requester=Requester("u_1", None),
        key="req_1",
        now=START,
        check_at=START,
    )
    order.take_effects()
    told = {"refund_id": refund.refund_id, "amount": 1000, "amount_captured": 1000}
    follow(order, an_event(RefundProcessed, 2, **told, amount_refunded=1000))
    asked = [effect for effect in order.take_effects() if effect.type is EffectType.RESTOCK]
    assert [(effect.refund_id, effect.goods) for effect in asked] == (
        [(refund.refund_id, {"OAK": 2})] if restock else []
    )
    follow(order, an_event(RefundFailed, 3, **told, amount_refunded=0))
    assert EffectType.RESTOCK not in {effect.type for effect in order.take_effects()}


async def test_a_refund_by_lines_brings_its_goods_back_into_stock() -> None:
    house = House()
    await house.count("OAK", 5)
    order_id = await paid_order(house, OAK=3)
    wanted = (RefundedLine(sku="OAK", quantity=2),)
    await house.refund_by_order(order_id, lines=wanted, restock=True)
    await house.deliver()
    (asked,) = [one for one in house.world.orders.effects if one.type is EffectType.RESTOCK]
    await house.restock_goods(asked, "effect-1")
    assert house.stock("OAK") == (5, 1)
    await house.fulfil_order(house.ids.request_id(), SERVICE, order_id)
    assert house.stock("OAK") == (4, 0)
