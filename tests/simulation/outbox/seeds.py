"""Runs of the state machine that a seed decides."""

import asyncio
from collections.abc import Sequence

import asyncpg
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from entrypoints.local.postgres import EmbeddedPostgres
from tests.simulation.outbox.machine import OutboxMachine
from tests.simulation.outbox.world import World
from tests.support.postgres import create_database

# Not the settings that a profile or the environment might bring: a seed means the same everywhere.
PHASES = (Phase.generate,)


async def prepare_template(server: EmbeddedPostgres, name: str = "outbox_template") -> str:
    """The database that each run's is a clone of; made once per server."""
    connection = await asyncpg.connect(server.url())
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            return name
    finally:
        await connection.close()
    url = await create_database(server, name=name)
    observer = await asyncpg.connect(url)
    world = World(url, observer)
    try:
        await world.prepare()
    finally:
        await world.close()
        await observer.close()
    return name


def run_seed(
    server: EmbeddedPostgres,
    number: int,
    *,
    examples: int,
    steps: int,
    phases: Sequence[Phase] = PHASES,
) -> None:
    """So many examples of so many steps, all of them decided by the seed. Raises what a checker found."""

    class Bound(OutboxMachine):
        pass

    Bound.server = server
    Bound.template = asyncio.run(prepare_template(server))
    run_state_machine_as_test(
        seed(number)(Bound),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            database=None,
            deadline=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
