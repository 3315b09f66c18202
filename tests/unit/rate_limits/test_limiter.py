"""Rate limits: what one process lets through, and what several do together."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rate_limits import limiter as module
from adapters.rate_limits.limiter import Change, CountsUnavailable, Policy, RateLimiter

START = datetime(2026, 3, 1, 12, tzinfo=UTC)  # the beginning of a minute
FIVE = Policy("writes", 5)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class MemoryCounts:
    """What Valkey would hold, and how often it was asked."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.trips = 0
        self.three_times = asyncio.Event()
        self.away = False

    async def add(self, changes: Sequence[Change]) -> Sequence[tuple[int, int]]:
        self.trips += 1
        if self.trips == 3:
            self.three_times.set()
        if self.away:
            raise CountsUnavailable("ConnectionError")
        for change in changes:
            self.totals[change.now] += change.count
        return [(self.totals[change.now], self.totals[change.before]) for change in changes]

    async def close(self) -> None:
        pass


async def admitted(limiter: RateLimiter, times: int, policy: Policy = FIVE, key: str = "u_1") -> int:
    return sum([(await limiter.admit(policy, key)).allowed for _ in range(times)])


async def test_the_quota_and_no_more() -> None:
    limiter = RateLimiter(Clock())
    verdicts = [await limiter.admit(FIVE, "u_1") for _ in range(7)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 2
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0]
    assert limiter.refused == {"writes": 2}


async def test_keys_and_policies_are_counted_apart() -> None:
    limiter = RateLimiter(Clock())
    assert await admitted(limiter, 9, key="u_1") == 5
    assert await admitted(limiter, 9, key="u_2") == 5
    assert await admitted(limiter, 9, Policy("reads", 7), key="u_1") == 7


async def test_a_quota_of_zero_is_no_limit() -> None:
    assert await admitted(RateLimiter(Clock()), 1000, Policy("reads", 0)) == 1000


@given(quota=st.integers(1, 20), before=st.integers(0, 25), now=st.integers(1, 30), second=st.integers(0, 59))
@settings(max_examples=100)
async def test_after_the_wait_that_is_told_and_not_sooner_one_more_is_let_through(
    quota: int, before: int, now: int, second: int
) -> None:
    clock = Clock()
    limiter, policy = RateLimiter(clock), Policy("writes", quota)
    await admitted(limiter, before, policy)
    clock.advance(60 + second)
    await admitted(limiter, now, policy)
    verdict = await limiter.admit(policy, "u_1")
    if verdict.allowed:
        return
    assert 1 <= verdict.wait_seconds <= 120
    clock.advance(verdict.wait_seconds - 1.001)
    assert verdict.wait_seconds == 1 or not (await limiter.admit(policy, "u_1")).allowed
    clock.advance(1.002)
    assert (await limiter.admit(policy, "u_1")).allowed


async def test_the_window_slides_over_the_turn_of_the_minute() -> None:
    clock = Clock()
    limiter, ten = RateLimiter(clock), Policy("writes", 10)
    clock.advance(59)
    assert await admitted(limiter, 20, ten) == 10
    clock.advance(2)
    assert await admitted(limiter, 20, ten) == 0
    clock.advance(29)
    assert await admitted(limiter, 20, ten) == 5
    clock.advance(300)
    assert await admitted(limiter, 20, ten) == 10


async def test_small_quotas_are_exact_over_several_processes() -> None:
    counts, clock = MemoryCounts(), Clock()
    processes = [RateLimiter(clock, counts) for _ in range(3)]
    assert sum([await admitted(process, 1) for _ in range(9) for process in processes]) == 5


async def test_large_quotas_cost_no_round_trip_and_are_passed_by_a_tenth_at_most() -> None:
    counts, clock, policy = MemoryCounts(), Clock(), Policy("writes", 1000)
    processes = [RateLimiter(clock, counts) for _ in range(2)]
    assert await admitted(processes[0], 100, policy) == 100
    assert counts.trips == 0
    total = 100 + sum([await admitted(process, 1, policy) for _ in range(1000) for process in processes])
    assert 1000 <= total <= 1100
    assert counts.trips < 30


async def test_of_many_at_once_as_many_as_the_quota_has() -> None:
    limiter = RateLimiter(Clock(), MemoryCounts())
    verdicts = await asyncio.gather(*(limiter.admit(FIVE, "u_1") for _ in range(50)))
    assert sum(verdict.allowed for verdict in verdicts) == 5


async def test_others_of_the_minute_before_count_too() -> None:
    counts, clock = MemoryCounts(), Clock()
    one, other = RateLimiter(clock, counts), RateLimiter(clock, counts)
    assert await admitted(one, 5) == 5
    await one.exchange()
    clock.advance(60)
    assert await admitted(other, 5) == 0  # known from the first exchange on, which the first call waits for


async def test_while_valkey_is_away_each_process_holds_to_its_own_and_says_so_once() -> None:
    counts, clock = MemoryCounts(), Clock()
    one, other = RateLimiter(clock, counts), RateLimiter(clock, counts)
    counts.away = True
    with structlog.testing.capture_logs() as logs:
        assert await admitted(one, 9) == 5
        await one.exchange()
        assert await admitted(other, 3) == 3
    assert [line["event"] for line in logs] == ["rate_limits_not_shared"] * 2  # one of each process
    assert [process.is_shared for process in (one, other)] == [False, False]
    assert counts.trips == 3  # no request waits again for one that is known to be away

    counts.away = False
    await one.exchange()
    await other.exchange()
    assert [process.is_shared for process in (one, other)] == [True, True]
    assert await admitted(other, 3) == 0


async def test_what_could_not_be_told_in_time_is_forgotten() -> None:
    counts, clock = MemoryCounts(), Clock()
    limiter = RateLimiter(clock, counts)
    counts.away = True
    for number in range(10):
        await limiter.admit(FIVE, f"u_{number}")
    clock.advance(180)
    await limiter.admit(FIVE, "u_1")
    counts.away = False
    await limiter.exchange()
    assert sum(counts.totals.values()) == 1


async def test_keys_without_end_share_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RateLimiter(Clock())
    monkeypatch.setattr(module, "MAX_KEYS", 10)
    assert sum([await admitted(limiter, 1, key=f"u_{number}") for number in range(100)]) == 10 + 5


async def test_the_background_tells_everything_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(module, "EXCHANGED_KEYS", 10)
    counts, stopping = MemoryCounts(), asyncio.Event()
    limiter = RateLimiter(Clock(), counts)
    for number in range(25):
        await limiter.admit(Policy("reads", 100), f"u_{number}")
    running = asyncio.create_task(limiter.run(stopping))
    await counts.three_times.wait()
    stopping.set()
    await running
    assert sum(counts.totals.values()) == 25
