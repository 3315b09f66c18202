"""The broker behind a URL: Redis or Valkey with an idle wait that a message ends, or RabbitMQ."""

import importlib
import threading
from typing import cast

import redis
from dramatiq import Broker, Message
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed

NAMESPACE = "payonce"
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
# A worker silent for so long is dead, and its messages go back to their queue now and then. Nobody
# waits for that: anti-entropy has sent them again long before.
HEARTBEAT_MILLISECONDS = 60_000
# Dead letters are of no use to us: the log and the inbox have the events.
DEAD_MESSAGE_MILLISECONDS = 3_600_000


class UnknownBroker(Exception):
    """The URL names no broker that can be used here."""


def make_broker(url: str) -> Broker:
    """The broker of `redis[s]://`, `valkey[s]://`, `unix://` or `amqp[s]://`; no connection is made yet.

    It has no middleware: retries are the inbox's, and no event may be dropped for its age.
    Raises UnknownBroker for another scheme, or where RabbitMQ's client is not installed.
    """
    scheme = url.split("://", 1)[0]
    if scheme in {"redis", "rediss", "unix", "valkey", "valkeys"}:
        return WakingRedisBroker(url.replace("valkey", "redis", 1) if scheme.startswith("valkey") else url)
    if scheme in {"amqp", "amqps"}:
        try:
            # An extra: importing it where it is not used would make everybody install it.
            rabbitmq = importlib.import_module("dramatiq.brokers.rabbitmq")
        except ImportError as error:
            raise UnknownBroker("RabbitMQ needs the package dramatiq[rabbitmq]") from error
        # Its queues are durable and its messages persistent; a confirmed one is on disk.
        broker = rabbitmq.RabbitmqBroker(url=url.split(";"), confirm_delivery=True, middleware=[])
        for server in broker.parameters:
            # One that has run out of memory or disk blocks its publishers, by default for ever.
            server.blocked_connection_timeout = server.blocked_connection_timeout or ANSWER_SECONDS
        return cast(Broker, broker)
    raise UnknownBroker(f"no broker is known for URLs that begin with {scheme}://")


class WakingRedisBroker(RedisBroker):
    """Dramatiq's Redis broker, whose idle consumers wait in Redis instead of polling with a growing pause."""

    def __init__(self, url: str) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            client=redis.Redis.from_url(
                url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS
            ),
            middleware=[],
            namespace=NAMESPACE,
            heartbeat_timeout=HEARTBEAT_MILLISECONDS,
            dead_message_ttl=DEAD_MESSAGE_MILLISECONDS,
        )
        self._url = url

    @property
    def consumer_class(self) -> type["_WakingConsumer"]:
        return _WakingConsumer

    def blocking_client(self, timeout_milliseconds: int) -> "redis.Redis":
        """A client of one consumer's own, whose answers may take as long as its waits."""
        return redis.Redis.from_url(
            self._url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=timeout_milliseconds / 1000 + ANSWER_SECONDS,
            single_connection_client=True,
        )

    def queue_key(self, queue_name: str) -> str:
        """The list of the queue's message ids."""
        return f"{self.namespace}:{queue_name}"

    def close(self) -> None:
        self.client.close()

    def marker(self) -> str:
        """The moment since when the server has had its memory, by its own clock. Raises redis.RedisError."""
        key = f"{self.namespace}:__marker__"
        found = self.client.get(key)
        if found is None:
            seconds, microseconds = cast("tuple[int, int]", self.client.time())
            self.client.set(key, f"{seconds}.{microseconds:06}", nx=True)
            found = self.client.get(key)
        return cast(bytes, found or b"").decode()

    def oldest_message_seconds(self, queue_name: str) -> float:
        """How long the next message has been in its queue; 0 when there is none. Raises redis.RedisError."""
        key = self.queue_key(queue_name)
        message_id = self.client.lindex(key, 0)
        data = self.client.hget(f"{key}.msgs", cast(str, message_id)) if message_id else None
        if data is None:
            return 0.0
        sent = Message.decode(cast(bytes, data)).message_timestamp / 1000
        seconds, microseconds = cast("tuple[int, int]", self.client.time())
        return max(0.0, seconds + microseconds / 1_000_000 - sent)


class _WakingConsumer(_RedisConsumer):
    """Waits for the queue to have a message, or for a slot when all messages it may hold are in hand."""

    def __init__(self, broker: WakingRedisBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]
        self._client = broker.blocking_client(timeout)
        self._has_room = threading.Event()

    def ack(self, message: MessageProxy) -> None:
        try:
            super().ack(message)  # type: ignore[no-untyped-call]
        finally:
            self._has_room.set()

    def nack(self, message: MessageProxy) -> None:
        try:
            super().nack(message)  # type: ignore[no-untyped-call]
        finally:
            self._has_room.set()

    def __next__(self) -> MessageProxy | None:
        if not self.message_cache:
            try:
                self._fill()
            except (redis.ConnectionError, redis.TimeoutError) as error:
                raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        if not self.message_cache:
            return None
        return cast(MessageProxy, super().__next__())  # type: ignore[no-untyped-call]

    def _fill(self) -> None:
        self._has_room.clear()
        room = self.prefetch - self.outstanding_message_count
        if room <= 0:
            self._has_room.wait(self.timeout / 1000)
            return
        self.message_cache = self.broker.do_fetch(self.queue_name, room)
        if not self.message_cache and self._wait():
            self.message_cache = self.broker.do_fetch(self.queue_name, room)

    def _wait(self) -> bool:
        """Until the queue has a message, or the time-out; whether it has one.

        Moving the first element of a list to where it was changes nothing, but waits until there
        is one: no token to push, none to lose, and any publisher wakes us.
        """
        key = self.broker.queue_key(self.queue_name)
        return self._client.blmove(key, key, self.timeout / 1000, "LEFT", "LEFT") is not None

    def close(self) -> None:
        self._client.close()
