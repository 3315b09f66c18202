"""How far a log is published: each number against a situation that was made for it."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import (
    Operations,
    Outbox,
    Relay,
)
from outbox.event import lane_of
from outbox.status import Count, alarms
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.events import event, stream_of
from tests.integration.outbox.operations.conftest import Append, age


def unpublished(status: Any) -> dict[int, int]:
    return {lane.lane: lane.unpublished.number for lane in status.lanes if lane.unpublished.number}


async def test_a_new_log_has_nothing_before_it(operations: Operations) -> None:
    status = await operations.log_status()
    assert len(status.lanes) == 4
    assert {lane.publisher for lane in status.lanes} == {"memory"}
    assert unpublished(status) == {}
    assert {lane.oldest_seconds for lane in status.lanes} == {None}
    assert (status.appended_total, status.appended_per_second) == (0, 0.0)
    assert not status.is_default_partition_used


async def test_what_is_unpublished_is_counted_by_lane_and_aged_by_its_oldest(
    engine: AsyncEngine, outbox: Outbox, operations: Operations, append: Append, relay: Relay
) -> None:
    await append(*stream_of("a", 3), *stream_of("b", 2))
    await age(engine, outbox, 50, "a")
    lane_a, lane_b = lane_of("a", 4), lane_of("b", 4)
    assert lane_a != lane_b

    status = await operations.log_status()

    assert unpublished(status) == {lane_a: 3, lane_b: 2}
    ages = {lane.lane: lane.oldest_seconds or 0.0 for lane in status.lanes}
    assert 50 <= ages[lane_a] < 60
    assert 0 <= ages[lane_b] < 10
    assert status.appended_total == 5
    assert status.appended_per_second == pytest.approx(5 / 60)

    await relay.drain()

    status = await operations.log_status()
    assert unpublished(status) == {}
    assert {lane.oldest_seconds for lane in status.lanes} == {None}
    assert {lane.lane: lane.published_total for lane in status.lanes if lane.published_total} == {
        lane_a: 3,
        lane_b: 2,
    }


async def test_an_open_transaction_and_one_that_commits_late_are_counted(
    engine: AsyncEngine, outbox: Outbox, operations: Operations, append: Append, relay: Relay
) -> None:
    async with engine.connect() as slow:
        await outbox.append(slow, [event("a", 1)])
        await append(event("b", 1))
        await relay.drain()
        assert unpublished(await operations.log_status()) == {}  # not committed: not there yet
        await slow.commit()
    assert unpublished(await operations.log_status()) == {lane_of("a", 4): 1}


async def test_in_the_middle_of_a_backlog_the_rest_is_counted(
    operations: Operations, append: Append, relay: Relay, publisher: InMemoryPublisher
) -> None:
    await append(*stream_of("a", 35))
    publisher.accept = 20  # two pages; the third is refused

    with pytest.raises(Exception, match="not reachable"):
        await relay.drain()
    await append(*stream_of("a", 5, first=36))

    lane = next(lane for lane in (await operations.log_status()).lanes if lane.unpublished.number)
    assert lane.unpublished == Count(20)
    assert lane.published_total == 20


async def test_counting_stops_at_a_bound(operations: Operations, append: Append) -> None:
    await append(*stream_of("a", 1005))
    lane = next(lane for lane in (await operations.log_status()).lanes if lane.unpublished.number)
    assert lane.unpublished == Count(1000, is_more=True)
    assert str(lane.unpublished) == "1000+"


async def test_the_rates_are_of_the_last_minute(
    engine: AsyncEngine, outbox: Outbox, operations: Operations, append: Append, relay: Relay
) -> None:
    await append(*stream_of("a", 6))
    await relay.drain()
    await append(*stream_of("a", 6, first=7))
    await relay.drain()
    async with (
        engine.begin() as connection
    ):  # the first page was published long ago, its events are older still
        await connection.execute(
            text(
                "UPDATE shop.outbox_cursor SET taken_at = taken_at - interval '90 s' WHERE lane = :l AND entry = 1"
            ),
            {"l": lane_of("a", 4)},
        )
        await connection.execute(
            text("UPDATE shop.outbox_event SET created_at = created_at - interval '90 s' WHERE sequence <= 6")
        )

    status = await operations.log_status()

    assert status.appended_per_second == pytest.approx(6 / 60)
    assert sum(lane.published_per_second for lane in status.lanes) == pytest.approx(6 / 60)


async def test_many_arrivals_are_rated_by_the_newest(operations: Operations, append: Append) -> None:
    await append(*stream_of("a", 400))
    assert (await operations.log_status()).appended_per_second > 200 / 60


async def test_the_default_partition_in_use_is_an_alarm(
    engine: AsyncEngine, operations: Operations, append: Append
) -> None:
    await append(event("a", 1))
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE shop.outbox_event SET created_at = created_at - interval '400 days'")
        )
    status = await operations.log_status()
    assert status.is_default_partition_used
    assert "shop: the default partition is in use, for the days ahead ran out" in list(alarms(status, []))
