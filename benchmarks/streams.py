"""Many clients that follow orders live over one server process: its memory, its processor time, how soon they know.

`python -m benchmarks.streams [--listeners N] [--operators]`. Each client follows an order of its own, whose history has eight
entries; then every order gets one more, from another process than the server.
"""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import click
import httpx
import psutil
import uvloop
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import make_engine
from adapters.security.keys import KeyFile
from adapters.system.clock import SystemClock
from benchmarks.machine import ROOT, Machine, a_machine
from benchmarks.scenario import make_orders
from entrypoints.local.ports import free_port
from entrypoints.local.ready import token_issuer

SCOPES = ("orders:read", "users:any")
ENTRIES = 8
IDLE_SECONDS = 10
PER_CALLER = 20
FILL = """
    INSERT INTO orders.history (order_id, entry)
    SELECT id, '{"kind": "EVENT", "name": "PaymentSucceeded", "before": "PENDING_PAYMENT", "after": "PAID",
        "rule": "the money is taken", "payment_id": "pay_01KAQ4N0P1Q2R3S4T5V6W7X8Y9", "sequence": 1,
        "cause": "019ab03d-8a3e-7cc1-a2f4-6f5f1a2b3c4d", "details": {"amount": 2747}}'
    FROM unnest(CAST(:ids AS text[])) AS ids (id), generate_series(1, :count)
"""

Figures = dict[str, float]


@contextmanager
def a_server(machine: Machine, port: int) -> Iterator[psutil.Process]:
    environment = os.environ | {
        "PAYONCE_HOME": str(machine.home),
        "PAYONCE_PORT": str(port),
        "PAYONCE_DATABASE_URL": machine.database_url,
        "PAYONCE_REDIS_URL": machine.redis_url,
        "PAYONCE_STRIPE_API_KEY": "sk_test_payonce",
        "PAYONCE_STRIPE_WEBHOOK_SECRET": "whsec_benchmark",
    }
    command = [sys.executable, "-P", "-m", "entrypoints.cli", "serve"]
    with (machine.home / "serve.log").open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


async def measure(machine: Machine, listeners: int, scopes: Sequence[str]) -> Figures:
    engine = make_engine(machine.database_url, pool_size=2, application="benchmark")
    orders = [order.order_id for order in await make_orders(engine, listeners)]
    port = free_port()
    with a_server(machine, port) as server:
        await _ready(port)
        await _write(engine, orders, ENTRIES)
        clients = [_Client(port, order_id) for order_id in orders]
        await _warm_up(machine, port, orders[0])
        figures: Figures = {"server alone, MB": _memory(server)}
        tokens = _tokens(machine, listeners, scopes)
        begun = time.monotonic()
        for client, token in zip(clients, tokens, strict=True):
            await client.open(token)
        reading = [asyncio.create_task(client.read()) for client in clients]
        await _until(lambda: all(len(client.times) == ENTRIES for client in clients))
        figures["connected with their backlog, s"] = time.monotonic() - begun
        await asyncio.sleep(1)
        figures[f"with {listeners} listeners, MB"] = _memory(server)
        before = server.cpu_times()
        await asyncio.sleep(IDLE_SECONDS)
        after = server.cpu_times()
        spent = after.user + after.system - before.user - before.system
        figures["processor time while nothing happens, ms/s"] = spent * 1000 / IDLE_SECONDS
        committed = await _write(engine, orders, 1)
        await _until(lambda: all(len(client.times) == ENTRIES + 1 for client in clients))
        delays = [client.times[-1] - committed for client in clients]
        figures["an entry for each, from the commit to the client, p50 ms"] = statistics.median(delays) * 1000
        figures["an entry for each, from the commit to the last client, ms"] = max(delays) * 1000
        figures[f"with {listeners} listeners at the end, MB"] = _memory(server)
        figures["a listener, KB"] = (_memory(server) - figures["server alone, MB"]) * 1024 / listeners
        for task, client in zip(reading, clients, strict=True):
            task.cancel()
            client.close()
    await engine.dispose()
    return figures


class _Client:
    """As little of one as can be; notes when each event came."""

    def __init__(self, port: int, order_id: str) -> None:
        self.times: list[float] = []
        self._port = port
        self._path = f"/v1/orders/{order_id}/stream"

    async def open(self, token: str) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        self._writer.write(head.encode())

    async def read(self) -> None:
        while line := await self._reader.readline():
            if line.startswith(b"id: "):
                self.times.append(time.monotonic())

    def close(self) -> None:
        self._writer.close()


def _tokens(machine: Machine, count: int, scopes: Sequence[str] = SCOPES) -> list[str]:
    issuer = token_issuer(
        KeyFile(machine.home / "keys.json"), machine.settings.issuer, machine.settings.audience
    )
    expires = SystemClock().now() + timedelta(hours=1)
    return [issuer.issue(f"u_{number // PER_CALLER}", scopes, expires) for number in range(count)]


async def _write(engine: AsyncEngine, order_ids: list[str], count: int) -> float:
    """So many entries of each order; when they were committed."""
    async with engine.begin() as connection:
        await connection.execute(text(FILL), {"ids": order_ids, "count": count})
        await connection.execute(text("NOTIFY orders_outbox"))
    return time.monotonic()


async def _ready(port: int) -> None:
    async with httpx.AsyncClient() as client:
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)


async def _warm_up(machine: Machine, port: int, order_id: str) -> None:
    """A server that has answered some calls: what its first ones load is no listener's."""
    (token,) = _tokens(machine, 1)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=headers) as client:
        for _ in range(50):
            (await client.get(f"http://127.0.0.1:{port}/v1/orders/{order_id}/explain")).raise_for_status()


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # It is another process that makes it so.
            await asyncio.sleep(0.02)


def _memory(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


@click.command()
@click.option("--listeners", type=click.IntRange(1, 900), default=500, show_default=True)
@click.option("--operators", is_flag=True, help="Who are told of the payment side, too.")
def main(listeners: int, operators: bool) -> None:
    scopes = (*SCOPES, "operations:read") if operators else SCOPES
    with a_machine() as machine:
        figures = uvloop.run(measure(machine, listeners, scopes))
    table = Table("figure", "value", title=f"{listeners} streams")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
