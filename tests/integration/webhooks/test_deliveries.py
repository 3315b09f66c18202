"""From the log of payments to somebody's endpoint: each event once, whatever fails in between."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from adapters.cloudevents import payment_events
from domain.orders.use_cases.deliver_webhooks import PER_ENDPOINT
from domain.orders.use_cases.manage_endpoints import ChangeEndpoint
from domain.orders.use_cases.replay_deliveries import ReplayDeliveries
from domain.orders.webhooks.delivery import RETRY_AFTER, Delivery, DeliveryStatus
from domain.orders.webhooks.endpoint import DisabledReason
from domain.orders.webhooks.errors import EndpointUrlRefused
from domain.shared.payment_events import PaymentFailed, PaymentSucceeded
from entrypoints.worker.webhook_log import WebhookPublisher
from outbox import Event, PublishFailed, Relay
from tests.integration.webhooks.conftest import MakeShop, Shop
from tests.support.events import full_event
from tests.support.house import OPERATOR
from tests.support.webhook_receiver import HANG, RESET, Say, WebhookReceiver


async def commit(shop: Shop, *kinds: Any, payment: str = "pay_1") -> list[Event]:
    """The next events of a payment, in the log."""
    events = [
        payment_events.encode(full_event(kind, number, payment_id=payment, order_id="ord_1"), lambda: None)
        for number, kind in enumerate(kinds, start=1)
    ]
    payments = shop.container.payments
    async with payments.engine.begin() as connection:
        await payments.outbox.append(connection, events)
    return events


async def relay(shop: Shop) -> int:
    payments = shop.container.payments
    return await Relay(payments.engine, payments.outbox, WebhookPublisher(shop.webhooks.queue)).drain()


def finished(found: list[Delivery]) -> bool:
    return bool(found) and all(one.due_at is None for one in found)


def tried(found: list[Delivery]) -> bool:
    return bool(found) and all(one.attempts for one in found)


async def make_due(shop: Shop) -> None:
    """As if the waiting time were over."""
    async with shop.container.orders.engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE orders.webhook_delivery SET due_at = now() - interval '1 hour' WHERE due_at IS NOT NULL"
            )
        )
        await connection.execute(text("UPDATE orders.webhook_endpoint SET paused_until = NULL"))


async def test_each_event_goes_to_each_endpoint_that_wants_it(shop: Shop, receiver: WebhookReceiver) -> None:
    everything = await shop.register(f"{receiver.url}/all")
    failures = await shop.register(f"{receiver.url}/failures", "PaymentFailed")
    failed, succeeded = await commit(shop, PaymentFailed, PaymentSucceeded)
    assert await relay(shop) == 2
    async with shop.sending():
        await shop.until(everything, finished)
        await shop.until(failures, finished)
    by_path = sorted((one.path, one.webhook_id) for one in receiver.received)
    assert by_path == sorted(
        [("/hook/all", str(failed.id)), ("/hook/all", str(succeeded.id)), ("/hook/failures", str(failed.id))]
    )
    for one in receiver.received:
        endpoint = everything if one.path == "/hook/all" else failures
        body = Webhook(endpoint.secret).verify(one.body, dict(one.headers))
        event = failed if one.webhook_id == str(failed.id) else succeeded
        assert body == msgspec.json.decode(event.payload)
    (delivery, *_) = await shop.deliveries(everything)
    assert (delivery.status, delivery.order_id, delivery.attempts[0].status) == ("DELIVERED", "ord_1", 200)


async def test_a_page_that_is_published_again_makes_no_second_delivery(
    shop: Shop, receiver: WebhookReceiver
) -> None:
    """A relay that dies between the publication and its cursor."""
    endpoint = await shop.register(receiver.url)
    events = await commit(shop, PaymentFailed, PaymentSucceeded)
    publisher = WebhookPublisher(shop.webhooks.queue)
    await asyncio.gather(*(publisher.publish(events) for _ in range(4)))
    await relay(shop)
    assert len(await shop.deliveries(endpoint)) == 2


async def test_an_event_that_is_older_than_the_endpoint_is_not_sent(
    shop: Shop, receiver: WebhookReceiver
) -> None:
    await commit(shop, PaymentFailed)
    await relay(shop)
    endpoint = await shop.register(receiver.url)
    await relay(shop)
    assert await shop.deliveries(endpoint) == []


async def test_a_database_that_is_away_keeps_the_page(shop: Shop) -> None:
    events = await commit(shop, PaymentFailed)
    publisher = WebhookPublisher(shop.webhooks.queue)
    async with shop.container.orders.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE orders.webhook_endpoint RENAME TO gone"))
    with pytest.raises(PublishFailed):
        await publisher.publish(events)


async def test_killed_between_sending_and_noting_it_is_sent_again_with_the_same_id(
    shop: Shop, receiver: WebhookReceiver
) -> None:
    endpoint = await shop.register(receiver.url)
    (event,) = await commit(shop, PaymentSucceeded)
    await relay(shop)
    receiver.answers = [Say(HANG), Say(200)]
    (claimed,) = await shop.webhooks.deliver.claim({}, 10)
    dying = asyncio.create_task(shop.webhooks.deliver.deliver(claimed))
    await receiver.until(lambda: len(receiver.received) == 1)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert await shop.webhooks.deliver.claim({}, 10) == [], "it is leased"
    await make_due(shop)  # the lease ends
    async with shop.sending():
        await shop.until(endpoint, finished)
    assert receiver.ids() == [str(event.id)] * 2


async def test_a_note_that_comes_after_its_lease_changes_nothing(
    shop: Shop, receiver: WebhookReceiver
) -> None:
    endpoint = await shop.register(receiver.url)
    await commit(shop, PaymentSucceeded)
    await relay(shop)
    (late,) = await shop.webhooks.deliver.claim({}, 10)
    await make_due(shop)
    (now,) = await shop.webhooks.deliver.claim({}, 10)
    receiver.answers = [Say(200), Say(500)]
    await shop.webhooks.deliver.deliver(now)
    await shop.webhooks.deliver.deliver(late)
    (delivery,) = await shop.deliveries(endpoint)
    assert (delivery.status, [one.status for one in delivery.attempts]) == (DeliveryStatus.DELIVERED, [200])


@pytest.mark.parametrize("how", [Say(500, body=b"broken"), Say(RESET), Say(HANG), Say(302)])
async def test_failures_are_kept_and_tried_again(
    make_shop: MakeShop, receiver: WebhookReceiver, how: Say
) -> None:
    shop = make_shop(seconds=0.2)
    endpoint = await shop.register(receiver.url)
    await commit(shop, PaymentSucceeded)
    await relay(shop)
    receiver.answers = [how, Say(200)]
    async with shop.sending():
        (delivery,) = await shop.until(endpoint, tried)
        assert delivery.status is DeliveryStatus.PENDING
        assert (await shop.webhooks.endpoints.get(endpoint.endpoint_id)).failing_since is not None
        await make_due(shop)
        (delivery,) = await shop.until(endpoint, finished)
    first, second = delivery.attempts
    assert (first.status, first.answer) == (
        how.status if isinstance(how.status, int) else None,
        how.body.decode(),
    )
    assert (bool(first.error), second.status) == (how.status != 500, 200)
    assert (await shop.webhooks.endpoints.get(endpoint.endpoint_id)).failing_since is None


async def test_one_that_hangs_holds_nobody_up_and_has_few_at_a_time(
    shop: Shop, receiver: WebhookReceiver
) -> None:
    slow = await shop.register(f"{receiver.url}/slow")
    receiver.by_path["/hook/slow"] = Say(HANG)
    for number in range(PER_ENDPOINT + 2):
        await commit(shop, PaymentSucceeded, payment=f"pay_{number}")
    await relay(shop)
    async with shop.sending():
        await receiver.until(lambda: len(receiver.received) == PER_ENDPOINT)
        quick = await shop.register(f"{receiver.url}/quick")
        await commit(shop, PaymentSucceeded, payment="pay_quick")
        await relay(shop)
        await shop.until(quick, finished)
        assert sum(one.path == "/hook/slow" for one in receiver.received) == PER_ENDPOINT
        receiver.let_go.set()
        await shop.until(slow, finished)


async def test_two_workers_share_the_work(make_shop: MakeShop, receiver: WebhookReceiver) -> None:
    first, second = make_shop(), make_shop()
    endpoint = await first.register(receiver.url)
    for number in range(20):
        await commit(first, PaymentSucceeded, payment=f"pay_{number}")
    await relay(first)
    async with first.sending(), second.sending():
        await first.until(endpoint, finished)
    assert len(receiver.ids()) == len(set(receiver.ids())) == 20


async def test_gone_disables_and_what_waits_goes_on_once_it_is_enabled(
    shop: Shop, receiver: WebhookReceiver
) -> None:
    endpoint = await shop.register(receiver.url)
    receiver.answers = [Say(410), Say(200)]
    await commit(shop, PaymentFailed)
    await relay(shop)
    async with shop.sending():
        await shop.until(endpoint, tried)
        gone = await shop.webhooks.endpoints.get(endpoint.endpoint_id)
        assert gone.disabled_reason is DisabledReason.GONE
        await commit(shop, PaymentSucceeded, payment="pay_2")
        await relay(shop)
        await make_due(shop)
        assert await shop.webhooks.deliver.claim({}, 10) == []
        await shop.webhooks.endpoints.change(
            ChangeEndpoint(caller=OPERATOR, endpoint_id=endpoint.endpoint_id, enabled=True)
        )
        assert len(await shop.until(endpoint, finished)) == 2
    assert len(receiver.received) == 3


async def test_an_endpoint_that_asks_for_a_pause_has_it(shop: Shop, receiver: WebhookReceiver) -> None:
    endpoint = await shop.register(receiver.url)
    receiver.answers = [Say(429, {"Retry-After": "600"}), Say(200)]
    await commit(shop, PaymentFailed)
    await relay(shop)
    async with shop.sending():
        (delivery,) = await shop.until(endpoint, tried)
        assert delivery.due_at is not None
        assert delivery.due_at - datetime.now(UTC) > timedelta(minutes=9)
        await commit(shop, PaymentSucceeded, payment="pay_2")
        await relay(shop)
        assert await shop.webhooks.deliver.claim({}, 10) == []


async def test_given_up_after_the_last_attempt_and_replayed(shop: Shop, receiver: WebhookReceiver) -> None:
    endpoint = await shop.register(receiver.url)
    (event,) = await commit(shop, PaymentSucceeded)
    await relay(shop)
    receiver.answers = [Say(500)] * (len(RETRY_AFTER) + 1) + [Say(200)]
    for _ in range(len(RETRY_AFTER) + 1):
        (claimed,) = await shop.webhooks.deliver.claim({}, 10)
        await shop.webhooks.deliver.deliver(claimed)
        await make_due(shop)
    (delivery,) = await shop.deliveries(endpoint)
    assert (delivery.status, delivery.due_at) == (DeliveryStatus.FAILED, None)
    assert await shop.webhooks.deliver.claim({}, 10) == []

    since = datetime.now(UTC) - timedelta(hours=1)
    replay = ReplayDeliveries(caller=OPERATOR, endpoint_id=endpoint.endpoint_id, since=since)
    assert await shop.webhooks.deliveries.replay_all(replay) == 1
    async with shop.sending():
        (delivery,) = await shop.until(endpoint, finished)
        assert delivery.status is DeliveryStatus.DELIVERED
        assert await shop.webhooks.deliveries.replay_all(replay) == 0
        await shop.webhooks.deliveries.replay(OPERATOR, delivery.delivery_id)
        await shop.until(endpoint, lambda found: finished(found) and len(found[0].attempts) == 15)
        again = ReplayDeliveries(
            caller=OPERATOR, endpoint_id=endpoint.endpoint_id, since=since, also_delivered=True
        )
        assert await shop.webhooks.deliveries.replay_all(again) == 1
        await shop.until(endpoint, lambda found: finished(found) and len(found[0].attempts) == 16)
    assert set(receiver.ids()) == {str(event.id)}


async def test_a_deleted_endpoint_is_sent_nothing_and_leaves_nothing(
    shop: Shop, receiver: WebhookReceiver
) -> None:
    endpoint = await shop.register(receiver.url)
    await commit(shop, PaymentSucceeded)
    await relay(shop)
    await shop.webhooks.endpoints.delete(OPERATOR, endpoint.endpoint_id)
    await commit(shop, PaymentSucceeded, payment="pay_2")
    await relay(shop)
    assert await shop.webhooks.deliver.claim({}, 10) == []
    await shop.webhooks.forget()
    async with shop.container.orders.engine.connect() as connection:
        for table in ("webhook_delivery", "webhook_endpoint"):
            assert await connection.scalar(text(f"SELECT count(*) FROM orders.{table}")) == 0


async def test_an_address_that_is_closed_by_now_fails_its_attempts(
    make_shop: MakeShop, receiver: WebhookReceiver
) -> None:
    """The name was public when it was registered; here the setting that opened it is gone."""
    shop = make_shop()
    with pytest.raises(EndpointUrlRefused):
        await shop.register("http://10.0.0.1/")
    endpoint = await shop.register(receiver.url)
    async with shop.container.orders.engine.begin() as connection:
        await connection.execute(text("UPDATE orders.webhook_endpoint SET url = 'http://[::ffff:10.0.0.1]/'"))
    await commit(shop, PaymentSucceeded)
    await relay(shop)
    async with shop.sending():
        (delivery,) = await shop.until(endpoint, tried)
    assert "is not a public address" in str(delivery.attempts[0].error)
