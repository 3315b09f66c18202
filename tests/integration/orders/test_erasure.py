"""`payonce erase` on real services: what is read of a customer afterwards, and what goes on as before."""

import asyncio
import json
from typing import Any

from click.testing import CliRunner, Result

from entrypoints.cli import main
from tests.integration.http.conftest import OPERATOR
from tests.integration.orders.test_explain import call, follow
from tests.support.house import SERVICE
from tests.support.secrets import Marks, dump_of, opened_of
from tests.support.shop import Shop

ADDRESS = {"line1": "Zypernmarkgasse 4711b", "city": "Markwortshausen", "country": "DE"}
CUSTOMER = {
    "name": "Quendolin Markwort",
    "email": "quendolin@markwort.example",
    "billingAddress": ADDRESS,
    "shippingAddress": ADDRESS,
}
MARKS = Marks({"name": CUSTOMER["name"], "mail": CUSTOMER["email"], "street": ADDRESS["line1"]})  # type: ignore[dict-item]


async def order_of(shop: Shop, key: str, user_id: str | None, method: str | None) -> dict[str, Any]:
    """An order of theirs, and its checkout unless `method` is None."""
    line = {"sku": "OAK", "name": "Oak board", "quantity": 1, "unitAmount": 4980}
    body = {"currency": "EUR", "userId": user_id, "lines": [line], "customer": CUSTOMER}
    order = await call(shop, "/v1/orders", {**body, "metadata": {"gift": "yes"}}, f"{key}-order")
    if method is None:
        return order
    confirm = {"paymentMethodToken": method, "returnUrl": "https://shop.test/back"}
    return await call(shop, f"/v1/orders/{order['orderId']}/confirm", confirm, f"{key}-confirm")


async def erase(shop: Shop, *arguments: str, **more: str) -> Result:
    settings = shop.container.settings
    environment = {
        "PAYONCE_HOME": str(settings.home),
        "PAYONCE_DATABASE_URL": settings.database_url.reveal(),
        "PAYONCE_STRIPE_API_KEY": settings.stripe_api_key.reveal(),
        "PAYONCE_STRIPE_WEBHOOK_SECRET": "whsec_unused",
        "PAYONCE_STRIPE_API_BASE": settings.stripe_api_base,
        **more,
    }
    run = CliRunner().invoke
    return await asyncio.to_thread(run, main, ["erase", *arguments, "--yes", "--json"], env=environment)


def printed(result: Result) -> Any:
    """What it says as JSON; the shop runs in this process too, and its log stands around it."""
    return json.JSONDecoder().raw_decode(result.stdout, result.stdout.index("{\n"))[0]


async def customer_of(shop: Shop, order_id: str) -> str | None:
    """Their name, as the shop's own processes read it: the API shows none."""
    order = await shop.container.orders.get_order(SERVICE, order_id)
    return order.customer.name if order.customer else None


def readable(opened: list[tuple[str, str]]) -> set[str]:
    """Which marks are in what was opened."""
    return {name for _, text in opened for name, value in MARKS.values.items() if value in text}


async def search(shop: Shop) -> None:
    for name, text in await dump_of(shop.container.settings.database_url.reveal()):
        assert not list(MARKS.found_in(name, text))


async def test_an_erased_customer_is_nowhere_and_their_money_goes_on(shop: Shop) -> None:
    paid = await order_of(shop, "a", "u_1", "pm_card_visa")
    await follow(shop)
    other = await order_of(shop, "b", "u_2", "pm_card_visa")
    await follow(shop)
    path, payment_id = f"/v1/orders/{paid['orderId']}", paid["payment"]["paymentId"]
    before = (await shop.api.get(path, OPERATOR)).json()
    assert await customer_of(shop, paid["orderId"]) == CUSTOMER["name"]
    await search(shop)
    assert readable(await opened_of(shop.container.orders.engine)) == {"name", "mail", "street"}

    told = await erase(shop, "u_1")
    assert told.exit_code == 0, told.output
    answer = printed(told)
    assert answer["services"]["orders"]["orders"] == 1
    assert answer["services"]["payments"]["payments"] == 1
    assert [one["failure"] for one in answer["gatewayCustomers"]] == [None]

    after = (await shop.api.get(path, OPERATOR)).json()
    assert after["metadata"] == {}
    assert await customer_of(shop, paid["orderId"]) is None
    assert await customer_of(shop, other["orderId"]) == CUSTOMER["name"]
    kept = before.keys() - {"metadata", "version", "updatedAt", "payment"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert (await shop.payment(payment_id))["amountCaptured"] == 4980
    explained = (await shop.api.get(f"{path}/explain", OPERATOR)).json()
    assert any("personal data of its customer was erased" in one["title"] for one in explained["entries"])

    # A repeated request is not carried out again, and its answer is gone.
    confirm = {"paymentMethodToken": "pm_card_visa", "returnUrl": "https://shop.test/back"}
    repeated = await shop.post(f"{path}/confirm", confirm, key="a-confirm")
    assert (repeated.status_code, repeated.json()["code"]) == (410, "personal_data_erased")
    # Money can still be given back, and is heard of.
    assert (await shop.refund(payment_id, 500, "a-refund")).status_code == 201
    await follow(shop)
    assert (await shop.api.get(path, OPERATOR)).json()["amountRefunded"] == 500
    # Repeated, it takes what is new and no more.
    again = printed(await erase(shop, "u_1"))
    assert again["services"]["orders"] == {"records": 1}
    assert again["gatewayCustomers"] == []
    audited = await shop.rows("SELECT entry FROM orders.audit UNION ALL SELECT entry FROM payments.audit")
    assert str(audited).count("customer.erase") == 2


async def test_after_the_erasure_the_keys_open_nothing_of_them(shop: Shop) -> None:
    paid = await order_of(shop, "a", "u_1", "pm_card_visa")
    await follow(shop)
    sealed = await shop.rows("SELECT customer::text FROM orders.orders")
    request = await shop.rows("SELECT request::text FROM payments.operation")
    await shop.delivered()
    engine = shop.container.orders.engine
    assert readable(await opened_of(engine)) == {"name", "mail", "street"}
    bodies = await shop.scalar("SELECT count(*) FROM payments.webhook_event WHERE body IS NOT NULL")
    assert "sealed1.own." in sealed[0]["customer"]
    assert "sealed1.own." in str(request)
    assert bodies > 0
    assert (await erase(shop, "u_1")).exit_code == 0
    assert await shop.scalar("SELECT count(*) FROM orders.data_key WHERE wrapped IS NOT NULL") == 0
    assert await shop.scalar("SELECT count(*) FROM payments.data_key WHERE wrapped IS NOT NULL") == 0
    await shop.delivered()
    assert readable(await opened_of(engine)) == set()
    # Nor does what the gateway tells later bring it back; what it tells of no payment, an erasure takes again.
    assert (await shop.refund(paid["payment"]["paymentId"], 500, "a-refund")).status_code == 201
    await shop.delivered()
    assert (await erase(shop, "u_1")).exit_code == 0
    assert readable(await opened_of(engine)) == set()
    # Even where the ciphertext comes back, as from a replica or a log, nothing opens it.
    order_id = paid["orderId"]
    async with shop.container.orders.engine.begin() as connection:
        await connection.exec_driver_sql(
            f"UPDATE orders.orders SET customer = '{sealed[0]['customer']}' WHERE order_id = '{order_id}'"
        )
    assert await customer_of(shop, order_id) is None
    theirs = await shop.rows(
        "SELECT event_id FROM payments.webhook_event WHERE body IS NOT NULL AND payment_id IS NOT NULL"
    )
    assert theirs == []


async def test_nothing_is_erased_while_something_is_open(shop: Shop) -> None:
    guest = await order_of(shop, "g", None, "pm_card_authenticationRequired")
    await follow(shop)
    refused = await erase(shop, "--order", guest["orderId"])
    assert refused.exit_code == 1
    assert "AWAITING_USER_PAYMENT_ACTION" in printed(refused)["obstacles"][0]
    path = f"/v1/orders/{guest['orderId']}"
    assert await customer_of(shop, guest["orderId"]) == CUSTOMER["name"]
    assert (await shop.post(f"{path}/cancel", {}, key="g-cancel")).status_code == 200
    await follow(shop)
    told = await erase(shop, "--order", guest["orderId"])
    assert told.exit_code == 0, told.output
    assert await customer_of(shop, guest["orderId"]) is None
    alone = printed(await erase(shop, "--order", guest["orderId"], PAYONCE_SERVICE="orders"))
    assert (list(alone["services"]), alone["notHere"]) == (["orders"], ["payments"])


async def test_a_value_that_was_moved_is_refused_in_one_answer(shop: Shop) -> None:
    first = await order_of(shop, "a", "u_1", None)
    second = await order_of(shop, "b", "u_1", None)
    async with shop.container.orders.engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE orders.orders SET customer = (SELECT customer FROM orders.orders"
            f" WHERE order_id = '{first['orderId']}') WHERE order_id = '{second['orderId']}'"
        )
    answer = await shop.api.get(f"/v1/orders/{second['orderId']}", OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (503, "stored_data_unreadable")
    assert (await shop.api.get(f"/v1/orders/{first['orderId']}", OPERATOR)).status_code == 200
