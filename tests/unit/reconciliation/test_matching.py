"""Two lists are matched whatever their times say, each object once, and little is held at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.reconciliation.matching import matched
from domain.shared.gateway_objects import GatewayObject, ObjectKind
from tests.support.house import START

SLACK = timedelta(seconds=60)


@dataclass(frozen=True)
class One:
    stated: GatewayObject
    created_at: datetime


def one(number: int, seconds: int) -> One:
    stated = GatewayObject(
        kind=ObjectKind.INTENT,
        gateway="fake",
        object_id=f"pi_{number}",
        intent_id=f"pi_{number}",
        own_id=None,
        status="SUCCEEDED",
        amount=100,
        currency="EUR",
    )
    return One(stated, START + timedelta(seconds=seconds))


async def pages(ones: Sequence[One], size: int) -> AsyncIterator[Sequence[One]]:
    ordered = sorted(ones, key=lambda one: one.created_at, reverse=True)
    for first in range(0, len(ordered), size):
        yield ordered[first : first + size]


async def match(mine: Sequence[One], yours: Sequence[One], size: int) -> list[tuple[One | None, One | None]]:
    return [pair async for pair in matched(pages(mine, size), pages(yours, size + 1), slack=SLACK)]


@given(
    st.dictionaries(
        st.integers(0, 60),
        st.tuples(st.integers(0, 2000), st.none() | st.integers(-30, 30), st.booleans()),
        max_size=25,
    ),
    st.integers(1, 7),
)
def test_each_is_with_its_counterpart_or_alone(
    objects: dict[int, tuple[int, int | None, bool]], size: int
) -> None:
    """`None` for the other's delay: the other does not have it; the flag: only the other has it."""
    mine = [
        one(number, at)
        for number, (at, delay, only_yours) in objects.items()
        if delay is None or not only_yours
    ]
    yours = [one(number, at + delay) for number, (at, delay, _) in objects.items() if delay is not None]
    pairs = asyncio.run(match(mine, yours, size))
    both = {left.stated.object_id for left, right in pairs if left is not None and right is not None}
    my_ids, your_ids = ({single.stated.object_id for single in ones} for ones in (mine, yours))
    assert both == my_ids & your_ids
    alone = sorted(
        single.stated.object_id
        for left, right in pairs
        if (left is None) != (right is None)
        for single in (left or right,)
        if single
    )
    assert alone == sorted(my_ids ^ your_ids)
    for left, right in pairs:
        if left is not None and right is not None:
            assert left.stated.object_id == right.stated.object_id


async def test_little_is_held_however_long_the_lists_are() -> None:
    held = most = 0

    async def counted(ones: Sequence[One]) -> AsyncIterator[Sequence[One]]:
        nonlocal held, most
        async for page in pages(ones, 100):
            held += len(page)
            most = max(most, held)
            yield page

    mine = [one(number, number) for number in range(0, 6_000)]
    yours = [one(number, number + 3) for number in range(0, 6_000) if number % 10]
    pairs = 0
    async for left, right in matched(counted(mine), counted(yours), slack=SLACK):
        held -= (left is not None) + (right is not None)
        pairs += 1
    assert pairs == 6_000
    assert most <= 4 * 100 + 2 * 60
