"""The Dramatiq publisher on a real RabbitMQ passes the contract of publishers, and what it confirms lasts."""

from collections.abc import AsyncIterator, Sequence

import pika
import pytest
from dramatiq import Message

from adapters.dramatiq.broker import make_broker
from adapters.dramatiq.publisher import DramatiqPublisher
from adapters.dramatiq.wire import decode_batch
from entrypoints.local.ports import free_port
from outbox import Event
from outbox.testing.publisher_contract import TOPIC, BrokerUnderTest, PublisherContract, make_events
from tests.support.rabbitmq import RabbitMQ

pytestmark = [
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.usefixtures("sockets_collected"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]


class Queue:
    """Reads the queue as one worker thread would: message by message, in the queue's order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.broker = make_broker(url)
        self.publisher = DramatiqPublisher(self.broker, {TOPIC: ["orders"]})

    async def received(self) -> Sequence[Event]:
        events = []
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            try:
                waiting = channel.queue_declare("orders", passive=True).method.message_count
            except pika.exceptions.ChannelClosedByBroker:
                waiting = 0  # nothing was ever published, so there is no queue
            for _ in range(waiting):
                _, _, body = channel.basic_get("orders", auto_ack=True)
                events.extend(decode_batch(Message.decode(body).args[0]))
        return events

    async def forget(self) -> None:
        raise NotImplementedError("RabbitMQ keeps what it has confirmed, so the suite has no use for this")

    async def go_away(self) -> None:
        """Nobody listens where the publisher now looks for the broker."""
        self.publisher.close()
        nowhere = make_broker(f"amqp://127.0.0.1:{free_port()}")
        self.publisher = DramatiqPublisher(nowhere, {TOPIC: ["orders"]})

    def close(self) -> None:
        self.publisher.close()
        self.broker.close()


@pytest.fixture
async def queue(rabbitmq: RabbitMQ) -> AsyncIterator[Queue]:
    made = Queue(rabbitmq.url)
    yield made
    made.close()


class TestRabbitmqPublisher(PublisherContract):
    @pytest.fixture
    async def broker(self, queue: Queue) -> BrokerUnderTest:
        return queue


async def test_a_page_travels_as_few_messages(queue: Queue) -> None:
    await queue.publisher.publish([event for n in range(60) for event in make_events(f"s{n}", 5)])
    with pika.BlockingConnection(pika.URLParameters(queue.url)) as connection:
        declared = connection.channel().queue_declare("orders", passive=True)
    assert declared.method.message_count == 2


async def test_it_has_no_marker_and_tells_no_delay(queue: Queue) -> None:
    """It keeps what it confirms; how long the oldest has waited cannot be asked without taking it out."""
    await queue.publisher.publish(make_events("a", 3))
    assert await queue.publisher.marker() is None
    assert await queue.publisher.delay_seconds() == 0.0


async def test_a_queue_that_was_deleted_is_made_again(queue: Queue, rabbitmq: RabbitMQ) -> None:
    first, second = make_events("a", 2)
    await queue.publisher.publish([first])
    rabbitmq.delete_queues("orders")
    await queue.publisher.publish([second])
    assert await queue.received() == [second]


async def test_what_it_confirmed_outlives_its_crash(queue: Queue, rabbitmq: RabbitMQ) -> None:
    events = [event for n in range(20) for event in make_events(f"s{n}", 10)]
    await queue.publisher.publish(events[:100])
    rabbitmq.crash()
    rabbitmq.start()
    await queue.publisher.publish(events[100:])  # over a new connection, which it makes by itself
    assert await queue.received() == events
