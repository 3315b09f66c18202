"""The outbox from end to end, against a hand-written limit on the same machine in the same run.

`python -m benchmarks.outbox [--json FILE] [PART …]`; docs/benchmarks.md says what each figure means.
"""

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import click
import psutil
import uvloop
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from adapters.system.ids import SystemIds
from benchmarks import enqueue, limit
from benchmarks.machine import ROOT, Machine, a_machine
from benchmarks.scenario import EventOf, append_all, authorized, make_orders, paid
from domain.orders.status import OrderStatus
from entrypoints.bootstrap import Container, build_container

EVENTS = 20_000
SINGLE_EVENTS = 300
MEMORY_ROUNDS = 5
ORDERS_APPLIED = "SELECT count(*) FROM orders.inbox_stream WHERE consumer = 'orders' AND applied > 0"
STREAMS_APPLIED = """
    SELECT count(*) FROM orders.inbox_stream WHERE consumer = 'orders' AND stream = ANY ($1) AND applied > 0
"""
SENT_AGAIN = "SELECT coalesce(max(total_published), 0) FROM payments.outbox_round"
AT_THE_END = 200  # of a backlog: the end is near when these are applied
LANES = "SELECT lane FROM payments.outbox_lane WHERE publisher = 'dramatiq' FOR UPDATE"

_random = random.Random(7)
PAUSES = [_random.uniform(0.05, 0.4) for _ in range(SINGLE_EVENTS)]  # seconds before each single event

Figures = dict[str, float]


@contextmanager
def a_process(machine: Machine, role: str, file: Path) -> Iterator[psutil.Process]:
    environment = os.environ | {
        "PAYONCE_HOME": str(machine.home),
        "PAYONCE_DATABASE_URL": machine.database_url,
        "PAYONCE_REDIS_URL": machine.redis_url,
        "PAYONCE_STRIPE_API_KEY": "sk_test_payonce",
        "PAYONCE_STRIPE_WEBHOOK_SECRET": "whsec_benchmark",
    }
    command = [sys.executable, "-m", "benchmarks.process", role, str(file)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


async def drains(machine: Machine, container: Container) -> Figures:
    """Backlogs of events that move an order, and of such that ask for two effects besides."""
    return {
        **await drain("drain", machine, container, authorized, OrderStatus.AUTHORIZED),
        **await drain("drain with two effects each", machine, container, paid, OrderStatus.PAID),
    }


async def drain(
    name: str, machine: Machine, container: Container, event_of: EventOf, status: OrderStatus
) -> Figures:
    """A backlog through relay, broker and one worker process; and the memory of both over several of them."""
    figures: Figures = {}
    rates, relay_memory, worker_memory = [], [], []
    with (
        a_process(machine, "relay", machine.home / "none") as relay,
        a_process(machine, "worker", machine.home / "none") as worker,
    ):
        await _warm_up(container)
        moved, applied = await _moved(machine, status), await _applied(machine)
        spent: dict[str, float] = {}
        for _ in range(MEMORY_ROUNDS):
            orders = await make_orders(container.orders.engine, EVENTS)
            gate = await asyncpg.connect(machine.database_url)
            async with gate.transaction():  # no relay gets a lane while the backlog is being made
                while len(await gate.fetch(LANES + " SKIP LOCKED")) < container.payments.outbox.lanes:
                    await asyncio.sleep(0.05)
                await append_all(container.payments.engine, container.payments.outbox, orders, event_of)
            before = _cpu_seconds(relay, worker)
            begun = time.perf_counter()
            container.payments.waker.wake()
            applied += EVENTS
            last = [order.payments[0].payment_id for order in orders[-AT_THE_END:]]
            while await gate.fetchval(STREAMS_APPLIED, last) < len(last):
                await asyncio.sleep(0.02)
            while await gate.fetchval(ORDERS_APPLIED) < applied:  # reads them all: too dear to begin with
                await asyncio.sleep(0.02)
            rates.append(EVENTS / (time.perf_counter() - begun))
            for part, seconds in _cpu_seconds(relay, worker).items():
                spent[part] = spent.get(part, 0.0) + seconds - before[part]
            await gate.close()
            relay_memory.append(relay.memory_info().rss / 2**20)
            worker_memory.append(worker.memory_info().rss / 2**20)
        figures[f"{name}, sent again"] = await _count(machine, SENT_AGAIN)
    moved = await _moved(machine, status) - moved
    assert moved == EVENTS * MEMORY_ROUNDS, f"{moved} orders have moved"
    figures[f"{name}, events/s"] = statistics.median(rates)
    figures[f"{name}, slowest round"] = min(rates)
    figures[f"{name}, fastest round"] = max(rates)
    for part, seconds in spent.items():
        figures[f"{name}, processor time of {part}, µs/event"] = seconds * 1e6 / (EVENTS * MEMORY_ROUNDS)
    figures[f"{name}, relay, MB after the first backlog"] = relay_memory[0]
    figures[f"{name}, relay, MB after the last"] = relay_memory[-1]
    figures[f"{name}, worker, MB after the first backlog"] = worker_memory[0]
    figures[f"{name}, worker, MB after the last"] = worker_memory[-1]
    return figures


async def latency(machine: Machine, container: Container) -> Figures:
    """Single events on an idle system, from the return of the commit to the end of the worker's transaction."""
    file = machine.home / "applied.json"
    committed: dict[str, float] = {}
    orders = await make_orders(container.orders.engine, SINGLE_EVENTS)
    ids = SystemIds()
    with a_process(machine, "relay", file), a_process(machine, "worker", file):
        await _warm_up(container)
        for order, pause in zip(orders, PAUSES, strict=True):
            await asyncio.sleep(pause)
            event = paid(order, ids)
            async with container.payments.engine.begin() as connection:
                await container.payments.outbox.append(connection, [event])
            committed[str(event.id)] = time.monotonic()
            container.payments.waker.wake()
        await asyncio.sleep(1)
    applied = {
        event_id: at
        for at, event_ids in json.loads(await asyncio.to_thread(file.read_text, "ascii"))
        for event_id in event_ids
    }
    seconds = [applied[event_id] - at for event_id, at in committed.items()]
    return _percentiles("latency", seconds)


async def limits(machine: Machine, container: Container) -> Figures:
    url = machine.database_url
    return {
        "limit, one per transaction, events/s": await limit.one_per_transaction(url, EVENTS),
        "limit, batches of 500, events/s": await limit.in_batches(url, EVENTS),
        **_percentiles("limit, LISTEN/NOTIFY", await limit.notified(url, PAUSES)),
    }


async def enqueues(machine: Machine, container: Container) -> Figures:
    return await enqueue.measure(container)


def _percentiles(name: str, seconds: list[float]) -> Figures:
    hundredths = statistics.quantiles(seconds, n=100)
    return {f"{name}, p50 ms": hundredths[49] * 1000, f"{name}, p99 ms": hundredths[98] * 1000}


def _cpu_seconds(relay: psutil.Process, worker: psutil.Process) -> dict[str, float]:
    """What each part has used since it began; the servers are children of this process."""
    spent = {"relay": _used(relay), "worker": _used(worker), "PostgreSQL": 0.0, "Valkey": 0.0}
    for child in psutil.Process().children(recursive=True):
        name = child.name()
        if name.startswith("postgres"):
            spent["PostgreSQL"] += _used(child)
        elif name.startswith("valkey"):
            spent["Valkey"] += _used(child)
    return spent


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _warm_up(container: Container) -> None:
    """Wait until relay and worker have handled something."""
    orders = await make_orders(container.orders.engine, 50)
    before = await _count_applied(container)
    await append_all(container.payments.engine, container.payments.outbox, orders)
    container.payments.waker.wake()
    while await _count_applied(container) < before + 50:
        await asyncio.sleep(0.1)


async def _count_applied(container: Container) -> int:
    async with container.orders.engine.connect() as connection:
        return int(await connection.scalar(text(ORDERS_APPLIED)) or 0)


async def _applied(machine: Machine) -> int:
    return await _count(machine, ORDERS_APPLIED)


async def _moved(machine: Machine, status: OrderStatus) -> int:
    return await _count(machine, f"SELECT count(*) FROM orders.orders WHERE status = '{status}'")


async def _count(machine: Machine, query: str) -> int:
    connection = await asyncpg.connect(machine.database_url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


PARTS: dict[str, Callable[[Machine, Container], Coroutine[Any, Any, Figures]]] = {
    "limits": limits,
    "drain": drains,
    "latency": latency,
    "enqueue": enqueues,
}


async def measure(machine: Machine, parts: tuple[str, ...]) -> Figures:
    figures: Figures = {}
    container = build_container(machine.settings)
    await container.start()
    for part in parts:
        figures |= await PARTS[part](machine, container)
    await container.stop()
    return figures | _ratios(figures)


def _ratios(figures: Figures) -> Figures:
    """What is left where machines differ; of the parts that were measured."""
    pairs = {
        "drain ÷ limit, one per transaction": ("drain, events/s", "limit, one per transaction, events/s"),
        "drain ÷ limit, batches of 500": ("drain, events/s", "limit, batches of 500, events/s"),
        "latency ÷ limit, p50": ("latency, p50 ms", "limit, LISTEN/NOTIFY, p50 ms"),
        "latency ÷ limit, p99": ("latency, p99 ms", "limit, LISTEN/NOTIFY, p99 ms"),
    }
    return {
        name: figures[ours] / figures[limit]
        for name, (ours, limit) in pairs.items()
        if ours in figures and limit in figures
    }


@click.command()
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
def main(file: Path | None, parts: tuple[str, ...]) -> None:
    with a_machine() as machine:
        figures = uvloop.run(measure(machine, parts or tuple(PARTS)))
    table = Table("figure", "value", title="outbox")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.2f}" if value < 100 else f"{value:,.0f}")
    Console().print(table)
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
