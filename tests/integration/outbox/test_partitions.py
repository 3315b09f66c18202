"""Partitions by day are made ahead, beside open transactions, and the default one raises an alarm."""

import asyncio
import logging

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import Outbox, Relay
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.events import event, numbers, stream_of

PARTITIONS = text("SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('shop.outbox_event' AS regclass)")


async def partitions(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(PARTITIONS) or 0)


async def test_a_week_is_made_ahead_and_a_repeat_makes_nothing(engine: AsyncEngine, outbox: Outbox) -> None:
    assert await partitions(engine) == 1 + 8  # the default one; today and seven days
    async with engine.begin() as connection:
        await outbox.ensure_partitions(connection)
        await outbox.ensure_partitions(connection, days_ahead=9)
    assert await partitions(engine) == 1 + 10


async def test_todays_events_are_in_todays_partition(engine: AsyncEngine, outbox: Outbox) -> None:
    async with engine.begin() as connection:
        await outbox.append(connection, [event("a", 1)])
        partition = await connection.scalar(
            text(
                "SELECT CAST(CAST(tableoid AS regclass) AS text) = 'shop.outbox_event_' "
                "|| to_char(created_at AT TIME ZONE 'UTC', 'YYYYMMDD') FROM shop.outbox_event"
            )
        )
    assert partition


async def test_events_of_a_day_without_partition_are_kept_and_published_and_an_alarm_is_raised(
    engine: AsyncEngine, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = InMemoryPublisher()
    async with engine.begin() as connection:
        for day in await connection.scalars(
            text(
                "SELECT CAST(CAST(inhrelid AS regclass) AS text) FROM pg_inherits "
                "WHERE inhparent = CAST('shop.outbox_event' AS regclass)"
            )
        ):
            if not day.endswith("_default"):
                await connection.execute(text(f"DROP TABLE {day}"))
        await outbox.append(connection, stream_of("a", 3))
    async with engine.begin() as connection:
        with caplog.at_level(logging.ERROR):
            await outbox.ensure_partitions(connection)
        await outbox.append(connection, stream_of("a", 3, first=4))

    assert "default partition of shop.outbox_event is in use" in caplog.text
    assert await partitions(engine) == 1 + 7  # today's rows stay where they are; the days ahead are made
    await Relay(engine, outbox, publisher).drain()
    assert numbers(publisher.events, "a") == [1, 2, 3, 4, 5, 6]


async def test_making_partitions_and_writing_events_go_side_by_side(
    engine: AsyncEngine, outbox: Outbox
) -> None:
    async with engine.connect() as writer:
        await outbox.append(writer, [event("a", 1)])  # open while the partitions are made
        async with asyncio.timeout(30), engine.begin() as connection:
            await outbox.ensure_partitions(connection, days_ahead=8)
        await outbox.append(writer, [event("a", 2)])
        await writer.commit()
    assert await partitions(engine) == 1 + 9
