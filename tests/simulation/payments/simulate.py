"""The state machines of payments on new seeds: `make simulate`, or `python -m tests.simulation.payments.simulate`.

A failure is printed with its seed and the command that runs that seed again, which also shrinks it to a
short story. A seed decides every step and the sandbox's chaos; what it does not decide is which of several
requests at once is the first.
"""

import argparse
import asyncio
import logging
import os
import secrets
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from hypothesis import Phase
from hypothesis.stateful import RuleBasedStateMachine

from entrypoints.local.postgres import EmbeddedPostgres
from entrypoints.local.valkey import EmbeddedValkey
from tests.simulation.orders.machine import OrderMachine
from tests.simulation.payments.machine import PaymentMachine
from tests.simulation.payments.sandbox_machine import SandboxMachine
from tests.simulation.payments.seeds import run_seed
from tests.support.database import migrate
from tests.support.postgres import create_database
from tests.support.sandbox import SandboxProcess

OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
MACHINES: list[tuple[type[RuleBasedStateMachine], int, int]] = [
    (PaymentMachine, 20, 60),
    (OrderMachine, 30, 80),
    (SandboxMachine, 10, 25),
]
"""Each with its examples per seed, few so that a replay is quick, and steps per example."""


@contextmanager
def servers() -> Iterator[None]:
    """PostgreSQL, Valkey and the sandbox, for the machine that needs them."""
    with tempfile.TemporaryDirectory(prefix="simulate-") as home:
        postgres = EmbeddedPostgres(Path(home, "postgres"), options=OPTIONS)
        valkey, sandbox = EmbeddedValkey(Path(home, "valkey")), SandboxProcess(Path(home, "sandbox.sqlite3"))
        for folder in ("postgres", "valkey"):
            Path(home, folder).mkdir()
        postgres.start()
        valkey.start()
        sandbox.start()
        try:
            migrate(asyncio.run(create_database(postgres, name="simulate_template")))
            SandboxMachine.postgres, SandboxMachine.template = postgres, "simulate_template"
            SandboxMachine.sandbox_url, SandboxMachine.valkey_url = sandbox.url, valkey.url
            SandboxMachine.home = Path(home)
            yield
        finally:
            sandbox.stop()
            valkey.stop()
            postgres.stop()


def run_one(number: int, phases: list[Phase]) -> str | None:
    """What a seed finds, None where it finds nothing."""
    try:
        for machine, examples, steps in MACHINES:
            run_seed(machine, number, examples=examples, steps=steps, phases=phases)
    except Exception as error:  # noqa: BLE001 - reported with its seed
        return "".join(traceback.format_exception(error))
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SIMULATE_MINUTES", "5")))
    parser.add_argument("--seed", type=int, help="run this seed alone, and shrink what it finds")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    until = time.monotonic() + 60 * asked.minutes
    seeds = failed = 0
    with servers():
        while seeds == 0 or (asked.seed is None and time.monotonic() < until):
            number = secrets.randbelow(2**32) if asked.seed is None else asked.seed
            phases = [Phase.generate] if asked.seed is None else [Phase.generate, Phase.shrink]
            found = run_one(number, phases)
            seeds += 1
            if found is not None:
                failed += 1
                print(found)
                print(f"seed {number} failed. To replay it:  make simulate SEED={number}", flush=True)
    print(f"{seeds} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
