"""The counts that all processes share, in Valkey or Redis."""

from collections.abc import Sequence
from typing import cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from adapters.rate_limits.limiter import WINDOW_SECONDS, Change, CountsUnavailable

TIMEOUT_SECONDS = 0.25  # a request may wait for it
KEPT_SECONDS = 3 * WINDOW_SECONDS


class ValkeyCounts:
    """Nothing is connected before the first exchange."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),  # the next exchange is the retry
        )

    async def add(self, changes: Sequence[Change]) -> Sequence[tuple[int, int]]:
        """As `SharedCounts` says. One whose answer is lost may be added twice: limits then err on the strict side."""
        pipeline = self._client.pipeline(transaction=False)
        for change in changes:
            pipeline.incrby(change.now, change.count)
            pipeline.expire(change.now, KEPT_SECONDS)
            pipeline.get(change.before)
        try:
            answers = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise CountsUnavailable(type(error).__name__) from error
        return [
            (cast(int, total), int(before or 0))
            for total, before in zip(answers[0::3], answers[2::3], strict=True)
        ]

    async def close(self) -> None:
        await self._client.aclose()
