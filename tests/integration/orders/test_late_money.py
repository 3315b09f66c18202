"""Money that comes for a canceled order, as the settings declare: real PostgreSQL, the worker's handler, the sandbox."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.orders.cancellation import Cancellation
from domain.orders.history import Entry, EntryKind
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.use_cases.count_stock import CountStock
from tests.integration.orders.test_explain import call, follow
from tests.support.house import OPERATOR
from tests.support.sandbox import SandboxGateway
from tests.support.shop import Shop, open_shop

VISA = {"paymentMethodToken": "pm_card_visa"}


@pytest.fixture
async def reopening(
    sandbox: SandboxGateway, database_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Shop]:
    async with open_shop(sandbox, database_url, valkey_url, tmp_path, paid_after_cancel="reopen") as shop:
        await shop.container.orders.count_stock(CountStock(caller=OPERATOR, sku="OAK", on_hand=1))
        yield shop


async def confirm(shop: Shop, number: int) -> str:
    """An order of the only board, paid at the gateway; no worker has followed its events."""
    line = {"sku": "OAK", "name": "Oak board", "quantity": 1, "unitAmount": 4980}
    order = await call(shop, "/v1/orders", {"currency": "EUR", "lines": [line]}, f"order-{number}")
    order_id: str = order["orderId"]
    confirmed = await call(shop, f"/v1/orders/{order_id}/confirm", VISA, f"confirm-{number}")
    assert confirmed["payment"]["status"] == "SUCCEEDED"
    return order_id


async def cancel(shop: Shop, order_id: str) -> None:
    """It ends as canceled before anybody knows of its money, as only the loss of data can bring it about."""
    now = datetime.now(UTC)
    async with shop.container.orders.cancel_order.unit_of_work() as uow:
        order = (await uow.orders.lock([order_id]))[order_id]
        order.cancellation = Cancellation(requested_at=now, reason="lost", requested_by="u_1")
        order.step(OrderStatus.CANCELED, "the order is called off")
        order.note(Entry(kind=EntryKind.REQUEST, name="cancel"))
        await uow.orders.save([order])
        await uow.commit()


async def saved(shop: Shop, order_id: str) -> Order:
    async with shop.container.orders.cancel_order.unit_of_work() as uow:
        order = await uow.orders.get(order_id)
    assert order is not None
    return order


async def stock(shop: Shop) -> dict[str, Any]:
    [row] = await shop.rows("SELECT on_hand, reserved FROM orders.inventory WHERE sku = 'OAK'")
    return row


async def test_an_order_whose_stock_is_there_is_reopened(reopening: Shop) -> None:
    shop = reopening
    order_id = await confirm(shop, 1)
    await cancel(shop, order_id)
    assert await stock(shop) == {"on_hand": 1, "reserved": 0}
    await follow(shop)
    order = await saved(shop, order_id)
    # Without a warehouse the order counts as accepted once it is to be shipped.
    assert (order.status, order.attention) == (OrderStatus.PROCESSING_FULFILLMENT, None)
    assert (order.amount_kept, order.reserved, order.cancellation) == (4980, {"OAK": 1}, None)
    assert await stock(shop) == {"on_hand": 1, "reserved": 1}
    assert await shop.scalar("SELECT count(*) FROM orders.attempt WHERE kind = 'REFUND'") == 0


async def test_an_order_whose_stock_is_gone_is_refunded(reopening: Shop) -> None:
    shop = reopening
    late = await confirm(shop, 1)
    await cancel(shop, late)
    other = await confirm(shop, 2)
    await follow(shop)
    order = await saved(shop, late)
    assert (order.status, order.attention, order.reserved) == (
        OrderStatus.CANCELED,
        "PAID_AFTER_CANCEL",
        None,
    )
    assert await shop.container.orders.recover_attempts() == 1
    await follow(shop)
    order = await saved(shop, late)
    assert (order.status, order.attention) == (OrderStatus.CANCELED, None)
    assert (order.amount_paid, order.amount_refunded) == (4980, 4980)
    await shop.check_books(order.payments[0].payment_id)
    assert (await saved(shop, other)).reserved == {"OAK": 1}
    assert await stock(shop) == {"on_hand": 1, "reserved": 1}
