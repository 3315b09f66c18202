"""From an order's event to the customer's mailbox: relay, broker, worker, inbox and SMTP, all real."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from adapters.cloudevents import order_effects
from domain.orders.effects import Effect, EffectType
from domain.orders.history import EntryKind
from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.settings import Secret, Settings
from entrypoints.worker.consumers import effect_inboxes, payment_events_inbox
from entrypoints.worker.relay import run_relay
from entrypoints.worker.worker import run_worker
from outbox import Event, Received, UnorderedInbox
from outbox.rows import event_of
from tests.integration.http.conftest import Api, MakeSettings
from tests.support.fake_gateway import FakeGateway
from tests.support.mail_server import MailServer, Taken

LONGEST_WAIT_SECONDS = 30.0


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer().running() as running:
        yield running


@pytest.fixture
def settings(make_settings: MakeSettings, server: MailServer) -> Settings:
    return make_settings(
        smtp_url=Secret(f"smtp://127.0.0.1:{server.port}"),
        mail_from="orders@shop.test",
        shop_name="Tea & Oak",
        shop_url="https://shop.test/orders/{orderId}",
    )


@pytest.fixture
async def shop(settings: Settings, gateway: FakeGateway) -> AsyncIterator[Api]:
    container = build_container(settings, Outside(gateway=gateway))
    await container.start()
    client = Api(create_app_of(container), container)
    yield client
    await client.http.aclose()
    await container.stop()


async def arrived(server: MailServer, count: int) -> Sequence[Taken]:
    async with asyncio.timeout(LONGEST_WAIT_SECONDS):
        while len(server.taken) < count:
            server.took.clear()
            await server.took.wait()
    return server.taken


async def confirm(shop: Api, token: str, **changes: Any) -> dict[str, Any]:
    order = await shop.order(**changes)
    path = f"/v1/orders/{order['orderId']}/confirm"
    answer = await shop.post(path, {"paymentMethodToken": token}, key=order["orderId"])
    assert answer.status_code == 200, answer.text
    return order


async def follow(shop: Api) -> None:
    """Let the orders follow all that their payments have told."""
    async with shop.container.payments.engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT id, topic, stream, sequence, type, payload::text, headers::text"
                " FROM payments.outbox_event ORDER BY position"
            )
        )
        events = [event_of(row._mapping) for row in rows]
    await payment_events_inbox(shop.container).receive(shop.container.orders.engine, events)


def asked(order_id: str, about: str, number: int = 1) -> Event:
    """The effect's event."""
    effect = Effect(EffectType.NOTIFY_CUSTOMER, order_id, about)
    return order_effects.encode(
        effect, lambda: UUID(int=(1_772_366_400_000 << 80) | (0x7 << 76) | number), lambda: None
    )


def customer_inbox(shop: Api) -> UnorderedInbox:
    (inbox,) = (inbox for inbox in effect_inboxes(shop.container) if inbox.consumer == "customer")
    return inbox


async def noted(shop: Api, order_id: str) -> list[dict[str, Any]]:
    """What the order's history says of the effects that were carried out."""
    async with shop.container.orders.tell_customer.unit_of_work() as uow:
        entries = [recorded.entry for recorded in await uow.history.of(order_id, limit=100)]
    return [dict(entry.details) for entry in entries if entry.kind is EntryKind.EFFECT]


async def test_who_pays_and_who_is_declined_is_told_by_mail(
    shop: Api, settings: Settings, server: MailServer
) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run_relay(settings, stop))
        tasks.create_task(run_worker(settings, stop))
        paid = await confirm(shop, "pm_card_visa")
        [mail] = [taken.mail for taken in await arrived(server, 1)]
        failed = await confirm(shop, "pm_card_visa_chargeDeclined")
        await arrived(server, 2)
        stop.set()
    assert mail["Subject"] == f"Payment received for order {paid['orderId']}"
    [_, declined] = server.taken
    assert declined.recipients == ["ada@example.org"]
    text_form = declined.mail.get_body(("plain",))
    assert text_form is not None
    assert f"Try again: https://shop.test/orders/{failed['orderId']}" in text_form.get_content()


async def test_duplicates_of_an_effect_are_one_mail_and_one_note(shop: Api, server: MailServer) -> None:
    order = await confirm(shop, "pm_card_visa")
    await follow(shop)
    event, inbox = asked(order["orderId"], "PaymentSucceeded"), customer_inbox(shop)
    engine = shop.container.orders.engine
    together = await asyncio.gather(*(inbox.receive(engine, [event, event]) for _ in range(8)))
    assert sum(received.applied for received in together) == 1
    assert await inbox.receive(engine, [event]) == Received(repeated=1)
    assert [taken.mail["Message-ID"] for taken in server.taken] == [f"<{event.id}@shop.test>"]
    assert await noted(shop, order["orderId"]) == [{"about": "PaymentSucceeded", "told": "PAID"}]


async def test_what_died_between_the_mail_and_its_note_sends_it_again_with_its_id(
    shop: Api, server: MailServer
) -> None:
    """Once in our own database; for the mailbox it is at least once, with a stable id."""
    order = await confirm(shop, "pm_card_visa")
    await follow(shop)
    event, inbox = asked(order["orderId"], "PaymentSucceeded"), customer_inbox(shop)
    engine = shop.container.orders.engine
    server.holds = True
    attempt = asyncio.create_task(inbox.receive(engine, [event]))
    await arrived(server, 1)
    attempt.cancel()  # the process is gone: the server has the mail, and nobody has its word
    await asyncio.gather(attempt, return_exceptions=True)
    server.holds = False
    assert await noted(shop, order["orderId"]) == []
    async with engine.begin() as connection:  # a minute passes
        await connection.execute(text("UPDATE orders.inbox_event SET due_at = clock_timestamp()"))
    assert await inbox.run_due(engine) == Received(applied=1)
    first, again = (taken.mail for taken in server.taken)
    assert first["Message-ID"] == again["Message-ID"] == f"<{event.id}@shop.test>"
    assert await noted(shop, order["orderId"]) == [{"about": "PaymentSucceeded", "told": "PAID"}]


async def test_a_refused_mailbox_is_parked_with_its_cause_and_stops_nothing_else(
    shop: Api, server: MailServer
) -> None:
    orders = [await confirm(shop, "pm_card_visa") for _ in range(2)]
    await follow(shop)
    events = [asked(order["orderId"], "PaymentSucceeded", n) for n, order in enumerate(orders, 1)]
    inbox, engine = customer_inbox(shop), shop.container.orders.engine
    server.answers["RCPT"] = "550 5.1.1 <{address}>: no such mailbox"
    assert await inbox.receive(engine, events[:1]) == Received(parked=1)
    server.answers["RCPT"] = "451 4.3.0 try later"
    assert await inbox.receive(engine, events[1:]) == Received(failed=1)
    async with engine.begin() as connection:
        causes = await connection.scalars(text("SELECT cause FROM orders.inbox_event ORDER BY id"))
        assert list(causes) == [
            "550 5.1.1 <address> no such mailbox",
            "MailDeferred: 451 4.3.0 try later",
        ]
        await connection.execute(
            text("UPDATE orders.inbox_event SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")
        )
    server.answers.clear()
    assert await inbox.run_due(engine) == Received(applied=1)
    assert len(server.taken) == 1
    async with engine.begin() as connection:
        assert await inbox.retry(connection, events[0].id)
    assert await inbox.run_due(engine) == Received(applied=1)
    assert len(server.taken) == 2


async def test_who_left_no_address_and_what_was_overtaken_is_noted_as_not_told(
    shop: Api, server: MailServer
) -> None:
    nobody = await confirm(shop, "pm_card_visa", customer={"name": "Ada"})
    paid = await confirm(shop, "pm_card_visa")
    await follow(shop)
    events = [
        asked(nobody["orderId"], "PaymentSucceeded", 1),
        asked(paid["orderId"], "PaymentRequiresAction", 2),
    ]
    assert await customer_inbox(shop).receive(shop.container.orders.engine, events) == Received(applied=2)
    assert server.taken == []
    assert await noted(shop, nobody["orderId"]) == [{"about": "PaymentSucceeded", "told": "NO_ADDRESS"}]
    assert await noted(shop, paid["orderId"]) == [{"about": "PaymentRequiresAction", "told": "OVERTAKEN"}]
