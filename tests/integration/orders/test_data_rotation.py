"""`payonce keys rotate-data` beside a running shop: keys are replaced, and what lay plainly is sealed."""

import asyncio
import json
from typing import Any

from click.testing import CliRunner
from sqlalchemy import text

from adapters.postgres.sealing import Vault
from adapters.security.data_keys import DataKeyFile, FixedDataKeys
from adapters.system.randomness import random_bytes
from entrypoints.cli import main
from tests.integration.orders.test_erasure import CUSTOMER, MARKS, customer_of, erase, order_of, printed
from tests.integration.orders.test_explain import follow
from tests.support.secrets import dump_of
from tests.support.shop import Shop


async def rotate(shop: Shop, *arguments: str) -> dict[str, Any]:
    settings = shop.container.settings
    environment = {
        "PAYONCE_HOME": str(settings.home),
        "PAYONCE_DATABASE_URL": settings.database_url.reveal(),
    }
    result = await asyncio.to_thread(
        CliRunner().invoke, main, ["keys", "rotate-data", *arguments, "--json"], env=environment
    )
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = printed(result)
    return told


async def dumped(shop: Shop) -> str:
    return "\n".join(part for _, part in await dump_of(shop.container.settings.database_url.reveal()))


async def test_after_a_rotation_beside_orders_the_old_key_is_needed_by_nothing(shop: Shop) -> None:
    path = shop.container.settings.data_key_file
    (old,) = DataKeyFile(path).key_ids
    first = await order_of(shop, "a", "u_1", "pm_card_visa")
    _, second, told = await asyncio.gather(
        follow(shop), order_of(shop, "b", "u_2", "pm_card_visa"), rotate(shop, "--new-key")
    )
    await follow(shop)
    told = await rotate(shop)
    assert told["unneeded"] == [old]
    assert f"sealed1.{old}." not in await dumped(shop)
    # The old key leaves the file, and everything goes on.
    keys = json.loads(path.read_text())
    path.write_text(json.dumps({"keys": keys["keys"][:1]}))
    assert DataKeyFile(path).key_ids == [told["newest"]]
    for order in (first, second):
        assert await customer_of(shop, order["orderId"]) == CUSTOMER["name"]
        assert (await shop.refund(order["payment"]["paymentId"], 500, order["orderId"])).status_code == 201
    assert (await rotate(shop))["sealed"] == {}


async def test_what_an_older_release_left_plain_is_sealed_and_what_is_erased_stays_blank(shop: Shop) -> None:
    plain = await order_of(shop, "a", "u_1", "pm_card_visa")
    erased = await order_of(shop, "b", "u_2", "pm_card_visa")
    await follow(shop)
    assert (await erase(shop, "u_2")).exit_code == 0
    # As the release before wrote them: no key, and values in the open.
    async with shop.container.orders.engine.begin() as connection:
        for statement in (
            "DELETE FROM orders.data_key WHERE record = :order",
            "DELETE FROM payments.data_key WHERE record = :payment",
            "UPDATE orders.orders SET customer = CAST(:customer AS jsonb), metadata = '{}' WHERE order_id = :order",
            'UPDATE payments.operation SET request = \'{"path": "/x", "params": {"name": "Quendolin Markwort"}}\''
            " WHERE payment_id = :payment",
            "UPDATE payments.payment SET description = 'for Quendolin Markwort' WHERE payment_id = :payment",
        ):
            values = {
                "order": plain["orderId"],
                "payment": plain["payment"]["paymentId"],
                "customer": json.dumps({"name": CUSTOMER["name"], "email": CUSTOMER["email"]}),
            }
            clause = text(statement)
            await connection.execute(
                clause, {name: value for name, value in values.items() if name in clause._bindparams}
            )
    assert await customer_of(shop, plain["orderId"]) == CUSTOMER["name"]
    told = await rotate(shop)
    assert told["sealed"]["orders.orders"] == 1
    assert list(MARKS.found_in("the database", await dumped(shop))) == []
    assert await customer_of(shop, plain["orderId"]) == CUSTOMER["name"]
    assert await customer_of(shop, erased["orderId"]) is None
    assert (await erase(shop, "u_1")).exit_code == 0  # what was sealed late is under a key of its own, too


async def test_a_row_that_no_key_opens_is_named_and_stays(shop: Shop) -> None:
    order = await order_of(shop, "a", "u_1", None)
    lost = Vault(FixedDataKeys("lost:" + "A" * 43 + "=", "the test"), random_bytes)
    sealed = lost.new_key("orders", order["orderId"]).wrapped
    async with shop.container.orders.engine.begin() as connection:
        await connection.execute(text("UPDATE orders.data_key SET wrapped = :sealed"), {"sealed": sealed})
    settings = shop.container.settings
    environment = {
        "PAYONCE_HOME": str(settings.home),
        "PAYONCE_DATABASE_URL": settings.database_url.reveal(),
    }
    result = await asyncio.to_thread(
        CliRunner().invoke, main, ["keys", "rotate-data", "--json"], env=environment
    )
    assert result.exit_code == 1
    assert printed(result)["unreadable"] == [f"orders.data_key {order['orderId']}"]
