"""Webhooks: signed, at least once, again and again, unordered."""

import asyncio

import pytest
import stripe

from tests.integration.sandbox.receiver import Receiver
from tests.integration.sandbox.test_payments import pay
from tests.support.sandbox import SandboxGateway

THREE_EVENTS = ("payment_intent.created", "charge.succeeded", "payment_intent.succeeded")


async def test_every_event_arrives_signed(
    client: stripe.StripeClient, sandbox: SandboxGateway, receiver: Receiver
) -> None:
    receiver.secret = sandbox.add_webhook(receiver.url)
    intent = await asyncio.to_thread(pay, client, metadata={"orderId": "ord_1"})

    await receiver.until(lambda: set(THREE_EVENTS) <= set(receiver.types()))

    event = next(event for event in receiver.events if event.type == "payment_intent.succeeded")
    assert event.data.object["id"] == intent.id
    assert event.data.object["metadata"]["orderId"] == "ord_1"
    assert event.api_version == stripe.api_version
    assert event.request is not None
    assert event.request.id is not None
    body, signature = receiver.deliveries[0]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature, "whsec_other")


async def test_only_the_types_that_are_asked_for(
    client: stripe.StripeClient, sandbox: SandboxGateway, receiver: Receiver
) -> None:
    receiver.secret = sandbox.add_webhook(receiver.url, ("charge.succeeded",))
    await asyncio.to_thread(pay, client)
    await receiver.until(lambda: len(receiver.events) >= 1)
    assert receiver.types() == ["charge.succeeded"]


async def test_a_refused_delivery_is_repeated(
    client: stripe.StripeClient, sandbox: SandboxGateway, receiver: Receiver
) -> None:
    receiver.secret = sandbox.add_webhook(receiver.url, ("payment_intent.succeeded",))
    receiver.statuses = [500, 302, 200]
    await asyncio.to_thread(pay, client)

    await receiver.until(lambda: len(receiver.deliveries) >= 1)
    sandbox.advance(3600)
    await receiver.until(lambda: len(receiver.deliveries) >= 2)
    sandbox.advance(3600)
    await receiver.until(lambda: receiver.types() == ["payment_intent.succeeded"])

    bodies = {body for body, _ in receiver.deliveries}
    assert (len(receiver.deliveries), len(bodies)) == (3, 1)


async def test_given_up_after_three_days(
    client: stripe.StripeClient, sandbox: SandboxGateway, receiver: Receiver
) -> None:
    sandbox.add_webhook(receiver.url, ("payment_intent.created",))
    receiver.statuses = [500]
    intent = client.v1.payment_intents.create({"amount": 1099, "currency": "usd"})
    await receiver.until(lambda: len(receiver.deliveries) == 1)
    [event] = client.v1.events.list({"delivery_success": False}).data
    assert (event.data.object["id"], event.pending_webhooks) == (intent.id, 1)

    sandbox.advance(3 * 86400)
    await receiver.until(lambda: len(receiver.deliveries) == 2)

    # The receiver has answered before the sandbox has noted it; the next event comes after that.
    receiver.statuses = [500, 200]
    client.v1.payment_intents.create({"amount": 1099, "currency": "usd"})
    await receiver.until(lambda: len(receiver.deliveries) == 3)
    assert client.v1.events.retrieve(event.id).pending_webhooks == 0


async def test_drop_and_duplicate(
    client: stripe.StripeClient, sandbox: SandboxGateway, receiver: Receiver
) -> None:
    receiver.secret = sandbox.add_webhook(receiver.url, ("payment_intent.created",))
    sandbox.chaos(webhooks={"drop": 1})
    client.v1.payment_intents.create({"amount": 1099, "currency": "usd"})
    sandbox.chaos(webhooks={"duplicate": 1})
    kept = client.v1.payment_intents.create({"amount": 1099, "currency": "usd"})

    await receiver.until(lambda: len(receiver.events) == 2)

    assert [event.data.object["id"] for event in receiver.events] == [kept.id, kept.id]
    assert len({event.id for event in receiver.events}) == 1


async def arrivals(client: stripe.StripeClient, receiver: Receiver, count: int) -> list[int]:
    """Create intents over 1001, 1002, …; the amounts in the order in which their events arrive."""
    receiver.events.clear()
    for number in range(count):
        client.v1.payment_intents.create({"amount": 1001 + number, "currency": "usd"})
    await receiver.until(lambda: len(receiver.events) == count)
    return [event.data.object["amount"] for event in receiver.events]


async def test_reorder(client: stripe.StripeClient, sandbox: SandboxGateway, receiver: Receiver) -> None:
    receiver.secret = sandbox.add_webhook(receiver.url, ("payment_intent.created",))
    sandbox.chaos(seed=1, webhooks={"reorder": True, "delayMsMax": 100})
    order = await arrivals(client, receiver, 20)
    assert sorted(order) == list(range(1001, 1021))
    assert order != sorted(order)


async def test_the_endpoint_is_managed_by_its_calls(client: stripe.StripeClient, receiver: Receiver) -> None:
    endpoint = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    assert str(endpoint.secret).startswith("whsec_")
    shown = client.v1.webhook_endpoints.retrieve(endpoint.id)
    assert not hasattr(shown, "secret")
    disabled = client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    assert disabled.status == "disabled"
    assert [one.id for one in client.v1.webhook_endpoints.list().data] == [endpoint.id]
    assert client.v1.webhook_endpoints.delete(endpoint.id).deleted
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.webhook_endpoints.create({"url": "ftp://x", "enabled_events": ["*"]})
