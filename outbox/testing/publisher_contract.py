"""What every publisher must do. Subclass PublisherContract in a test module and give it a `broker` fixture.

The tests are coroutines for pytest-asyncio, in its strict mode as well as in its automatic one.
"""

import itertools
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import pytest

from outbox.event import Event
from outbox.publisher import Publisher, PublishFailed

TOPIC = "contract"

_numbers = itertools.count(1)


class BrokerUnderTest(Protocol):
    """A real broker with nothing in it, as the suite needs to see it."""

    @property
    def publisher(self) -> Publisher:
        """One that publishes the topic `contract` to one consumer."""

    async def received(self) -> Sequence[Event]:
        """All that a consumer gets out of the broker, in the order it gets it."""

    async def forget(self) -> None:
        """Lose everything, as a restart without a disk would."""

    async def go_away(self) -> None:
        """Stop answering."""


def make_events(stream: str, count: int) -> list[Event]:
    return [
        Event(
            id=UUID(int=next(_numbers)),
            topic=TOPIC,
            stream=stream,
            sequence=n,
            type="Counted",
            payload=b'{"n":%d,"text":"\xc3\xa9\xe2\x82\xac \\u0001","nested":{"list":[1,null,true]}}' % n,
            headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        )
        for n in range(1, count + 1)
    ]


class PublisherContract:
    pytestmark = pytest.mark.asyncio

    @pytest.fixture
    def broker(self) -> BrokerUnderTest:
        raise NotImplementedError("give the suite a broker")

    async def test_events_arrive_as_they_were_published(self, broker: BrokerUnderTest) -> None:
        (event,) = make_events("a", 1)
        await broker.publisher.publish([event])
        assert list(await broker.received()) == [event]

    async def test_an_unordered_event_arrives_without_a_sequence(self, broker: BrokerUnderTest) -> None:
        event = Event(UUID(int=next(_numbers)), TOPIC, "a", None, "Counted", b"{}", {})
        await broker.publisher.publish([event])
        assert list(await broker.received()) == [event]

    async def test_each_stream_keeps_its_order(self, broker: BrokerUnderTest) -> None:
        streams = [make_events(name, 40) for name in ("a", "b", "c", "d", "e")]
        mixed = [stream[n] for n in range(40) for stream in streams]
        await broker.publisher.publish(mixed[:90])
        await broker.publisher.publish(mixed[90:])

        received = await broker.received()

        assert len(received) == 200
        for stream in streams:
            assert [e for e in received if e.stream == stream[0].stream] == stream

    async def test_nothing_is_published_by_an_empty_page(self, broker: BrokerUnderTest) -> None:
        await broker.publisher.publish([])
        assert list(await broker.received()) == []

    async def test_repeats_are_published(self, broker: BrokerUnderTest) -> None:
        (event,) = make_events("a", 1)
        await broker.publisher.publish([event])
        await broker.publisher.publish([event])
        assert list(await broker.received()) == [event, event]

    async def test_the_marker_stays_until_the_broker_forgets(self, broker: BrokerUnderTest) -> None:
        first = await broker.publisher.marker()
        await broker.publisher.publish(make_events("a", 3))
        assert await broker.publisher.marker() == first
        if first is not None:
            await broker.forget()
            assert await broker.publisher.marker() != first

    async def test_an_empty_broker_has_no_delay(self, broker: BrokerUnderTest) -> None:
        assert await broker.publisher.delay_seconds() == 0.0
        await broker.publisher.publish(make_events("a", 3))
        assert await broker.publisher.delay_seconds() >= 0.0

    async def test_a_broker_that_is_away_fails_the_publication(self, broker: BrokerUnderTest) -> None:
        await broker.go_away()
        with pytest.raises(PublishFailed):
            await broker.publisher.publish(make_events("a", 3))

    async def test_the_name_is_its_own(self, broker: BrokerUnderTest) -> None:
        assert broker.publisher.name
