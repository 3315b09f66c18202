"""When a status is an alarm."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from outbox.status import (
    ConsumerStatus,
    Count,
    LaneStatus,
    LogStatus,
    RoundStatus,
    WindowStatus,
    alarms,
)

ROUND = RoundStatus(
    ended_at=datetime(2026, 3, 1, tzinfo=UTC),
    ended_seconds=1.0,
    took_seconds=0.01,
    compared=0,
    missing=0,
    closed=0,
    published=0,
    forked=0,
    total_compared=0,
    total_missing=0,
    total_closed=0,
    total_published=0,
    total_forked=0,
)
LANE = LaneStatus("memory", 3, Count(0), None, 0, 0.0)
LOG = LogStatus("shop", [LANE], 0, 0.0, False)
FINE = ConsumerStatus(
    consumer="orders",
    topic="facts",
    lag=Count(0),
    lag_seconds=None,
    behind_seconds=None,
    unreceived=Count(0),
    waiting=Count(0),
    due=Count(0),
    parked=Count(0),
    forked=Count(0),
    window=WindowStatus(1.0, Count(0), ROUND),
)


def test_what_is_on_its_way_is_no_alarm() -> None:
    moving = replace(
        FINE, lag=Count(9), lag_seconds=50.0, behind_seconds=50.0, waiting=Count(9), due=Count(3)
    )
    busy = replace(LOG, lanes=[replace(LANE, unpublished=Count(9), oldest_seconds=20.0)])
    assert list(alarms(busy, [FINE, moving])) == []


@pytest.mark.parametrize(
    ("log", "consumer", "sentence"),
    [
        (
            replace(LOG, lanes=[replace(LANE, unpublished=Count(1000, is_more=True), oldest_seconds=31.0)]),
            FINE,
            "shop: memory has 1000+ unpublished in lane 3, the oldest for 31 s",
        ),
        (
            replace(LOG, is_default_partition_used=True),
            FINE,
            "shop: the default partition is in use, for the days ahead ran out",
        ),
        (LOG, replace(FINE, parked=Count(2)), "orders: 2 event(s) parked"),
        (LOG, replace(FINE, forked=Count(1)), "orders: 1 stream(s) forked"),
        (
            LOG,
            replace(FINE, behind_seconds=61.0, unreceived=Count(4), due=Count(1)),
            "orders: 61 s behind, with 4 event(s) not received and 1 due",
        ),
        (
            LOG,
            replace(FINE, window=WindowStatus(None, Count(0), None)),
            "orders: anti-entropy has never run",
        ),
        (
            LOG,
            replace(FINE, window=WindowStatus(1.0, Count(0), replace(ROUND, ended_seconds=121.0))),
            "orders: anti-entropy has not completed a round for 121 s",
        ),
    ],
)
def test_each_alarm_says_what_is_wrong(log: LogStatus, consumer: ConsumerStatus, sentence: str) -> None:
    assert list(alarms(log, [consumer])) == [sentence]


def test_counts_add_up_and_stay_lower_bounds() -> None:
    assert Count(2) + Count(3) == Count(5)
    assert str(Count(2) + Count(10, is_more=True)) == "12+"
