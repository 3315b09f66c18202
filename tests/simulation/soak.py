"""The state machine for minutes or hours, on new seeds: `make soak`, or `python -m tests.simulation.soak`.

Several processes, each with a PostgreSQL of its own. A failure is printed with its seed, what the checkers
said, and the command that runs that seed again; that run also shrinks the failure to a short story.
The seed decides every choice. What it does not decide: which of several waiters PostgreSQL lets go first,
and the moments at which a blocked session notices what happened to it.
"""

import argparse
import json
import logging
import multiprocessing
import os
import queue
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from hypothesis import Phase

from entrypoints.local.postgres import EmbeddedPostgres
from tests.simulation.outbox.machine import OutboxMachine
from tests.simulation.outbox.seeds import run_seed

EXAMPLES = 8  # per seed: few, so that a replay is quick
STEPS = 60
OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "200ms",
}


def work(until: float, results: "Queue[dict[str, Any]]") -> None:
    """New seeds, one after the other, until the time has come."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="soak-") as home:
        server = EmbeddedPostgres(Path(home), options=OPTIONS)
        server.start()
        try:
            while time.monotonic() < until:
                results.put(run_one(server, secrets.randbelow(2**32), [Phase.generate]))
        finally:
            server.stop()


def run_one(server: EmbeddedPostgres, seed: int, phases: list[Phase]) -> dict[str, Any]:
    OutboxMachine.totals.clear()
    failure = None
    try:
        run_seed(server, seed, examples=EXAMPLES, steps=STEPS, phases=phases)
    except Exception as error:  # noqa: BLE001 - reported with its seed
        failure = "".join(traceback.format_exception(error))
    return {"seed": seed, "failure": failure, "totals": dict(OutboxMachine.totals)}


def replay(seed: int) -> int:
    """Run one seed again and shrink what it finds."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="soak-") as home:
        server = EmbeddedPostgres(Path(home), options=OPTIONS)
        server.start()
        try:
            result = run_one(server, seed, [Phase.generate, Phase.shrink])
        finally:
            server.stop()
    print(result["failure"] or f"seed {seed}: nothing was found")
    return 1 if result["failure"] else 0


def soak(minutes: float, processes: int) -> int:
    context = multiprocessing.get_context("spawn")
    results: Queue[dict[str, Any]] = context.Queue()
    begun = time.monotonic()
    until = begun + 60 * minutes
    workers = [context.Process(target=work, args=(until, results)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    totals: Counter[str] = Counter()
    failed: list[int] = []
    seeds = 0
    while any(worker.is_alive() for worker in workers) or not results.empty():
        try:
            result = results.get(timeout=0.5)
        except queue.Empty:
            continue
        seeds += 1
        totals.update(result["totals"])
        if result["failure"]:
            failed.append(result["seed"])
            print(result["failure"])
            print(f"seed {result['seed']} failed. To replay it:  make soak SEED={result['seed']}", flush=True)
    broken = [worker.exitcode for worker in workers if worker.exitcode]
    report = {
        "seconds": round(time.monotonic() - begun),
        "processes": processes,
        "seeds": seeds,
        **totals,
        "failed seeds": failed,
        "broken processes": len(broken),
    }
    print(json.dumps(report, indent=2))
    return 1 if failed or broken or not seeds else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES", "10")))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="run this seed alone, and shrink what it finds")
    asked = parser.parse_args()
    if asked.seed is not None:
        return replay(asked.seed)
    return soak(asked.minutes, asked.processes)


if __name__ == "__main__":
    sys.exit(main())
