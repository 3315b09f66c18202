"""The broker behind a URL, and how its idle consumers wait."""

import asyncio
import threading

import pytest
from dramatiq import Message
from dramatiq.broker import MessageProxy

from adapters.dramatiq.broker import UnknownBroker, WakingRedisBroker, make_broker
from adapters.dramatiq.wire import EVENTS_PER_MESSAGE, UnreadableBatch, batches, decode_batch
from outbox.testing.publisher_contract import make_events

FAR_LONGER_THAN_THE_TEST_MILLISECONDS = 40_000
TEST_SECONDS = 20.0


def message() -> Message[None]:
    return Message(queue_name="orders", actor_name="nobody", args=(), kwargs={}, options={})


@pytest.mark.parametrize("url", ["kafka://x", "", "http://x"])
def test_an_unknown_scheme_is_refused(url: str) -> None:
    with pytest.raises(UnknownBroker):
        make_broker(url)


def test_a_valkey_url_is_a_redis_url(valkey_url: str) -> None:
    broker = make_broker(valkey_url.replace("redis://", "valkey://"))
    assert isinstance(broker, WakingRedisBroker)
    assert broker.marker() == broker.marker()
    broker.close()


async def test_a_message_ends_the_wait_of_an_idle_consumer(valkey_url: str) -> None:
    broker = make_broker(valkey_url)
    consumer = broker.consume("orders", prefetch=2, timeout=FAR_LONGER_THAN_THE_TEST_MILLISECONDS)
    waiting = threading.Event()

    def first() -> MessageProxy:
        waiting.set()
        while (found := next(consumer)) is None:
            pass
        return found

    task = asyncio.create_task(asyncio.to_thread(first))
    await asyncio.to_thread(waiting.wait)
    sent = broker.enqueue(message())
    async with asyncio.timeout(TEST_SECONDS):
        found = await task

    assert found.message_id == sent.message_id
    consumer.close()
    broker.close()


async def test_an_acknowledgement_ends_the_wait_of_a_full_consumer(valkey_url: str) -> None:
    broker = make_broker(valkey_url)
    consumer = broker.consume("orders", prefetch=1, timeout=FAR_LONGER_THAN_THE_TEST_MILLISECONDS)
    for _ in range(2):
        broker.enqueue(message())
    held = next(consumer)
    assert held is not None

    def second() -> MessageProxy:
        while (found := next(consumer)) is None:
            pass
        return found

    task = asyncio.create_task(asyncio.to_thread(second))
    await asyncio.to_thread(consumer.ack, held)
    async with asyncio.timeout(TEST_SECONDS):
        found = await task
    assert found.message_id != held.message_id
    consumer.close()
    broker.close()


def test_the_oldest_message_tells_how_long_it_waits(valkey_url: str) -> None:
    broker = make_broker(valkey_url)
    assert isinstance(broker, WakingRedisBroker)
    assert broker.oldest_message_seconds("orders") == 0.0
    old = message()
    broker.enqueue(old.copy(message_timestamp=old.message_timestamp - 60_000))
    broker.enqueue(message())
    assert 59 < broker.oldest_message_seconds("orders") < 3600
    broker.close()


def test_a_stream_is_not_spread_over_batches_where_it_fits_into_one() -> None:
    streams = [make_events(f"s{n}", 7) for n in range(60)]
    mixed = [stream[n] for n in range(7) for stream in streams]
    made = list(batches(mixed))
    assert [len(batch) for batch in made] == [196, 196, 28]
    for batch in made:
        assert {e.stream for e in batch if e.sequence == 1} == {e.stream for e in batch}


def test_a_long_stream_is_cut_into_full_batches() -> None:
    events = make_events("a", 2 * EVENTS_PER_MESSAGE + 1)
    made = list(batches(events))
    assert [len(batch) for batch in made] == [EVENTS_PER_MESSAGE, EVENTS_PER_MESSAGE, 1]
    assert [e for batch in made for e in batch] == events


@pytest.mark.parametrize("data", ["", "[]", '{"events":[[1]]}', '{"events":[],"version":2}'])
def test_what_is_not_a_batch_is_refused(data: str) -> None:
    with pytest.raises(UnreadableBatch):
        decode_batch(data)
