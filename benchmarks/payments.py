"""Payments from the client's call to the paid order, with the sandbox as gateway and one HTTP process.

`python -m benchmarks.payments [--json FILE] [PART …]`; docs/benchmarks.md says what each figure means.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import asyncpg
import click
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import limit
from benchmarks.client import Client
from benchmarks.machine import Machine, a_machine
from benchmarks.shop import WEBHOOK_SECRET, Shop, a_shop, read_json

CLIENTS = 8  # calls at the same time; more only wait in line before one process
WARM_UP = 60
ALONE = 200  # calls one after the other, whose time is what the machine needs for one
INTENTS = 1_500
ORDERS = 1_000
WEBHOOKS_PER_SECOND = 200
WEBHOOK_ORDERS = 450  # of each of two kinds; their events last about 18 s
WEBHOOK_SECONDS = 20.0
USERS = 50

Figures = dict[str, float]
_CART = {
    "currency": "EUR",
    "lines": [
        {"sku": "OAK-120", "name": "Oak board", "quantity": 2, "unitAmount": 2490, "taxAmount": 946},
        {"sku": "OIL-1", "name": "Hard wax oil", "quantity": 1, "unitAmount": 1890, "taxAmount": 359},
    ],
    "shippingAmount": 490,
    "customer": {"name": "Ada Doe", "email": "ada@example.com"},
}
_keys = (f"bench-{number}" for number in itertools.count())


async def an_order(client: Client, number: int) -> dict[str, Any]:
    body = {**_CART, "userId": f"u_{number % USERS}"}
    return await client.post("/v1/orders", body, next(_keys), 201)


async def an_intent(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    body = {
        "orderId": order["orderId"],
        "amount": order["totalAmount"],
        "currency": "EUR",
        "userId": order["userId"],
    }
    return await client.post("/v1/payments/intents", body, next(_keys), 201)


async def pay(client: Client, order: dict[str, Any]) -> None:
    path = f"/v1/orders/{order['orderId']}/confirm"
    await client.post(path, {"paymentMethodToken": "pm_card_visa"}, next(_keys), 200)


async def side_by_side(
    shop: Shop, work: Callable[[Client, Any], Awaitable[Any]], items: Iterable[Any], clients: int = CLIENTS
) -> tuple[list[Any], list[float], float]:
    """Do `work` for each item on a few connections: the results, the seconds of each, and of all together."""
    waiting = iter(items)
    results: list[Any] = []
    seconds: list[float] = []

    async def one() -> None:
        client = shop.client()
        for item in waiting:
            begun = time.perf_counter()
            results.append(await work(client, item))
            seconds.append(time.perf_counter() - begun)
        client.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return results, seconds, time.perf_counter() - begun


async def intents(machine: Machine) -> Figures:
    """`POST /v1/payments/intents`: alone, then side by side."""
    with a_shop(machine, webhooks=False, follows=False) as shop:
        orders, _, _ = await side_by_side(shop, an_order, range(WARM_UP + ALONE + INTENTS))
        await side_by_side(shop, an_intent, orders[:WARM_UP])
        before = shop.cpu_seconds()
        _, alone, _ = await side_by_side(shop, an_intent, orders[WARM_UP : WARM_UP + ALONE], clients=1)
        between = shop.cpu_seconds()
        _, busy, seconds = await side_by_side(shop, an_intent, orders[WARM_UP + ALONE :])
        after = shop.cpu_seconds()
    calls = read_json(shop.profile)["calls"]["/v1/payments/intents"][WARM_UP : WARM_UP + ALONE]
    _, database, gateway = zip(*calls, strict=True)
    own = [one - of_database - of_gateway for one, of_database, of_gateway in calls]
    return {
        "intents/s": INTENTS / seconds,
        **_percentiles("intent alone, waiting for the database", list(database)),
        **_percentiles("intent alone, in the gateway's call", list(gateway)),
        **_percentiles("intent alone, the rest of it in the server", own),
        **_percentiles("intent", busy),
        **_percentiles("intent alone", alone),
        **_spent("intent alone", before, between, ALONE),
        **_spent("intent", between, after, INTENTS),
    }


async def orders(machine: Machine) -> Figures:
    """Order made, confirmed, its webhooks received, its event relayed and applied: PAID."""
    with a_shop(machine, webhooks=True, follows=True) as shop:
        connection = await asyncpg.connect(machine.database_url)
        begun_at: dict[str, float] = {}

        async def complete(client: Client, number: int) -> None:
            begun = time.monotonic()
            order = await an_order(client, number)
            begun_at[order["orderId"]] = begun
            await pay(client, order)

        await side_by_side(shop, complete, range(WARM_UP))
        await _until_paid(connection, WARM_UP)
        await _until_received(connection, shop)
        before = shop.cpu_seconds()
        begun = time.perf_counter()
        _, calls, _ = await side_by_side(shop, complete, range(WARM_UP, WARM_UP + ORDERS))
        await _until_paid(connection, WARM_UP + ORDERS)
        received = await _until_received(connection, shop)
        seconds = time.perf_counter() - begun
        after = shop.cpu_seconds()
        paid_by = await connection.fetch(
            "SELECT id::text, payload ->> 'partitionkey' FROM payments.outbox_event"
        )
        await connection.close()
    order_of = dict(map(tuple, paid_by))
    latencies = [
        at - begun_at[order_of[event]] for at, events in read_json(shop.applied) for event in events
    ][WARM_UP:]
    profile = read_json(shop.profile)["parts"]
    worked = sum(profile.values())
    return {
        "complete paid orders/s": ORDERS / seconds,
        "webhooks received per order": received / (WARM_UP + ORDERS),
        **_percentiles("both calls", calls),
        **_percentiles("from the first call to PAID", latencies),
        **_spent("order", before, after, ORDERS),
        **{f"HTTP process: {part}, %": 100 * spent / worked for part, spent in sorted(profile.items())},
    }


async def _until_paid(connection: asyncpg.Connection, count: int) -> None:
    while await connection.fetchval("SELECT count(*) FROM orders.orders WHERE status = 'PAID'") < count:
        await asyncio.sleep(0.02)


async def _until_received(connection: asyncpg.Connection, shop: Shop) -> int:
    """Wait until every webhook of the sandbox has come; how many did."""
    sandbox = shop.sandbox()
    while json.loads((await sandbox.call("GET", "/_sandbox/state"))[1])["pendingDeliveries"]:
        await asyncio.sleep(0.05)
    sandbox.close()
    return int(await connection.fetchval("SELECT count(*) FROM payments.webhook_event"))


async def webhooks(machine: Machine) -> Figures:
    """200 webhooks a second, sent when they are due whether or not the ones before are answered."""
    with a_shop(machine, webhooks=False, follows=False) as shop:
        bodies = await _some_webhooks(shop)
        before = shop.cpu_seconds()
        seconds, unavailable = await _send_open_loop(shop, bodies)
        after = shop.cpu_seconds()
        connection = await asyncpg.connect(machine.database_url)
        outcomes = await connection.fetch("SELECT outcome, count(*) FROM payments.webhook_event GROUP BY 1")
        await connection.close()
    return {
        "webhooks sent": float(len(bodies)),
        "webhooks answered 503": float(unavailable),
        **{f"webhooks {outcome}": float(count) for outcome, count in outcomes},
        **_percentiles("webhook", seconds),
        **_spent("webhook", before, after, len(bodies)),
    }


async def _some_webhooks(shop: Shop) -> list[bytes]:
    """Events of orders paid through our API, of refunds made at the gateway, and of intents that the
    customer confirmed there: their webhook is the first that we hear of it, and asks the gateway back."""

    async def through_us(client: Client, number: int) -> None:
        await pay(client, await an_order(client, number))

    async def at_the_gateway(client: Client, number: int) -> str:
        return str((await an_intent(client, await an_order(client, number)))["gatewayPaymentIntentId"])

    await side_by_side(shop, through_us, range(WEBHOOK_ORDERS))
    unpaid, _, _ = await side_by_side(shop, at_the_gateway, range(WEBHOOK_ORDERS))
    sandbox = shop.sandbox()
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    for intent_id in unpaid:
        path = f"/v1/payment_intents/{intent_id}/confirm"
        body = b"payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.test%2F"
        status, answer = await sandbox.call("POST", path, body, form)
        assert status == 200, answer
    paid = await _listed(sandbox, "/v1/payment_intents")
    for intent in paid:
        if intent["id"] not in set(unpaid):
            body = f"payment_intent={intent['id']}&amount=100".encode()
            status, answer = await sandbox.call("POST", "/v1/refunds", body, form)
            assert status == 200, answer
    events = await _listed(sandbox, "/v1/events")
    sandbox.close()
    wanted = events[: int(WEBHOOKS_PER_SECOND * WEBHOOK_SECONDS)]  # the newest first, as they are listed
    random.Random(7).shuffle(wanted)
    return [json.dumps(event).encode() for event in wanted]


async def _listed(sandbox: Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = json.loads((await sandbox.call("GET", f"{path}?limit=100{after}"))[1])
        found += page["data"]
        if not page["has_more"]:
            return found
        after = f"&starting_after={found[-1]['id']}"


async def _send_open_loop(shop: Shop, bodies: list[bytes]) -> tuple[list[float], int]:
    """Seconds from when each was due to its answer, and how many were put off: a server that falls behind
    makes all of them late."""
    idle: list[Client] = []
    seconds: list[float] = []
    statuses: Counter[int] = Counter()

    async def send(body: bytes, due: float) -> None:
        client = idle.pop() if idle else Client(shop.http_port, {})
        signed_at = int(time.time())
        signed = hmac.new(WEBHOOK_SECRET.encode(), b"%d." % signed_at + body, hashlib.sha256).hexdigest()
        headers = f"Content-Type: application/json\r\nStripe-Signature: t={signed_at},v1={signed}\r\n"
        status, answer = await client.call("POST", "/v1/webhooks/stripe", body, headers)
        assert status in {200, 503}, answer
        statuses[status] += 1
        seconds.append(time.monotonic() - due)
        idle.append(client)

    for body in bodies[:WARM_UP]:
        await send(body, time.monotonic())
    seconds.clear()
    begun = time.monotonic()
    async with asyncio.TaskGroup() as sending:
        for number, body in enumerate(bodies[WARM_UP:]):
            due = begun + number / WEBHOOKS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            sending.create_task(send(body, due))
    for client in idle:
        client.close()
    return seconds, statuses[503]


async def limits(machine: Machine) -> Figures:
    """By hand; and by hand with the gateway's two calls, which says what nobody on this machine can go below."""
    async with limit.a_shop_by_hand(machine.database_url) as pool:
        without = await limit.paid_orders(pool, ORDERS)
    with a_shop(machine, webhooks=False, follows=False) as shop:
        gateway = limit.Gateway(f"http://127.0.0.1:{shop.sandbox_port}", "sk_test_payonce")
        async with limit.a_shop_by_hand(machine.database_url) as pool:
            before = shop.cpu_seconds()
            with_calls = await limit.paid_orders(pool, ORDERS, gateway)
            after = shop.cpu_seconds()
        await gateway.aclose()
    spent = _spent("order by hand", before, after, ORDERS)
    return {
        "limit, paid orders/s": without,
        "limit with the gateway's calls, paid orders/s": with_calls,
        **spent,
        "processor time of an order by hand, ms": sum(spent.values()),
    }


def _percentiles(name: str, seconds: list[float]) -> Figures:
    hundredths = statistics.quantiles(seconds, n=100)
    return {f"{name}, p50 ms": hundredths[49] * 1000, f"{name}, p99 ms": hundredths[98] * 1000}


def _spent(what: str, before: dict[str, float], after: dict[str, float], count: int) -> Figures:
    return {
        f"processor time of {name}, ms/{what}": (after[name] - before[name]) * 1000 / count for name in after
    }


PARTS: dict[str, Callable[[Machine], Coroutine[Any, Any, Figures]]] = {
    "limits": limits,
    "intents": intents,
    "orders": orders,
    "webhooks": webhooks,
}


async def measure(machine: Machine, parts: tuple[str, ...]) -> Figures:
    figures: Figures = {}
    for part in parts:
        figures |= await PARTS[part](machine)
    ours, hand = figures.get("complete paid orders/s"), figures.get("limit, paid orders/s")
    if ours and hand:
        figures["paid orders ÷ limit"] = ours / hand
    return figures


@click.command()
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--functions", is_flag=True, help="Print the functions of the HTTP process that cost most.")
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
def main(file: Path | None, functions: bool, parts: tuple[str, ...]) -> None:
    with a_machine() as machine:
        figures = uvloop.run(measure(machine, parts or tuple(PARTS)))
        profile = machine.home / "profile.json"
        told = read_json(profile) if profile.exists() else {"parts": {}, "functions": {}}
    table = Table("figure", "value", title="payments")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.2f}" if value < 100 else f"{value:,.0f}")
    Console().print(table)
    if functions:
        worked = sum(told["parts"].values())
        for name, spent in told["functions"].items():
            click.echo(f"{100 * spent / worked:5.1f} %  {name}")
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
