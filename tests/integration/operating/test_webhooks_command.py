"""`payonce webhooks` on a real database: no gateway is configured, and none answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.cloudevents import payment_events
from adapters.postgres.engine import make_engine
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from domain.payments.gateway import CaptureMethod, IntentStatus
from domain.payments.payment import Payment
from domain.payments.webhook import StoredWebhook, WebhookOutcome
from entrypoints.cli import main
from outbox import Outbox
from tests.support.vault import DATA_KEYS, VAULT
from tests.unit.stripe.objects import INTENT, REFUND

Run = Callable[..., Awaitable[Result]]
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url, pool_size=2, application="test", vault=VAULT)
    yield engine
    await engine.dispose()


@pytest.fixture
def uow(engine: AsyncEngine) -> Callable[[], PostgresPaymentsUnitOfWork]:
    encode = partial(payment_events.encode, traceparent=lambda: None)
    return partial(PostgresPaymentsUnitOfWork, engine, Outbox("payments"), encode, lambda: None)


@pytest.fixture
def run(database_url: str) -> Run:
    async def run(*arguments: str) -> Result:
        # In a thread, for the command has an event loop of its own.
        return await asyncio.to_thread(
            CliRunner().invoke,
            main,
            ["webhooks", *arguments],
            env={"PAYONCE_DATABASE_URL": database_url, "PAYONCE_DATA_KEYS": DATA_KEYS},
            prog_name="payonce",
        )

    return run


async def answer(run: Run, *arguments: str, exit_code: int = 0) -> Any:
    result = await run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def webhook(event_id: str, type_: str, subject: dict[str, Any], **changes: Any) -> StoredWebhook:
    body = {"id": event_id, "object": "event", "type": type_, "created": 1, "data": {"object": subject}}
    fields: dict[str, Any] = {
        "created_at": NOW,
        "received_at": NOW - timedelta(minutes=10),
        "intent_id": "pi_1",
        "payment_id": None,
        "outcome": WebhookOutcome.WAITING,
        "is_known": True,
        **changes,
    }
    return StoredWebhook(
        gateway="stripe", event_id=event_id, type=type_, body=json.dumps(body).encode(), **fields
    )


def refund(number: int) -> dict[str, Any]:
    ours = {"id": f"re_{number}", "payment_intent": "pi_1", "amount": 100, "status": "succeeded"}
    return {**REFUND, **ours, "currency": "eur", "metadata": {}}


def a_payment(**changes: Any) -> Payment:
    fields: dict[str, Any] = {
        "status": IntentStatus.SUCCEEDED,
        "amount_captured": 1000,
        "created_at": NOW,
        "updated_at": NOW,
        **changes,
    }
    return Payment(
        payment_id="pay_1",
        order_id="ord_1",
        amount=1000,
        currency="EUR",
        capture_method=CaptureMethod.AUTOMATIC,
        gateway="stripe",
        intent_id="pi_1",
        **fields,
    )


async def keep(
    uow: Callable[[], PostgresPaymentsUnitOfWork], *webhooks: StoredWebhook, payment: Payment | None = None
) -> None:
    async with uow() as work:
        if payment is not None:
            await work.payments.add(payment)
        for one in webhooks:
            await work.webhooks.insert(one)
        await work.commit()


async def test_what_waited_or_could_not_be_read_is_applied_once(
    run: Run, uow: Any, engine: AsyncEngine
) -> None:
    unreadable = webhook("evt_3", "refund.created", refund(3), outcome=WebhookOutcome.UNREADABLE)
    waiting = [webhook(f"evt_{n}", "refund.created", refund(n)) for n in (1, 2)]
    await keep(uow, *waiting, unreadable, payment=a_payment())

    told = await answer(run, "replay", "--outcome", "WAITING")
    assert told == {
        "replayed": [{"eventId": "evt_1", "became": "APPLIED"}, {"eventId": "evt_2", "became": "APPLIED"}],
        "unsolved": 0,
    }
    assert (await answer(run, "replay", "--from", "1h", "--limit", "2"))["replayed"] == [
        {"eventId": "evt_1", "became": "NOTHING_NEW"},
        {"eventId": "evt_2", "became": "NOTHING_NEW"},
    ]
    result = await run("replay", "evt_3", "evt_3")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "evt_3: APPLIED",
        "evt_3: NOTHING_NEW",
        "2 replayed: 1 APPLIED, 1 NOTHING_NEW",
    ]
    async with engine.connect() as connection:
        events = await connection.scalars(text("SELECT type FROM payments.outbox_event ORDER BY sequence"))
        refunded = await connection.scalar(text("SELECT amount_refunded FROM payments.payment"))
    assert (events.all(), refunded) == (["RefundProcessed"] * 3, 300)
    kept = (await answer(run, "list", "--payment", "pay_1"))["webhooks"]
    assert [(one["eventId"], one["outcome"]) for one in kept] == [
        ("evt_3", "APPLIED"),
        ("evt_2", "APPLIED"),
        ("evt_1", "APPLIED"),
    ]


async def test_what_cannot_be_processed_says_why(run: Run, uow: Any, engine: AsyncEngine) -> None:
    old = {**INTENT, "id": "pi_1", "status": "requires_action", "metadata": {}}
    await keep(
        uow,
        webhook("evt_1", "payment_intent.requires_action", old),
        webhook("evt_2", "payment_intent.succeeded", {**old, "status": "requires_patience"}),
        webhook("evt_3", "refund.created", refund(1), received_at=NOW - timedelta(hours=2)),
        payment=a_payment(status=IntentStatus.PROCESSING, amount_captured=0),
    )
    async with uow() as work:
        await work.webhooks.drop_bodies(received_before=NOW - timedelta(hours=1), limit=10)
        await work.commit()
    told = await answer(run, "replay", "evt_1", "evt_2", "evt_3", "evt_4", exit_code=1)
    assert [one["became"] for one in told["replayed"]] == [
        "GATEWAY_UNAVAILABLE",
        "UNREADABLE",
        "BODY_GONE",
        "NOT_KEPT",
    ]
    assert told["unsolved"] == 4
    result = await run("replay", "evt_1")
    assert "the gateway could not be asked" in result.stdout


async def test_list_types_and_show(run: Run, uow: Any) -> None:
    ignored = {"outcome": WebhookOutcome.IGNORED, "intent_id": None}
    await keep(
        uow,
        webhook("evt_1", "moon.landed", {"footprints": 2}, **ignored, is_known=False),
        webhook("evt_2", "charge.succeeded", {}, **ignored, received_at=NOW - timedelta(hours=3)),
    )
    everything = (await answer(run, "list"))["webhooks"]
    assert [one["eventId"] for one in everything] == ["evt_1", "evt_2"]
    assert everything[0] == {
        "eventId": "evt_1",
        "gateway": "stripe",
        "type": "moon.landed",
        "isKnown": False,
        "outcome": "IGNORED",
        "paymentId": None,
        "gatewayPaymentIntentId": None,
        "createdAt": NOW.isoformat().replace("+00:00", "Z"),
        "receivedAt": (NOW - timedelta(minutes=10)).isoformat().replace("+00:00", "Z"),
        "isBodyKept": True,
    }
    for arguments, wanted in (
        (("--unknown",), ["evt_1"]),
        (("--type", "charge.succeeded"), ["evt_2"]),
        (("--from", "1h"), ["evt_1"]),
        (("--to", "1h"), ["evt_2"]),
        (("--outcome", "WAITING"), []),
        (("--limit", "1"), ["evt_1"]),
    ):
        found = (await answer(run, "list", *arguments))["webhooks"]
        assert [one["eventId"] for one in found] == wanted
    kinds = (await answer(run, "types"))["types"]
    assert [(kind["type"], kind["isKnown"], kind["count"]) for kind in kinds] == [
        ("moon.landed", False, 1),
        ("charge.succeeded", True, 1),
    ]
    shown = (await answer(run, "show", "evt_1"))["webhook"]
    assert shown["body"]["data"] == {"object": {"footprints": 2}}
    assert (await answer(run, "show", "evt_9", exit_code=1)) == {"webhook": None}
    table = (await run("list")).stdout
    assert "moon.landed (unknown)" in table
    assert '"footprints": 2' in (await run("show", "evt_1")).stdout
    assert "moon.landed (unknown)" in (await run("types")).stdout


async def test_wrong_usage(run: Run, uow: Any) -> None:
    for arguments in (
        ("replay",),
        ("replay", "evt_1", "--from", "1h"),
        ("list", "--outcome", "REPEATED"),
        ("list", "--from", "yesterday"),
    ):
        assert (await run(*arguments)).exit_code == 2, arguments
