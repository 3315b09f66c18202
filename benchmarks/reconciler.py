"""The process that `benchmarks.reconciliation` measures: `python -m benchmarks.reconciler orders|round`.

One JSON object on its standard output: seconds, its largest memory in MB, and how much it compared.
"""

import asyncio
import json
import os
import resource
import sys
import time
from typing import Any

from entrypoints.bootstrap import build_container
from entrypoints.environment import load_settings


async def work(part: str) -> dict[str, Any]:
    container = build_container(load_settings(os.environ))
    compare = container.reconciliation.compare_orders
    before = _memory()
    cpu, began = time.process_time(), time.monotonic()
    done = await (compare.sweep(since=None, until=None) if part == "orders" else compare())
    figures = {
        "seconds": time.monotonic() - began,
        "cpuSeconds": time.process_time() - cpu,
        "memoryBefore": before,
        "memory": _memory(),
        "orders": done.orders,
        "payments": done.payments,
        "findings": len(done.findings),
    }
    await container.payments.engine.dispose()
    await container.orders.engine.dispose()
    return figures


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(sys.argv[1]))))
