"""The Dramatiq publisher on a real Valkey passes the contract of publishers."""

from collections.abc import AsyncIterator, Sequence
from typing import cast
from uuid import uuid4

import pytest
import redis
from dramatiq import Message

from adapters.dramatiq.broker import make_broker
from adapters.dramatiq.publisher import DramatiqPublisher
from adapters.dramatiq.wire import decode_batch
from entrypoints.local.ports import free_port
from outbox import Event
from outbox.testing.publisher_contract import TOPIC, BrokerUnderTest, PublisherContract, make_events


class Valkey:
    """Reads the queue as one worker thread would: message by message, in the list's order."""

    def __init__(self, url: str) -> None:
        self.broker = make_broker(url)
        self.publisher = DramatiqPublisher(self.broker, {TOPIC: ["orders"]})
        self.client = redis.Redis.from_url(url)

    async def received(self) -> Sequence[Event]:
        events = []
        for message_id in cast(list[bytes], self.client.lrange("payonce:orders", 0, -1)):
            data = cast(bytes, self.client.hget("payonce:orders.msgs", cast(str, message_id)))
            events.extend(decode_batch(Message.decode(data).args[0]))
        return events

    async def forget(self) -> None:
        self.client.flushall()

    async def go_away(self) -> None:
        """Nobody listens where the publisher now looks for the broker."""
        self.publisher.close()
        nowhere = make_broker(f"redis://127.0.0.1:{free_port()}")
        self.publisher = DramatiqPublisher(nowhere, {TOPIC: ["orders"]})

    def close(self) -> None:
        self.publisher.close()
        self.broker.close()
        self.client.close()


class TestDramatiqPublisher(PublisherContract):
    @pytest.fixture
    async def broker(self, valkey_url: str) -> AsyncIterator[BrokerUnderTest]:
        valkey = Valkey(valkey_url)
        yield valkey
        valkey.close()


async def test_a_page_travels_as_few_messages(valkey_url: str) -> None:
    valkey = Valkey(valkey_url)
    await valkey.publisher.publish([event for n in range(60) for event in make_events(f"s{n}", 5)])

    assert valkey.client.llen("payonce:orders") == 2
    valkey.close()


async def test_events_of_other_topics_are_passed_over(valkey_url: str) -> None:
    valkey = Valkey(valkey_url)
    await valkey.publisher.publish([Event(uuid4(), "other", "a", 1, "T", b"{}", {})])
    assert await valkey.received() == []
    valkey.close()
