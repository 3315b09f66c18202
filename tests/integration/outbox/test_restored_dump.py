"""A dump of the log restored into another cluster, whose transaction ids start from the beginning again.

Real clusters and a real pg_dump: cluster A has spent thousands of transaction ids, cluster B hardly any,
so that the restored rows and cursors speak of B's far future.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from entrypoints.local import postgres
from entrypoints.local.postgres import EmbeddedPostgres
from outbox import AntiEntropy, Event, InboxView, OrderedInbox, Outbox, Pace, PublishFailed, Relay
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.conftest import async_url
from tests.integration.outbox.events import event, numbers, stream_of
from tests.support.postgres import create_database, drop_database

OUTBOX = Outbox("shop", lanes=4)


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("other"), options={"fsync": "off"})
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def spent(engine: AsyncEngine, outbox: Outbox, other_server: EmbeddedPostgres) -> AsyncEngine:
    """Cluster A, ahead of cluster B in transaction ids."""
    other = create_async_engine(async_url(other_server.url()))
    await spend_past(engine, await next_transaction(other) + 3000)
    await other.dispose()
    return engine


async def next_transaction(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        found = await connection.scalar(
            text("SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)")
        )
        assert found is not None
        return int(found)


async def spend_past(engine: AsyncEngine, transaction: int) -> None:
    """Use up transaction ids until this one is in the past."""
    count = max(0, transaction - await next_transaction(engine)) + 1
    loop = f"FOR i IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP"
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text(f"DO $$ BEGIN {loop}; END $$"))


def copy_database(source: str, target: str) -> None:
    programs = postgres._binaries()
    dump = subprocess.run([programs / "pg_dump", source], check=True, capture_output=True)
    restore = [str(programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", target]
    subprocess.run(restore, input=dump.stdout, check=True, capture_output=True)


@asynccontextmanager
async def restored(url: str, other: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    """A copy of the database in cluster B."""
    target = await create_database(other)
    await asyncio.to_thread(copy_database, url, target)
    engine = create_async_engine(async_url(target))
    try:
        async with engine.connect() as connection:
            beyond = await connection.scalar(
                text("SELECT min(xid) > pg_snapshot_xmax(pg_current_snapshot()) FROM shop.outbox_event")
            )
            assert beyond  # or this test would test nothing
        yield engine
    finally:
        await engine.dispose()
        await drop_database(other, target)


async def append(engine: AsyncEngine, *events: Event) -> None:
    async with engine.begin() as connection:
        await OUTBOX.append(connection, events)


async def test_what_was_published_stays_so_and_the_rest_follows(
    spent: AsyncEngine, empty_database_url: str, other_server: EmbeddedPostgres
) -> None:
    before, after = InMemoryPublisher(), InMemoryPublisher()
    await append(spent, *stream_of("a", 10), *stream_of("b", 10))
    await Relay(spent, OUTBOX, before).drain()
    await append(spent, *stream_of("a", 3, first=11))
    async with restored(empty_database_url, other_server) as engine:
        await append(engine, *stream_of("a", 3, first=14), event("c", 1))  # before any relay has noticed
        relay = Relay(engine, OUTBOX, after, page=4)
        await relay.drain()
        assert numbers(after.events, "a") == [11, 12, 13, 14, 15, 16]
        assert numbers(after.events, "b") == []
        assert numbers(after.events, "c") == [1]

        await append(engine, *stream_of("a", 9, first=17))
        assert await relay.drain() == 9
        assert await Relay(engine, OUTBOX, after).drain() == 0
        assert numbers(after.events, "a") == list(range(11, 26))

        await spend_past(engine, await next_transaction(spent))  # so that the restored ids are in the past
        assert await relay.drain() == 0


async def test_a_target_that_was_being_read_is_read_again(
    spent: AsyncEngine, empty_database_url: str, other_server: EmbeddedPostgres
) -> None:
    before, after = InMemoryPublisher(), InMemoryPublisher()
    await append(spent, *stream_of("a", 20))
    before.accept = 12
    with pytest.raises(PublishFailed):
        await Relay(spent, OUTBOX, before, page=5).drain()
    async with restored(empty_database_url, other_server) as engine:
        await Relay(engine, OUTBOX, after, page=5).drain()
        # The ten of the two finished pages belong to an unfinished target: repeated, and harmless.
        assert numbers(after.events, "a") == list(range(1, 21))


async def test_a_publisher_without_a_cursor_reads_it_all(
    spent: AsyncEngine, empty_database_url: str, other_server: EmbeddedPostgres
) -> None:
    after = InMemoryPublisher()
    await append(spent, *stream_of("a", 10))
    async with restored(empty_database_url, other_server) as engine:
        await append(engine, *stream_of("a", 2, first=11))
        relay = Relay(engine, OUTBOX, after, page=4)
        await relay.drain()
        await append(engine, event("a", 13))
        await relay.drain()
    assert numbers(after.events, "a") == list(range(1, 14))


async def test_a_restoration_in_the_middle_of_another_repeats_but_loses_nothing(
    spent: AsyncEngine, empty_database_url: str, other_server: EmbeddedPostgres
) -> None:
    after = InMemoryPublisher()
    await append(spent, *stream_of("a", 20))
    async with restored(empty_database_url, other_server) as engine:
        after.accept = 7
        with pytest.raises(PublishFailed):
            await Relay(engine, OUTBOX, after, page=5).drain()
        after.accept = None
        async with engine.begin() as connection:  # as if this had been moved once more
            await connection.execute(text("UPDATE shop.outbox_cursor SET system_identifier = 1"))
        await append(engine, *stream_of("a", 2, first=21))
        await Relay(engine, OUTBOX, after, page=5).drain()
    published = numbers(after.events, "a")
    assert list(dict.fromkeys(published)) == list(range(1, 23))  # in order where first published


async def test_anti_entropy_goes_on_in_the_new_cluster(
    spent: AsyncEngine, inbox: OrderedInbox, empty_database_url: str, other_server: EmbeddedPostgres
) -> None:
    pace = Pace(grace_seconds=0.0, sweep_seconds=0.0)
    await append(spent, *stream_of("a", 5))
    async with restored(empty_database_url, other_server) as engine:
        publisher = InMemoryPublisher()
        view = InboxView(engine, inbox, "facts")
        for first in (6, 8):
            await append(engine, *stream_of("a", 2, first=first))
            await AntiEntropy(engine, OUTBOX, publisher, [view], pace=pace).run_once()
            await inbox.receive(engine, publisher.events)
        async with engine.connect() as connection:
            assert (await inbox.progress(connection, ["a"]))["a"].applied == 9
