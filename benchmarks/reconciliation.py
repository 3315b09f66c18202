"""Reconciliation at size: `python -m benchmarks.reconciliation [--payments N] [--json FILE]`.

One order is paid by the real system and cloned; then a process of its own compares all of it.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import click
from rich.console import Console
from rich.table import Table

from benchmarks.client import Client
from benchmarks.clones import clone_objects, clone_rows
from benchmarks.machine import ROOT, Machine, a_machine
from benchmarks.shop import SANDBOX_KEY, Shop, a_shop
from entrypoints.local.ports import free_port

PAGE = 500
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    order_id: str
    payment_id: str
    store: Path


async def pay_one(shop: Shop) -> tuple[str, str]:
    client = shop.client()
    line = {"sku": "OAK-120", "name": "Oak board, 120 cm", "quantity": 2, "unitAmount": 2490}
    order = await client.post("/v1/orders", {"currency": "EUR", "lines": [line]}, "order", 201)
    path = f"/v1/orders/{order['orderId']}"
    await client.post(f"{path}/confirm", {"paymentMethodToken": "pm_card_visa"}, "confirm", 200)
    while True:
        _, answer = await client.call("GET", path)
        found = json.loads(answer)
        if found["status"] == "PAID":  # nobody tells the warehouse here
            client.close()
            return str(order["orderId"]), str(found["payments"][0]["paymentId"])
        await asyncio.sleep(0.1)


def prepare(machine: Machine, payments: int) -> Made:
    with a_shop(machine, webhooks=True, follows=True) as shop:
        order_id, payment_id = asyncio.run(pay_one(shop))
        store = machine.home / f"sandbox-{shop.sandbox_port}.sqlite3"
    made = Made(order_id, payment_id, store)
    clone_objects(store, payments)
    asyncio.run(_clone(machine, made, payments))
    return made


async def _clone(machine: Machine, made: Made, payments: int) -> None:
    connection = await asyncpg.connect(machine.database_url)
    await clone_rows(connection, made.order_id, made.payment_id, payments)
    await connection.close()


@contextmanager
def a_sandbox(machine: Machine, made: Made) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-P", "-m", "sandbox", "--port", str(port), "--data", str(made.store)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # "sandbox ready …"
    try:
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=60)


def measured(machine: Machine, sandbox_port: int, part: str) -> Figures:
    environment = os.environ | {
        "PAYONCE_HOME": str(machine.home),
        "PAYONCE_DATABASE_URL": machine.database_url,
        "PAYONCE_REDIS_URL": machine.redis_url,
        "PAYONCE_STRIPE_API_KEY": "sk_test_payonce",
        "PAYONCE_STRIPE_API_BASE": f"http://127.0.0.1:{sandbox_port}",
        "PAYONCE_STRIPE_WEBHOOK_SECRET": "whsec_benchmark",
        "PAYONCE_RECONCILE_CALLS_PER_SECOND": "1000",  # what this machine can, not what Stripe allows
        "PAYONCE_LOG_LEVEL": "WARNING",
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reconciler", part],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


async def merge_of_two_lists(machine: Machine) -> Figures:
    """The limit: the orders' and the payments' list, each by one index, merged by hand on asyncpg."""
    orders = await asyncpg.connect(machine.database_url)
    payments = await asyncpg.connect(machine.database_url)
    began, cpu, compared, after = time.monotonic(), time.process_time(), 0, ""
    while True:
        page = await orders.fetch(
            "SELECT order_id, amount_paid, amount_refunded FROM orders.orders"
            " WHERE order_id > $1 ORDER BY order_id LIMIT $2",
            after,
            PAGE,
        )
        if not page:
            break
        money = await payments.fetch(
            "SELECT order_id, amount_captured, amount_refunded FROM payments.payment"
            " WHERE order_id > $1 AND order_id <= $2 ORDER BY order_id",
            after,
            page[-1]["order_id"],
        )
        for mine, theirs in zip(page, money, strict=True):
            assert tuple(mine) == tuple(theirs)
        compared, after = compared + len(page), page[-1]["order_id"]
    figures = {
        "seconds": time.monotonic() - began,
        "cpuSeconds": time.process_time() - cpu,
        "payments": compared,
    }
    await orders.close()
    await payments.close()
    return figures


async def read_the_list(port: int) -> Figures:
    """The limit of the other half: every page of the gateway's intents, decoded, and nothing else."""
    client = Client(port, SANDBOX_KEY)
    began, cpu, read, after = time.monotonic(), time.process_time(), 0, ""
    while True:
        _, answer = await client.call("GET", f"/v1/payment_intents?limit=100{after}")
        page = json.loads(answer)
        read += len(page["data"])
        if not page["has_more"]:
            break
        after = f"&starting_after={page['data'][-1]['id']}"
    client.close()
    return {
        "seconds": time.monotonic() - began,
        "cpuSeconds": time.process_time() - cpu,
        "payments": read,
    }


@click.command()
@click.option("--payments", default=100_000, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path))
def main(payments: int, file: Path | None) -> None:
    console = Console()
    with a_machine() as machine:
        with console.status(f"{payments:,} payments are made"):
            made = prepare(machine, payments)
        figures: dict[str, Figures] = {}
        with a_sandbox(machine, made) as port:
            for name, part in PARTS.items():
                with console.status(name):
                    figures[name] = measured(machine, port, part)
            figures[LIMIT] = asyncio.run(merge_of_two_lists(machine))
            figures[LISTED] = asyncio.run(read_the_list(port))
    table = Table("part", "seconds", "processor", "payments/s", "memory, MB", "× limit", "found")
    for name, found in figures.items():
        number = found["payments"]
        memory = f"{found['memory']:.0f}" if "memory" in found else ""
        limit = figures[LIMITS[name]] if name in LIMITS else None
        ratio = f"{found['seconds'] / limit['seconds']:.0f}" if limit else ""
        table.add_row(
            name,
            f"{found['seconds']:.1f}",
            f"{found['cpuSeconds']:.1f}",
            f"{number / found['seconds']:,.0f}",
            memory,
            ratio,
            str(found.get("found", "")),
        )
    console.print(table)
    if file is not None:
        file.write_text(json.dumps({"payments": payments, "parts": figures}) + "\n", "ascii")


LIMIT = "limit: orders and payments merged by hand"
LISTED = "limit: the gateway's list read by hand"
PARTS = {
    "the three books, all of them": "all",
    "of these, orders with payments": "orders",
    "and payments with the gateway": "gateway",
    "the first round, which catches up": "round",
    "a round when nothing has changed": "round",
}

LIMITS = {
    "of these, orders with payments": LIMIT,
    "and payments with the gateway": LISTED,
}
"""What each is held against."""

if __name__ == "__main__":
    main()
