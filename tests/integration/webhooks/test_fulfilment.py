"""A paid order and its warehouse: asked once by a signed webhook, accepted by its 2xx."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from adapters.cloudevents import order_effects
from adapters.system.randomness import new_signing_secret
from domain.orders.cancellation import Cancellation
from domain.orders.cart import Address, Customer, OrderLine
from domain.orders.effects import Effect, EffectType
from domain.orders.history import carried_out
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.use_cases.manage_endpoints import ChangeEndpoint
from domain.orders.webhooks.delivery import DeliveryStatus
from domain.orders.webhooks.endpoint import CONFIGURED_ID, DisabledReason
from entrypoints.settings import Secret
from entrypoints.worker.consumers import effect_inboxes
from outbox import Event
from tests.integration.webhooks.conftest import MakeShop, Shop
from tests.integration.webhooks.test_deliveries import finished, make_due, tried
from tests.support.house import OPERATOR
from tests.support.webhook_receiver import Say, WebhookReceiver

SECRET, OTHER_SECRET = new_signing_secret(), new_signing_secret()
SHIPPING = Address(line1="Main Street 1", city="Graz", postal_code="8010", country="AT")


async def pay(shop: Shop, number: int = 1, status: OrderStatus = OrderStatus.PAID, **changes: Any) -> Event:
    """A paid order, and its request to the warehouse as the outbox holds it."""
    now = datetime.now(UTC)
    order = Order(
        order_id=f"ord_{number}",
        user_id="u_1",
        currency="EUR",
        lines=(OrderLine(sku="TEA", name="Tea", quantity=2, unit_amount=1000),),
        customer=Customer(name="Ada Lovelace", email="ada@example.org", shipping_address=SHIPPING),
        status=status,
        created_at=now,
        updated_at=now,
        **changes,
    )
    async with shop.webhooks.endpoints.unit_of_work() as uow:
        await uow.orders.add(order)
        await uow.commit()
    effect = Effect(EffectType.NOTIFY_WAREHOUSE, order.order_id, "PaymentSucceeded")
    return order_effects.encode(effect, shop.container.ids.event_id, lambda: None)


async def consume(shop: Shop, event: Event) -> None:
    """The consumer `warehouse` receives it."""
    inbox = next(one for one in effect_inboxes(shop.container) if one.consumer == "warehouse")
    await inbox.receive(shop.container.orders.engine, [event])


async def order_of(shop: Shop, number: int = 1) -> Order:
    async with shop.webhooks.endpoints.unit_of_work() as uow:
        order = await uow.orders.get(f"ord_{number}")
    assert order is not None
    return order


async def history_of(shop: Shop) -> list[str]:
    async with shop.webhooks.endpoints.unit_of_work() as uow:
        return [one.entry.name for one in await uow.history.of("ord_1", limit=100)]


@pytest.fixture
def configured(make_shop: MakeShop, receiver: WebhookReceiver) -> Shop:
    return make_shop(fulfilment_url=Secret(receiver.url), fulfilment_secret=Secret(SECRET))


async def test_the_warehouse_s_2xx_accepts_the_order(configured: Shop, receiver: WebhookReceiver) -> None:
    shop = configured
    event = await pay(shop)
    receiver.answers = [Say(503), Say(202)]
    await consume(shop, event)
    assert (await order_of(shop)).status is OrderStatus.PAID
    endpoint = await shop.webhooks.endpoints.get(CONFIGURED_ID)
    async with shop.sending():
        await shop.until(endpoint, tried)
        assert (await order_of(shop)).status is OrderStatus.PAID
        await make_due(shop)
        await shop.until(endpoint, finished)
    order = await order_of(shop)
    assert (order.status, order.accepted_at is not None) == (OrderStatus.PROCESSING_FULFILLMENT, True)
    assert receiver.ids() == [str(event.id)] * 2
    body = Webhook(SECRET).verify(receiver.received[0].body, dict(receiver.received[0].headers))
    assert (body["specversion"], body["type"], body["subject"], body["id"]) == (
        "1.0",
        "FulfilmentRequested",
        "ord_1",
        str(event.id),
    )
    assert body["data"]["lines"] == [{"sku": "TEA", "name": "Tea", "quantity": 2, "unitAmount": 1000}]
    assert (body["data"]["recipient"], body["data"]["shippingAddress"]["postalCode"]) == (
        "Ada Lovelace",
        "8010",
    )
    assert "ada@example.org" not in receiver.received[0].body.decode()
    assert await history_of(shop) == ["NotifyWarehouse", "warehouse accepted"]


async def test_a_repeated_effect_asks_once(configured: Shop, receiver: WebhookReceiver) -> None:
    shop = configured
    event = await pay(shop)
    await consume(shop, event)
    async with shop.container.orders.engine.begin() as connection:  # as after a crash before its note
        await connection.execute(text("DELETE FROM orders.inbox_event"))
    await consume(shop, event)
    endpoint = await shop.webhooks.endpoints.get(CONFIGURED_ID)
    assert len(await shop.deliveries(endpoint)) == 1
    assert await history_of(shop) == ["NotifyWarehouse"]


async def test_a_replay_asks_again_with_the_same_key_and_changes_nothing(
    configured: Shop, receiver: WebhookReceiver
) -> None:
    shop = configured
    event = await pay(shop)
    await consume(shop, event)
    endpoint = await shop.webhooks.endpoints.get(CONFIGURED_ID)
    async with shop.sending():
        (delivery,) = await shop.until(endpoint, finished)
        accepted = await order_of(shop)
        await shop.webhooks.deliveries.replay(OPERATOR, delivery.delivery_id)
        await shop.until(endpoint, lambda found: finished(found) and len(found[0].attempts) == 2)
    assert (await order_of(shop)).version == accepted.version
    assert receiver.ids() == [str(event.id)] * 2


async def test_without_a_warehouse_the_order_is_accepted_at_once(
    shop: Shop, receiver: WebhookReceiver
) -> None:
    endpoint = await shop.register(receiver.url, "*")  # which does not mean this request
    await consume(shop, await pay(shop))
    assert (await order_of(shop)).status is OrderStatus.PROCESSING_FULFILLMENT
    assert await shop.deliveries(endpoint) == []


async def test_a_registered_endpoint_may_be_the_warehouse(shop: Shop, receiver: WebhookReceiver) -> None:
    endpoint = await shop.register(receiver.url, "FulfilmentRequested")
    await consume(shop, await pay(shop))
    async with shop.sending():
        await shop.until(endpoint, finished)
    assert (await order_of(shop)).status is OrderStatus.PROCESSING_FULFILLMENT


async def test_what_is_given_back_already_is_not_shipped(configured: Shop) -> None:
    shop = configured
    for number, status in enumerate((OrderStatus.REFUNDED, OrderStatus.CANCELED), start=1):
        await consume(shop, await pay(shop, number, status))
        assert (await order_of(shop, number)).accepted_at is None
    endpoint = await shop.webhooks.endpoints.get(CONFIGURED_ID)
    assert await shop.deliveries(endpoint) == []
    event = order_effects.encode(
        Effect(EffectType.NOTIFY_WAREHOUSE, "ord_gone", "PaymentSucceeded"), lambda: UUID(int=7), lambda: None
    )
    await consume(shop, event)
    assert await shop.deliveries(endpoint) == []


def stop(shop: Shop) -> Event:
    """What an order asks for once it is canceled."""
    effect = Effect(EffectType.NOTIFY_WAREHOUSE, "ord_1", OrderStatus.CANCELED)
    return order_effects.encode(effect, shop.container.ids.event_id, lambda: None)


async def cancel(shop: Shop) -> None:
    async with shop.webhooks.endpoints.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        order.step(OrderStatus.CANCELED, "the order is called off")
        order.cancellation = Cancellation(
            requested_at=datetime.now(UTC), reason="changed their mind", requested_by="u_1"
        )
        order.note(carried_out("cancel", "req_1"))
        await uow.orders.save([order])
        await uow.commit()


async def test_a_canceled_order_is_stopped_at_its_warehouse(
    configured: Shop, receiver: WebhookReceiver
) -> None:
    shop = configured
    await consume(shop, await pay(shop))
    endpoint = await shop.webhooks.endpoints.get(CONFIGURED_ID)
    async with shop.sending():
        await shop.until(endpoint, finished)
        await cancel(shop)
        event = stop(shop)
        await consume(shop, event)
        await shop.until(endpoint, lambda found: finished(found) and len(found) == 2)
    asked, stopped = (Webhook(SECRET).verify(one.body, dict(one.headers)) for one in receiver.received)
    assert (stopped["type"], stopped["subject"], stopped["id"]) == (
        "FulfilmentCanceled",
        "ord_1",
        str(event.id),
    )
    version = (await order_of(shop)).version
    assert stopped["data"] == {
        "orderId": "ord_1",
        "version": version,
        "status": "CANCELED",
        "reason": "changed their mind",
    }
    assert asked["data"]["version"] < version
    assert await history_of(shop) == ["NotifyWarehouse", "warehouse accepted", "cancel", "NotifyWarehouse"]


async def test_a_request_that_still_waits_is_not_sent_once_its_order_is_canceled(
    configured: Shop, receiver: WebhookReceiver
) -> None:
    shop = configured
    receiver.answers = [Say(503), Say(202)]
    await consume(shop, await pay(shop))
    endpoint = await shop.webhooks.endpoints.get(CONFIGURED_ID)
    async with shop.sending():
        await shop.until(endpoint, tried)
        await cancel(shop)
        await make_due(shop)  # before there is the other, which could be in hand, and would be sent again
        await consume(shop, stop(shop))
        asked, stopped = await shop.until(endpoint, lambda found: finished(found) and len(found) == 2)
    assert (asked.status, asked.attempts[-1].error) == (
        DeliveryStatus.FAILED,
        "not sent: the order is CANCELED",
    )
    assert stopped.status is DeliveryStatus.DELIVERED
    assert receiver.ids() == [asked.event_id, stopped.event_id]
    assert (await order_of(shop)).accepted_at is None


async def test_a_warehouse_of_a_former_version_is_told_to_stop_as_well(
    configured: Shop, receiver: WebhookReceiver
) -> None:
    shop = configured
    await shop.webhooks.configure()
    async with shop.container.orders.engine.begin() as connection:
        former = """UPDATE orders.webhook_endpoint SET event_types = '["FulfilmentRequested"]'"""
        await connection.execute(text(former))
    await shop.webhooks.endpoints.configure(shop.webhooks.configured)
    endpoint = await shop.webhooks.endpoints.get(CONFIGURED_ID)
    assert endpoint.event_types == ("FulfilmentRequested", "FulfilmentCanceled")


async def test_a_disabled_warehouse_keeps_its_orders_waiting(
    configured: Shop, receiver: WebhookReceiver
) -> None:
    shop = configured
    await shop.webhooks.configure()
    await shop.webhooks.endpoints.change(
        ChangeEndpoint(caller=OPERATOR, endpoint_id=CONFIGURED_ID, enabled=False)
    )
    await consume(shop, await pay(shop))
    assert await shop.webhooks.deliver.claim({}, 10) == []
    assert (await order_of(shop)).status is OrderStatus.PAID
    endpoint = await shop.webhooks.endpoints.change(
        ChangeEndpoint(caller=OPERATOR, endpoint_id=CONFIGURED_ID, enabled=True)
    )
    async with shop.sending():
        await shop.until(endpoint, finished)
    assert (await order_of(shop)).status is OrderStatus.PROCESSING_FULFILLMENT


async def test_other_settings(make_shop: MakeShop, receiver: WebhookReceiver) -> None:
    def shop_of(url: str | None, secret: str = SECRET) -> Shop:
        return make_shop(fulfilment_url=Secret(url or ""), fulfilment_secret=Secret(secret if url else ""))

    before = shop_of(receiver.url)
    await before.webhooks.configure()
    first = await before.webhooks.endpoints.get(CONFIGURED_ID)

    await shop_of(receiver.url).webhooks.configure()
    assert await before.webhooks.endpoints.get(CONFIGURED_ID) == first
    await shop_of(f"{receiver.url}/new", OTHER_SECRET).webhooks.configure()
    changed = await before.webhooks.endpoints.get(CONFIGURED_ID)
    assert (changed.url, changed.secret, changed.previous_secret) == (
        f"{receiver.url}/new",
        OTHER_SECRET,
        SECRET,
    )

    without = shop_of(None)
    await without.webhooks.configure()
    assert (await before.webhooks.endpoints.get(CONFIGURED_ID)).disabled_reason is DisabledReason.UNCONFIGURED
    await consume(without, await pay(without))
    assert (await order_of(without)).status is OrderStatus.PROCESSING_FULFILLMENT

    again = shop_of(receiver.url)
    await consume(again, await pay(again, 2))
    endpoint = await again.webhooks.endpoints.get(CONFIGURED_ID)
    assert [one.status for one in await again.deliveries(endpoint)] == [DeliveryStatus.PENDING]
    assert endpoint.is_enabled
