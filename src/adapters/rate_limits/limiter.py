"""Rate limits: counted in this process, and joined with the counts of all others through Valkey.

A window of a minute slides over two counters, of this minute and of the one before, whose part that is
still within the window is taken in proportion. Nearly every request is decided by what this process
knows, without a round trip; what it has counted travels in the background, all keys in one pipeline.
A key with more than a tenth of its quota uncounted elsewhere waits for that exchange, so that several
processes together let through at most a tenth of the quota too much for each of them, and small quotas
are kept exactly. While Valkey is away each process holds to its own counts: nobody waits for it.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from typing import Protocol

import msgspec
import structlog

logger = structlog.stdlib.get_logger(__name__)

WINDOW_SECONDS = 60
EXCHANGE_SECONDS = 0.5  # between two exchanges in the background
EXCHANGED_KEYS = 1_000  # in one round trip
UNCOUNTED_SHARE = 10  # a tenth
COMPLAIN_SECONDS = 60.0  # between two lines in the log about the same failure
ROUNDING = 1e-6
MAX_KEYS = 100_000
"""So many keys of a minute are counted apart (some 20 MB); what comes after them shares one count."""


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `quota` requests of one key within any 60 seconds."""

    name: str
    quota: int


class Verdict(msgspec.Struct, frozen=True):  # one for each request: made in a tenth of a dataclass's time
    """`wait_seconds` is after how long at least one more request is let through; 0 where one is now."""

    policy: Policy
    allowed: bool
    remaining: int
    wait_seconds: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a process has counted for a key since it last told, and the names of its counters."""

    now: str
    before: str
    count: int


class CountsUnavailable(Exception):
    """The shared counts cannot be reached."""


class SharedCounts(Protocol):
    async def add(self, changes: Sequence[Change]) -> Sequence[tuple[int, int]]:
        """Add each count, all in one round trip; the totals of this minute and of the one before.

        Raises CountsUnavailable."""
        ...

    async def close(self) -> None: ...


class _Count:
    """Requests of one key in one minute; `others` is what all processes had told when we last asked."""

    __slots__ = ("before", "key", "others", "own", "policy", "window")

    def __init__(self, policy: Policy, key: str, window: int) -> None:
        self.policy = policy
        self.key = key
        self.window = window
        self.others = 0
        self.own = 0  # not told yet
        self.before = 0


class RateLimiter:
    """Without `shared` it counts for this process alone."""

    def __init__(self, now: Callable[[], datetime], shared: SharedCounts | None = None) -> None:
        self._now = now
        self._shared = shared
        self._window = 0
        self._counts: dict[tuple[str, str], _Count] = {}
        self._before: dict[tuple[str, str], _Count] = {}
        self._untold: set[_Count] = set()
        self._exchanging = asyncio.Lock()
        self._complained_at = -math.inf
        self.is_shared = shared is not None
        """Whether the last exchange reached the other processes."""
        self.refused: dict[str, int] = {}
        """How many requests were refused by which policy."""

    async def admit(self, policy: Policy, key: str) -> Verdict:
        """Count a request of this key, unless it is more than the policy allows. A quota of 0 allows any."""
        if policy.quota == 0:
            return Verdict(policy, True, 0, 0)
        count, elapsed = self._count_of(policy, key)
        if self._used(count, elapsed) + 1 > policy.quota + ROUNDING:
            return self._refuse(count, elapsed)
        self._change(count, 1)
        if self.is_shared and count.own > policy.quota // UNCOUNTED_SHARE:
            await self.exchange(count)
            if self._used(count, elapsed) > policy.quota + ROUNDING:
                self._change(count, -1)
                return self._refuse(count, elapsed)
        return Verdict(policy, True, max(0, math.floor(policy.quota - self._used(count, elapsed))), 0)

    async def run(self, stopping: asyncio.Event) -> None:
        """Exchange in the background until the end."""
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), EXCHANGE_SECONDS)
            for _ in range(0, len(self._untold), EXCHANGED_KEYS):
                await self.exchange()

    async def exchange(self, needed: _Count | None = None) -> None:
        """Tell what was counted and learn what others did: of `needed`, unless that was told meanwhile, and of more."""
        async with self._exchanging:
            if self._shared is None or not self._untold or (needed and needed not in self._untold):
                return
            page = [*islice(self._untold, EXCHANGED_KEYS), *filter(None, [needed])]
            told = [(count, count.own) for count in dict.fromkeys(page)]
            try:
                totals = await self._shared.add([_change(count) for count, _ in told])
            except CountsUnavailable as error:
                self._complain(error)
                return
            for (count, own), (total, before) in zip(told, totals, strict=True):
                count.others, count.before = total, max(count.before, before)
                count.own -= own
                if count.own == 0:
                    self._untold.discard(count)
            if not self.is_shared:
                self.is_shared = True
                logger.info("rate_limits_shared_again")

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.close()

    def _count_of(self, policy: Policy, key: str) -> tuple[_Count, float]:
        """The count of this minute, and how far the minute has gone, from 0 to 1."""
        moment = self._now().timestamp() / WINDOW_SECONDS
        window = int(moment)
        if window != self._window:
            self._before = self._counts if window == self._window + 1 else {}
            self._counts, self._window = {}, window
            # What could not be told for so long is in nobody's window any more.
            self._untold = {count for count in self._untold if count.window >= window - 1}
        name = (policy.name, key)
        count = self._counts.get(name)
        if count is None:
            if len(self._counts) >= MAX_KEYS:
                name = (policy.name, "")
            count = self._counts.setdefault(name, _Count(policy, name[1], window))
            if earlier := self._before.get(name):
                count.before = earlier.others + earlier.own
        return count, moment - window

    @staticmethod
    def _used(count: _Count, elapsed: float) -> float:
        return count.others + count.own + count.before * (1 - elapsed)

    def _change(self, count: _Count, by: int) -> None:
        count.own += by
        if self._shared is not None:
            self._untold.add(count)

    def _refuse(self, count: _Count, elapsed: float) -> Verdict:
        policy = count.policy
        self.refused[policy.name] = self.refused.get(policy.name, 0) + 1
        free, used = policy.quota - 1, count.others + count.own
        # Either enough of the minute before leaves the window within this one, or of this one within the next.
        until = 1 - (free - used) / count.before if used <= free else 2 - free / used
        wait = math.ceil((until - elapsed) * WINDOW_SECONDS)
        return Verdict(policy, False, 0, max(1, wait))

    def _complain(self, error: CountsUnavailable) -> None:
        self.is_shared = False
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = now
            logger.warning(
                "rate_limits_not_shared",
                cause=str(error),
                consequence="calls stay open; each process holds to its own counts",
            )


def _change(count: _Count) -> Change:
    # A digest, since a key is a person's id or address, of any length.
    name = f"payonce:rate:{count.policy.name}:{blake2b(count.key.encode(), digest_size=16).hexdigest()}"
    return Change(f"{name}:{count.window}", f"{name}:{count.window - 1}", count.own)
