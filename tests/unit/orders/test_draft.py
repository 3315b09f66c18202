"""What may be changed of a draft, until when, and what follows from it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.orders.cart import Customer, OrderLine
from domain.orders.draft import MAX_METADATA_NAMES, DraftChanges, change_draft
from domain.orders.errors import (
    CurrencyNeedsAmounts,
    DiscountExceedsLine,
    OrderStateForbids,
    TotalOutOfRange,
)
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.use_cases.change_order import ChangeOrder
from domain.shared.errors import Malformed, VersionStale
from domain.shared.money import MAX_AMOUNT
from tests.support.house import CUSTOMER, START, STRANGER, House

LATER = START + timedelta(minutes=1)
LINE = OrderLine(sku="OAK", name="Oak board", quantity=2, unit_amount=500)


def a_draft(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "currency": "EUR",
        "lines": (LINE,),
        "metadata": {"a": "1", "b": "2"},
        **changes,
    }
    return Order(order_id="ord_1", user_id="u_1", created_at=START, updated_at=START, **fields)


def change(order: Order, **changes: Any) -> bool:
    return change_draft(order, DraftChanges(**changes), LATER)


def test_what_is_not_named_stays() -> None:
    order = a_draft(customer=Customer(name="Jenny"), shipping_amount=300)
    before = replace(order)
    assert not change(order)
    assert order == before
    assert change(order, shipping_amount=400)
    assert order == replace(before, shipping_amount=400, updated_at=LATER)


def test_each_part_can_be_changed_or_cleared() -> None:
    order = a_draft(customer=Customer(name="Jenny"), shipping_amount=300)
    ash = replace(LINE, sku="ASH", unit_amount=7)
    assert change(
        order,
        lines=(ash,),
        customer=Customer(email="a@b.test"),
        shipping_amount=0,
        metadata={"b": None, "c": "3"},
    )
    assert (order.lines, order.customer, order.total_amount) == ((ash,), Customer(email="a@b.test"), 14)
    assert order.metadata == {"a": "1", "c": "3"}
    assert change(order, without_customer=True, without_metadata=True)
    assert (order.customer, order.metadata) == (None, {})


def test_another_currency_needs_new_amounts() -> None:
    order = a_draft()
    with pytest.raises(CurrencyNeedsAmounts):
        change(order, currency="JPY")
    assert not change(order, currency="EUR")
    assert change(order, currency="JPY", lines=(LINE,))
    shipped = a_draft(shipping_amount=300)
    with pytest.raises(CurrencyNeedsAmounts):
        change(shipped, currency="JPY", lines=(LINE,))
    assert change(shipped, currency="JPY", lines=(LINE,), shipping_amount=40)


def test_the_changed_draft_is_checked_as_a_new_one_is() -> None:
    beyond = replace(LINE, discount_amount=1001)
    with pytest.raises(DiscountExceedsLine) as refused:
        change(a_draft(), lines=(beyond, LINE, beyond))
    assert [fault.pointer for fault in refused.value.faults] == [
        "/lines/0/discountAmount",
        "/lines/2/discountAmount",
    ]
    with pytest.raises(TotalOutOfRange):
        change(a_draft(), shipping_amount=MAX_AMOUNT)
    with pytest.raises(Malformed) as full:
        change(a_draft(), metadata={f"n{n}": "" for n in range(MAX_METADATA_NAMES)})
    assert full.value.pointer == "/metadata"


@pytest.mark.parametrize("status", sorted(set(OrderStatus) - {OrderStatus.DRAFT}))
def test_only_a_draft_is_changed(status: OrderStatus) -> None:
    with pytest.raises(OrderStateForbids):
        change(a_draft(status=status), shipping_amount=1)


async def test_only_the_version_that_the_client_knows_is_changed() -> None:
    house = House()
    order = await house.order()

    async def ask(versions: set[int] | None, amount: int = 1) -> Order:
        changes = DraftChanges(shipping_amount=amount)
        return await house.change_order(
            ChangeOrder(
                request_id="req_1",
                caller=CUSTOMER,
                order_id=order.order_id,
                versions=versions,
                changes=changes,
            )
        )

    assert (await ask({1})).version == 2
    with pytest.raises(VersionStale) as stale:
        await ask({1, 7})
    assert stale.value.version == 2
    assert (await ask({2})).version == 2  # the same again changes nothing
    assert (await ask(None, 5)).version == 3
    assert house.saved_order(order.order_id).total_amount == 1005


async def test_a_confirmed_order_and_a_draft_with_a_payment_are_frozen() -> None:
    house = House()
    confirmed, tried, refused = [await house.order() for _ in range(3)]
    await house.confirm(confirmed.order_id)
    # Linked by hand: every event of today that reaches a draft also moves it on.
    tried.link_payment("pay_1", "pi_1", "REQUIRES_PAYMENT_METHOD", START)
    async with house.orders_uow() as uow:
        await uow.orders.save([tried])
        await uow.commit()
    for order in (confirmed, tried):
        with pytest.raises(OrderStateForbids):
            await house.change_order(
                ChangeOrder(
                    request_id="req_1",
                    caller=CUSTOMER,
                    order_id=order.order_id,
                    versions={99},
                    changes=DraftChanges(),
                )
            )
    # What the payment side refuses to begin makes a draft again of a confirmed order.
    with pytest.raises(Exception, match="payment method"):
        await house.confirm(refused.order_id, "pm_nowhere")
    again = house.saved_order(refused.order_id)
    assert (again.status, again.confirmed_at) == (OrderStatus.DRAFT, None)
    await house.change_order(
        ChangeOrder(
            request_id="req_1",
            caller=CUSTOMER,
            order_id=refused.order_id,
            versions={again.version},
            changes=DraftChanges(shipping_amount=9),
        )
    )
    assert (await house.confirm(refused.order_id)).order.confirmed_at == START


async def test_anothers_draft_is_not_there() -> None:
    house = House()
    order = await house.order()
    with pytest.raises(Exception, match="no such order"):
        await house.change_order(
            ChangeOrder(
                request_id="req_1",
                caller=STRANGER,
                order_id=order.order_id,
                versions=None,
                changes=DraftChanges(),
            )
        )
