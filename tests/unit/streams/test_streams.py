"""Each listener has exactly the rows of its order, in order, whoever else listens and whenever they come."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import pytest

from domain.orders.history import Entry, EntryKind, Recorded
from entrypoints import streams
from entrypoints.streams import Listener, OrderStreams
from tests.support.house import START


def row(position: int, order_id: str = "ord_1") -> Recorded:
    entry = Entry(kind=EntryKind.EVENT, name="PaymentSucceeded")
    return Recorded(order_id=order_id, position=position, at=START, entry=entry)


class Table:
    """A history whose reads can be held between their snapshot and their answer."""

    def __init__(self) -> None:
        self.rows: list[Recorded] = []
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self.fails = 0

    async def read(self, positions: Mapping[str, int], limit: int) -> Sequence[Recorded]:
        self.reads += 1
        if self.fails:
            self.fails -= 1
            raise ConnectionError
        found = [
            row
            for order_id, after in positions.items()
            for row in islice((r for r in self.rows if r.order_id == order_id and r.position > after), limit)
        ]
        self.reached.set()
        await self.gate.wait()
        await asyncio.sleep(0)
        return found


@pytest.fixture(autouse=True)
def _closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(streams, "PAUSE_AFTER_FAILURE_SECONDS", 0.001)


@asynccontextmanager
async def running(table: Table, limit: int = 100) -> AsyncIterator[OrderStreams]:
    hub = OrderStreams(table.read, listen_dsn=None, channel="", limit=limit)
    stop = asyncio.Event()
    run = asyncio.create_task(hub.run(stop))
    try:
        yield hub
    finally:
        table.gate.set()
        stop.set()
        await run


async def receive(listener: Listener, count: int) -> list[int]:
    got: list[int] = []
    async with asyncio.timeout(10):
        while len(got) < count and not listener.is_over:
            got += [row.position for row in await listener.take(1)]
    return got


async def test_what_was_comes_first_and_what_happens_after_it() -> None:
    table = Table()
    table.rows = [row(number) for number in range(1, 251)]
    async with running(table) as hub, hub.listen("ord_1", 0) as listener:
        assert await receive(listener, 250) == list(range(1, 251))
        table.rows += [row(300), row(301, "ord_2"), row(302)]
        assert await receive(listener, 2) == [300, 302]


async def test_who_comes_back_goes_on_behind_their_position() -> None:
    table = Table()
    table.rows = [row(number) for number in range(1, 10)]
    async with running(table) as hub, hub.listen("ord_1", 6) as listener:
        assert await receive(listener, 3) == [7, 8, 9]


async def test_one_who_comes_while_others_are_read_for_misses_nothing() -> None:
    table = Table()
    table.rows = [row(number) for number in range(1, 6)]
    async with running(table) as hub, hub.listen("ord_1", 3) as early:
        assert await receive(early, 2) == [4, 5]
        table.gate.clear()
        table.reached.clear()
        table.rows.append(row(6))
        await table.reached.wait()  # a read behind 5 is under way
        async with hub.listen("ord_1", 1) as late:
            table.gate.set()
            assert await receive(late, 5) == [2, 3, 4, 5, 6]
            assert await receive(early, 1) == [6]


async def test_listeners_that_come_and_go_at_random_each_have_every_row_once() -> None:
    chance = random.Random(5)
    table = Table()

    async def write() -> None:
        for position in range(1, 400):
            table.rows.append(row(position, f"ord_{chance.randrange(3)}"))
            if chance.random() < 0.3:
                await asyncio.sleep(0)

    async def follow(hub: OrderStreams, order_id: str) -> list[int]:
        """Until the end, with an interruption now and then."""
        got: list[int] = []
        while not got or got[-1] < 1000:
            async with hub.listen(order_id, got[-1] if got else 0) as listener:
                for _ in range(chance.randrange(1, 5)):
                    got += [row.position for row in await listener.take(0.01)]
        return got

    async with running(table) as hub, asyncio.timeout(30):
        following = [asyncio.create_task(follow(hub, f"ord_{number % 3}")) for number in range(20)]
        await write()
        table.rows += [row(1000 + number, f"ord_{number}") for number in range(3)]
        for number, task in enumerate(following):
            expected = [r.position for r in table.rows if r.order_id == f"ord_{number % 3}"]
            assert await task == expected


async def test_a_slow_listener_is_cut_off_and_can_go_on() -> None:
    table = Table()
    table.rows = [row(number) for number in range(1, 1001)]
    async with running(table) as hub:
        async with hub.listen("ord_1", 0) as slow:
            while not slow.is_over:  # noqa: ASYNC110  # Nothing else says so to somebody who takes nothing.
                await asyncio.sleep(0)
            kept = [row.position for row in await slow.take(1)]
        assert kept == list(range(1, streams.QUEUED + 1))
        async with hub.listen("ord_1", kept[-1]) as again:
            assert (await receive(again, 1))[0] == kept[-1] + 1


async def test_nothing_is_read_while_nobody_listens_and_a_failed_read_is_tried_again() -> None:
    table = Table()
    table.rows = [row(1)]
    async with running(table) as hub:
        for _ in range(20):
            await asyncio.sleep(0)
        assert table.reads == 0
        table.fails = 2
        async with hub.listen("ord_1", 0) as listener:
            assert await receive(listener, 1) == [1]


async def test_closing_ends_every_listener_and_admits_none() -> None:
    table = Table()
    async with running(table) as hub, hub.listen("ord_1", 0) as listener:
        hub.close()
        assert listener.is_over
        assert hub.is_full
        async with hub.listen("ord_1", 0) as late:
            assert late.is_over


async def test_slots_are_counted_by_caller() -> None:
    async with running(Table(), limit=2) as hub:
        hub.take_slot("u_1")
        hub.take_slot("u_1")
        assert (hub.count_of("u_1"), hub.is_full) == (2, True)
        hub.give_back_slot("u_1")
        hub.give_back_slot("u_1")
        assert (hub.count_of("u_1"), hub.is_full) == (0, False)
