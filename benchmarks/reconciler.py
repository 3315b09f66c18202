"""The process that `benchmarks.reconciliation` measures: `python -m benchmarks.reconciler orders|gateway|all|round`.

One JSON object on its standard output: seconds, its largest memory in MB, and how much it compared.
"""

import asyncio
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from entrypoints.bootstrap import Container, build_container
from entrypoints.environment import load_settings

EVER = timedelta(days=60)


async def compare_orders(container: Container) -> tuple[int, int]:
    """How many payments were compared with their orders, and what was found."""
    done = await container.reconciliation.compare_orders.sweep(since=None, until=None)
    return done.payments, len(done.findings)


async def compare_gateway(container: Container) -> tuple[int, int]:
    """How many payments were compared with the gateway's lists, and how many differ."""
    compared = differing = 0

    def told(number: int) -> None:
        nonlocal compared
        compared += number

    now = container.clock.now()
    comparison = container.payments.reconciliation.compare()
    for gateway in comparison.gateways.accounts:
        async for _ in comparison.sweep(gateway, since=now - EVER, until=now, told=told):
            differing += 1
    return compared, differing


async def work(part: str) -> dict[str, Any]:
    container = build_container(load_settings(os.environ))
    before = _memory()
    cpu, began = time.process_time(), time.monotonic()
    payments = found = 0
    if part == "round":
        done = await container.reconciliation.compare_orders()
        payments, found = done.orders, len(done.findings)
    if part in ("orders", "all"):
        payments, found = await compare_orders(container)
    if part in ("gateway", "all"):
        payments, differing = await compare_gateway(container)
        found += differing
    figures = {
        "seconds": time.monotonic() - began,
        "cpuSeconds": time.process_time() - cpu,
        "memoryBefore": before,
        "memory": _memory(),
        "payments": payments,
        "found": found,
    }
    for account in container.payments.gateways.accounts:
        await account.gateway.aclose()
    await container.payments.engine.dispose()
    await container.orders.engine.dispose()
    return figures


def _memory() -> float:
    """The most it has had, in MB; not by getrusage, which tells of the process that has started this one, too."""
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(sys.argv[1]))))
