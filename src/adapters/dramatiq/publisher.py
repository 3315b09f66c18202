"""Hands pages of events to Dramatiq, as few messages."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import redis
from dramatiq import Broker, Message
from dramatiq.errors import DramatiqError

from adapters.dramatiq.broker import WakingRedisBroker
from adapters.dramatiq.wire import batches, encode_batch
from outbox import Event, PublishFailed

T = TypeVar("T")


def actor_name(consumer: str) -> str:
    return f"apply_events_{consumer}"


class DramatiqPublisher:
    """Publishes each event to every consumer of its topic; each consumer's queue bears its name.

    `consumers` maps a topic to its consumers. Events of other topics are nobody's here: they are
    passed over. With a clock (`now`), each message says when it was made. Call `close` at the end.
    """

    def __init__(
        self,
        broker: Broker,
        consumers: Mapping[str, Sequence[str]],
        *,
        name: str = "dramatiq",
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.name = name
        self._broker = broker
        self._consumers = consumers
        self._now = now
        # Dramatiq's clients block. One thread keeps pages in order even where a page outlives its
        # time limit, and keeps RabbitMQ's connection, which belongs to a thread.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher")

    async def publish(self, events: Sequence[Event]) -> None:
        await self._in_thread(partial(self._enqueue, events))

    def _enqueue(self, events: Sequence[Event]) -> None:
        published_at = (
            self._now().isoformat(timespec="microseconds").replace("+00:00", "Z") if self._now else None
        )
        topics: dict[str, list[Event]] = {}
        for event in events:
            topics.setdefault(event.topic, []).append(event)
        for topic, members in topics.items():
            consumers = self._consumers.get(topic, ())
            for batch in batches(members) if consumers else ():
                data = encode_batch(batch, published_at)
                for consumer in consumers:
                    message: Message[Any] = Message(
                        queue_name=consumer,
                        actor_name=actor_name(consumer),
                        args=(data,),
                        kwargs={},
                        options={},
                    )
                    self._broker.enqueue(message)

    async def marker(self) -> str | None:
        """RabbitMQ keeps what it has confirmed, in durable queues, so it has no marker."""
        broker = self._broker
        return await self._in_thread(broker.marker) if isinstance(broker, WakingRedisBroker) else None

    async def delay_seconds(self) -> float:
        """The longest wait at the head of the consumers' queues. RabbitMQ does not tell: 0."""
        broker = self._broker
        if not isinstance(broker, WakingRedisBroker):
            return 0.0
        queues = {consumer for consumers in self._consumers.values() for consumer in consumers}
        waits = [await self._in_thread(partial(broker.oldest_message_seconds, queue)) for queue in queues]
        return max(waits, default=0.0)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except (redis.RedisError, DramatiqError, OSError) as error:
            raise PublishFailed(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Let go of the thread once what it is doing is done."""
        self._thread.shutdown(wait=False)
