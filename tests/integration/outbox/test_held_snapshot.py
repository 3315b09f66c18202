"""Somebody holds a snapshot for long: dead rows stay, and nothing hot may have to step over them.

Measured by the pages that each statement touches, not by time; benchmarks/held_snapshot.py measures the time.
"""

import itertools
import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from outbox import OrderedInbox, Outbox, Relay
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.conftest import async_url, create
from tests.integration.outbox.events import event
from tests.integration.outbox.ledger import CREATE_EFFECTS, Ledger
from tests.support.driver import ProbedConnection, probe
from tests.support.plans import Explainer

EVENTS = 10  # in a round, each the first of a stream or the next of the stream of the round before
ROUNDS = 400
NOISE = 4  # pages: an index grows by a level
PAGES_ELSEWHERE = 9  # of a written row: where it was, where it goes, a map of free space, and its index entry
_VALUE = re.compile(
    r"'\{[^']*\}'|'[0-9a-f]{9,}'|\b\d{9,}\b"
)  # written into a statement that has no parameters


class Line:
    """Writer, relay and consumer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.outbox = Outbox("shop", lanes=4)
        self.inbox = OrderedInbox("orders", "orders", Ledger())
        self.broker = InMemoryPublisher()
        self.relay = Relay(engine, self.outbox, self.broker)
        self.rounds = itertools.count(1)

    async def round(self) -> None:
        n = next(self.rounds)
        events = [event(f"{(n + 1) // 2}-{i}", 2 - n % 2) for i in range(EVENTS)]
        async with self.engine.begin() as connection:
            await self.outbox.append(connection, events)
        await self.relay.drain()
        received = await self.inbox.receive(self.engine, self.broker.events)
        assert received.applied == EVENTS
        self.broker.events.clear()

    async def pages(self) -> dict[str, int]:
        """The pages that each statement touches, in rounds like all others."""
        explainer = Explainer(("shop", "orders"), most=4, prepared=False)
        token = probe.set(explainer)
        try:
            for _ in range(4):
                await self.round()
        finally:
            probe.reset(token)
        touched: dict[str, int] = {}
        for plan in explainer.plans:
            shape = _VALUE.sub("…", plan.statement)
            touched[shape] = max(plan.buffers, touched.get(shape, 0))
        return touched


@pytest.fixture
async def line(empty_database_url: str) -> AsyncIterator[Line]:
    engine = create_async_engine(
        async_url(empty_database_url), connect_args={"connection_class": ProbedConnection}
    )
    line = Line(engine)
    await create(engine, "shop", line.outbox.ddl())
    await create(engine, "orders", [*line.inbox.ddl(), CREATE_EFFECTS])
    yield line
    await engine.dispose()


def most(statement: str, before: int) -> int:
    """A row that finds no room beside its dead versions goes elsewhere: that costs no more however many there are."""
    elsewhere = EVENTS * PAGES_ELSEWHERE if statement.startswith(("INSERT", "UPDATE")) else 0
    return max(2 * before + NOISE, elsewhere)


async def test_a_held_snapshot_makes_no_statement_touch_more_than_twice_its_pages(line: Line) -> None:
    for _ in range(50):
        await line.round()
    before = await line.pages()
    async with line.engine.connect() as holder:
        await holder.execution_options(isolation_level="REPEATABLE READ")
        await holder.execute(text("SELECT count(*) FROM shop.outbox_cursor"))
        for _ in range(ROUNDS):
            await line.round()
        held = await line.pages()

    assert before.keys() == held.keys()
    grown = {s: (before[s], held[s]) for s in before if held[s] > most(s, before[s])}
    assert not grown
