"""What every orders unit of work does with stock: run on the one in memory and on PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest

from domain.orders.cart import OrderLine
from domain.orders.errors import StockInsufficient
from domain.orders.history import requested
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.stock import StockItem
from tests.contract.repositories.conftest import Orders
from tests.contract.repositories.test_orders_contract import LATER, an_order, keep, load
from tests.support.house import CUSTOMER, START


def counted(sku: str, on_hand: int) -> StockItem:
    return StockItem(sku=sku, on_hand=on_hand, updated_at=START)


def order_of(order_id: str, **quantities: int) -> Order:
    lines = [OrderLine(sku=sku, name=sku, quantity=n, unit_amount=100) for sku, n in quantities.items()]
    return an_order(order_id, lines=tuple(lines))


async def count(orders: Orders, *items: StockItem) -> None:
    async with orders.unit_of_work() as uow:
        for item in items:
            assert await uow.stock.add(item)
        await uow.commit()


async def confirm(orders: Orders, order_id: str) -> None:
    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock([order_id]))[order_id]
        order.confirm(LATER)
        order.note(requested("confirm", "req_1", CUSTOMER))
        order.reserve(await uow.stock.lock(order.skus))
        await uow.orders.save([order])
        await uow.commit()


async def sums(orders: Orders) -> dict[str, tuple[int, int]]:
    async with orders.unit_of_work() as uow:
        return {
            item.sku: (item.on_hand, item.reserved) for item in await uow.stock.list(after=None, limit=100)
        }


async def test_a_sku_is_tracked_from_its_first_count_on(orders: Orders) -> None:
    async with orders.unit_of_work() as uow:
        assert await uow.stock.get("OAK") is None
        assert await uow.stock.add(counted("OAK", 3))
        assert await uow.stock.get("OAK") == counted("OAK", 3)
    async with orders.unit_of_work() as uow:
        assert await uow.stock.get("OAK") is None  # it was not committed
    await count(orders, counted("OAK", 3))
    async with orders.unit_of_work() as uow:
        assert not await uow.stock.add(counted("OAK", 9))
        item = (await uow.stock.lock(["OAK"])).items["OAK"]
        item.count(5, LATER)
        await uow.stock.save(item)
        await uow.commit()
    async with orders.unit_of_work() as uow:
        assert await uow.stock.get("OAK") == StockItem(sku="OAK", on_hand=5, updated_at=LATER, version=2)


async def test_only_tracked_skus_are_on_the_shelf(orders: Orders) -> None:
    await count(orders, counted("OAK", 3), counted("ASH", 1))
    async with orders.unit_of_work() as uow:
        shelf = await uow.stock.lock(["OAK", "ELM", "ASH", "OAK"])
        assert dict(shelf.items) == {"OAK": counted("OAK", 3), "ASH": counted("ASH", 1)}
        assert (await uow.stock.lock([])).items == {}


async def test_stock_is_listed_by_sku_in_pages(orders: Orders) -> None:
    skus = ["a", "B", "é", "b", "B/1", "ß"]
    await count(orders, *(counted(sku, 1) for sku in skus))
    found: list[str] = []
    async with orders.unit_of_work() as uow:
        while page := await uow.stock.list(after=found[-1] if found else None, limit=2):
            found += [item.sku for item in page]
    assert found == sorted(skus)


async def test_what_an_order_reserves_is_saved_with_it(orders: Orders) -> None:
    await count(orders, counted("OAK", 3), counted("ASH", 1))
    await keep(orders, order_of("ord_1", OAK=2, ELM=7))
    await confirm(orders, "ord_1")
    saved = await load(orders)
    assert saved is not None
    assert saved.reserved == {"OAK": 2}
    assert await sums(orders) == {"ASH": (1, 0), "OAK": (3, 2)}
    async with orders.unit_of_work() as uow:
        item = await uow.stock.get("OAK")
        assert item is not None
        assert (item.version, item.updated_at) == (2, LATER)


async def test_what_lacks_is_refused_and_nothing_is_kept(orders: Orders) -> None:
    await count(orders, counted("OAK", 3), counted("ASH", 1))
    await keep(orders, order_of("ord_1", OAK=2, ASH=2))
    with pytest.raises(StockInsufficient):
        await confirm(orders, "ord_1")
    assert await load(orders) == order_of("ord_1", OAK=2, ASH=2)
    assert await sums(orders) == {"ASH": (1, 0), "OAK": (3, 0)}


async def test_released_and_consumed_stock_leaves_the_sums(orders: Orders) -> None:
    await count(orders, counted("OAK", 9), counted("ASH", 9))
    names = ["ord_1", "ord_2", "ord_3"]
    await keep(orders, *(order_of(name, OAK=n, ASH=1) for n, name in enumerate(names, 1)))
    for name in names:
        await confirm(orders, name)
    assert await sums(orders) == {"ASH": (9, 3), "OAK": (9, 6)}
    async with orders.unit_of_work() as uow:
        found = await uow.orders.lock(names)
        found["ord_1"].status = OrderStatus.PAYMENT_FAILED
        found["ord_2"].status, found["ord_2"].fulfilled_at = OrderStatus.FULFILLED, LATER
        await uow.orders.save(list(found.values()))
        await uow.commit()
    assert await sums(orders) == {"ASH": (8, 1), "OAK": (7, 3)}
    held = [order.reserved for name in names if (order := await load(orders, name)) is not None]
    assert held == [None, None, {"OAK": 3, "ASH": 1}]


async def test_an_order_of_untracked_skus_holds_nothing_of_them(orders: Orders) -> None:
    await keep(orders, order_of("ord_1", OAK=2))
    await confirm(orders, "ord_1")
    saved = await load(orders)
    assert saved is not None
    assert saved.reserved == {}
    await count(orders, counted("OAK", 1))  # tracked only now
    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        order.status = OrderStatus.CANCELED
        await uow.orders.save([order])
        await uow.commit()
    assert await sums(orders) == {"OAK": (1, 0)}


async def test_carts_that_cross_never_deadlock(orders: Orders) -> None:
    """Each transaction locks what it wants in its own order, beside others that only give back."""
    await count(orders, *(counted(sku, 1000) for sku in "ABCD"))
    reserving = [f"ord_{n}" for n in range(12)]
    releasing = [f"ord_{n}" for n in range(12, 24)]
    for n, name in enumerate(reserving + releasing):
        skus = "ABCD" if n % 2 else "DCBA"
        await keep(orders, order_of(name, **dict.fromkeys(skus, 1)))
    for name in releasing:
        await confirm(orders, name)

    async def release(names: list[str]) -> None:
        async with orders.unit_of_work() as uow:
            found = await uow.orders.lock(names)
            for order in found.values():
                order.status = OrderStatus.PAYMENT_FAILED
            await uow.orders.save(list(found.values()))
            await uow.commit()

    calls = [confirm(orders, name) for name in reserving]
    calls += [release(releasing[n : n + 2]) for n in range(0, 12, 2)]
    await asyncio.gather(*calls[::2], *calls[1::2])
    assert await sums(orders) == dict.fromkeys("ABCD", (1000, 12))


async def test_the_last_one_is_reserved_once(orders: Orders) -> None:
    await count(orders, counted("OAK", 1))
    names = [f"ord_{n}" for n in range(10)]
    await keep(orders, *(order_of(name, OAK=1) for name in names))
    outcomes = await asyncio.gather(*(confirm(orders, name) for name in names), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["StockInsufficient"] * 9
    assert await sums(orders) == {"OAK": (1, 1)}


async def test_a_later_change_never_sets_the_time_back(orders: Orders) -> None:
    await count(orders, StockItem(sku="OAK", on_hand=1, updated_at=LATER + timedelta(hours=1)))
    await keep(orders, order_of("ord_1", OAK=1))
    await confirm(orders, "ord_1")
    async with orders.unit_of_work() as uow:
        item = await uow.stock.get("OAK")
    assert item is not None
    assert item.updated_at == LATER + timedelta(hours=1)


async def test_a_restock_is_remembered_once_with_what_it_changes(orders: Orders) -> None:
    await keep(orders, an_order())

    async def note(*, commit: bool) -> bool:
        async with orders.unit_of_work() as uow:
            new = await uow.stock.note_restock("ref_1", "ord_1", {"OAK": 2}, LATER)
            if commit:
                await uow.commit()
            return new

    assert await note(commit=False)
    assert await note(commit=True)
    assert not await note(commit=True)
    assert sorted(await asyncio.gather(*(note(commit=True) for _ in range(4)))) == [False] * 4


async def test_goods_that_come_back_are_counted_where_they_are_tracked(orders: Orders) -> None:
    await count(orders, counted("OAK", 3))
    await keep(orders, order_of("ord_1", OAK=2, ELM=7))
    await confirm(orders, "ord_1")
    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        order.status, order.fulfilled_at = OrderStatus.FULFILLED, LATER
        order.bring_back({"OAK": 1, "ELM": 7}, LATER)  # shipped and returned, saved at once
        await uow.orders.save([order])
        await uow.commit()
    assert await sums(orders) == {"OAK": (2, 0)}
