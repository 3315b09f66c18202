"""`payonce outbox` on a real database and broker."""

import asyncio
import getpass
import json
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
import redis
from click.testing import CliRunner, Result
from sqlalchemy import text

from adapters.dramatiq.wire import decode_batch
from adapters.postgres.audit import PostgresAuditReader
from domain.orders.money_policy import MoneyPolicy, OnCapturedLess
from domain.shared.payment_events import (
    PaymentCanceled,
    PaymentCaptured,
    PaymentFailed,
    PaymentSucceeded,
    RefundProcessed,
)
from entrypoints.cli import main
from outbox import Event
from tests.integration.operating.conftest import Shop

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(database_url: str, valkey_url: str) -> Run:
    """Runs `payonce outbox` as an operator does; the database and the broker are all that it is told."""
    environment = {"PAYONCE_DATABASE_URL": database_url, "PAYONCE_REDIS_URL": valkey_url}

    async def run(*arguments: str) -> Result:
        # In a thread, for the command has an event loop of its own.
        return await asyncio.to_thread(
            CliRunner().invoke, main, ["outbox", *arguments], env=environment, prog_name="payonce"
        )

    return run


async def answer(run: Run, *arguments: str, exit_code: int = 0) -> Any:
    result = await run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


async def parked(shop: Shop, number: int, count: int = 1) -> list[Event]:
    """A payment whose first event was given up, with what waits behind it."""
    shop.refuses.add(await shop.confirm(number))
    events = await shop.append(number, *[PaymentFailed] * (count - 1), PaymentSucceeded)
    await shop.orders.receive(shop.engine, events)
    shop.refuses.clear()
    return events


def published(valkey_url: str, consumer: str) -> list[Event]:
    """What lies in the consumer's queue."""
    with redis.Redis.from_url(valkey_url) as client:
        messages: Any = client.hvals(f"payonce:{consumer}.msgs")
    return [event for message in messages for event in decode_batch(json.loads(message)["args"][0])]


# status


async def test_status_tells_both_logs_and_both_consumers(run: Run, shop: Shop) -> None:
    await parked(shop, 1, 3)
    told = await answer(run, "status")

    payments, orders = told["logs"]
    assert (payments["schema"], orders["schema"]) == ("payments", "orders")
    unpublished = Counter[str]()
    for lane in payments["lanes"]:
        unpublished[lane["publisher"]] += lane["unpublished"]["number"]
    assert unpublished == {"dramatiq": 3, "webhooks": 3}
    consumer, *effects = told["consumers"]
    assert consumer["consumer"] == "orders"
    assert [effect["consumer"] for effect in effects] == ["customer", "warehouse", "stock"]
    assert consumer["lag"] == {"number": 3, "isMore": False}
    assert (consumer["parked"]["number"], consumer["waiting"]["number"]) == (1, 2)
    assert told["alarms"] == [
        "orders: 1 event(s) parked",
        "orders: anti-entropy has never run",
        "customer: anti-entropy has never run",
        "warehouse: anti-entropy has never run",
        "stock: anti-entropy has never run",
    ]


async def test_status_for_a_person(run: Run, shop: Shop) -> None:
    await parked(shop, 1, 3)
    result = await run("status")
    assert result.exit_code == 0
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    rows = {row[0]: row for row in lines if row and row[0] in {"payments", "orders"} and len(row) == 9}
    assert rows["orders"][1:3] == ["payment.events", "3"]
    assert rows["orders"][4:] == ["0", "2", "0", "1", "0"]
    assert "✗ orders: 1 event(s) parked" in result.stdout


async def test_a_check_ends_with_exit_code_1(run: Run, shop: Shop) -> None:
    assert (await run("status", "--check")).exit_code == 1  # no relay ever ran here
    async with shop.engine.begin() as connection:
        for schema, consumer in (
            ("payments", "orders"),
            *(("orders", consumer) for consumer in ("customer", "warehouse", "stock")),
        ):
            await connection.execute(
                text(f"INSERT INTO {schema}.outbox_round VALUES (:c, 1, now(), 0.1, {', '.join('0' * 10)})"),
                {"c": consumer},
            )
    result = await run("status", "--check")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "✓ nothing to look at")


async def test_a_database_that_is_away_is_one_sentence() -> None:
    environment = {"PAYONCE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    result = await asyncio.to_thread(CliRunner().invoke, main, ["outbox", "status"], env=environment)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The database does not answer as it should: ")
    assert "Traceback" not in result.output


# list


async def test_events_are_listed_by_page_and_with_their_payload(run: Run, shop: Shop) -> None:
    events = await shop.append(1, PaymentFailed, PaymentFailed, PaymentSucceeded)
    await shop.append(2, PaymentSucceeded)

    first = await answer(run, "list", "--stream", "pay_1", "--limit", "2")
    assert [one["id"] for one in first["events"]] == [str(e.id) for e in events[:2]]
    assert first["events"][0]["payload"]["data"]["lastError"]["declineCode"] == "insufficient_funds"
    rest = await answer(run, "list", "--stream", "pay_1", "--after", str(first["nextAfter"]))
    assert [one["id"] for one in rest["events"]] == [str(events[2].id)]
    paid = await answer(run, "list", "--type", "PaymentSucceeded")
    assert [one["stream"] for one in paid["events"]] == ["pay_1", "pay_2"]
    assert str(events[2].id) in (await run("list")).stdout
    assert (await answer(run, "list", "--log", "orders"))["events"] == []


# dead, retry, skip


async def test_the_dead_are_shown_by_cause_and_retried_by_it(run: Run, shop: Shop) -> None:
    for number in (1, 2):
        await parked(shop, number)
    (group,) = (await answer(run, "dead"))["groups"]
    assert (group["consumer"], group["events"], group["cause"]) == (
        "orders",
        2,
        "RuntimeError: cannot apply #",
    )
    shown = (await run("dead", "--consumer", "orders")).stdout
    assert "✗ orders: RuntimeError: cannot apply #\n  2 event(s) of 2 stream(s), from " in shown

    retried = await answer(run, "retry", "--consumer", "orders", "--cause", group["cause"])
    assert retried == {"resumed": 2, "refused": []}
    await shop.orders.run_due(shop.engine)
    assert [await shop.status_of(number) for number in (1, 2)] == ["PAID", "PAID"]
    assert (await run("dead")).stdout == "✓ nothing was given up\n"


async def test_retrying_what_is_not_parked_ends_with_exit_code_1(run: Run) -> None:
    nobody = str(uuid4())
    told = await answer(run, "retry", "--consumer", "warehouse", "--event", nobody, exit_code=1)
    assert told == {"resumed": 0, "refused": [nobody]}
    assert f"✗ {nobody} cannot" in (await run("retry", "--consumer", "warehouse", "--event", nobody)).stdout


async def test_skipping_lets_the_stream_go_on(run: Run, shop: Shop) -> None:
    events = await parked(shop, 1, 2)
    arguments = ("--consumer", "orders", str(events[0].id), "--reason", "told the customer")
    assert (await answer(run, "skip", *arguments))["skipped"]
    assert not (await answer(run, "skip", *arguments, exit_code=1))["skipped"]
    await shop.orders.run_due(shop.engine)
    assert await shop.status_of(1) == "PAID"
    async with shop.engine.connect() as connection:
        reason = await connection.scalar(text("SELECT reason FROM orders.inbox_skipped"))
    assert reason == "told the customer"


async def test_effects_that_were_given_up_are_retried(run: Run, shop: Shop) -> None:
    await shop.confirm(1)
    await shop.orders.receive(shop.engine, await shop.append(1, PaymentSucceeded))
    listed = await answer(run, "list", "--log", "orders")
    effects = [
        Event(one["id"], one["topic"], "ord_1", None, one["type"], b"{}", {}) for one in listed["events"]
    ]
    shop.is_closed = True
    await shop.effects.receive(shop.engine, effects)
    shop.is_closed = False
    (group,) = (await answer(run, "dead", "--consumer", "warehouse"))["groups"]
    assert (group["events"], group["example"]) == (2, "ConnectionError: the warehouse is closed")
    assert (await run("retry", "--consumer", "warehouse", "--cause", group["cause"])).exit_code == 0
    assert (await shop.effects.run_due(shop.engine)).applied == 2


# replay


async def test_a_replay_publishes_the_same_events_and_nothing_happens_twice(
    run: Run, shop: Shop, valkey_url: str
) -> None:
    await shop.confirm(1)
    events = await shop.append(1, PaymentFailed, PaymentSucceeded)
    await shop.orders.receive(shop.engine, events)
    await shop.append(2, PaymentSucceeded)

    told = await answer(run, "replay", "--stream", "pay_1")

    assert told == {
        "orders": {"events": 2, "nextAfter": None},
        "customer": {"events": 0, "nextAfter": None},
        "warehouse": {"events": 0, "nextAfter": None},
        "stock": {"events": 0, "nextAfter": None},
    }
    again = published(valkey_url, "orders")
    assert [event.id for event in again] == [event.id for event in events]
    received = await shop.orders.receive(shop.engine, again)
    assert (received.applied, received.repeated) == (0, 2)


async def test_a_replay_by_age_goes_to_the_consumer_that_is_named(
    run: Run, shop: Shop, valkey_url: str
) -> None:
    await shop.confirm(1)
    await shop.orders.receive(shop.engine, await shop.append(1, PaymentSucceeded))
    told = await answer(run, "replay", "--from", "10m", "--consumer", "warehouse")
    assert told == {"warehouse": {"events": 1, "nextAfter": None}}
    (effect,) = published(valkey_url, "warehouse")
    assert effect.type == "NotifyWarehouse"
    assert published(valkey_url, "orders") == []
    assert (await answer(run, "replay", "--from", "10m", "--to", "5m"))["orders"]["events"] == 0


async def test_a_replay_stops_at_its_limit_and_goes_on_from_there(
    run: Run, shop: Shop, valkey_url: str
) -> None:
    events = await shop.append(1, *[PaymentFailed] * 5)
    told = await answer(run, "replay", "--stream", "pay_1", "--consumer", "orders", "--limit", "2")
    assert told["orders"]["events"] == 2
    assert [event.id for event in published(valkey_url, "orders")] == [e.id for e in events[:2]]
    after = str(told["orders"]["nextAfter"])
    result = await run("replay", "--stream", "pay_1", "--consumer", "orders", "--after", after)
    assert result.stdout == "✓ 3 event(s) published again to orders\n"
    assert result.stderr == f"orders: 3 event(s), up to position {int(after) + 3}\n"
    assert {event.id for event in published(valkey_url, "orders")} == {e.id for e in events}


async def test_a_shadow_tells_which_orders_differ_and_changes_nothing(
    run: Run, shop: Shop, valkey_url: str
) -> None:
    refund = {"amount": 400, "amount_captured": 1000, "amount_refunded": 400}
    for number in (1, 2):
        await shop.confirm(number)
        paid = await shop.append(number, PaymentSucceeded)
        refunded = await shop.append(number, RefundProcessed, first=2, **refund)
        await shop.orders.receive(shop.engine, [*paid, *refunded])
    await shop.append(3, PaymentSucceeded)  # of another order system
    assert (await answer(run, "replay", "--shadow", "--from", "1h")) == {"orders": 2, "differing": []}
    async with shop.engine.begin() as connection:  # somebody mended what was not broken
        await connection.execute(
            text("UPDATE orders.orders SET status = 'PAID' WHERE order_id = 'ord_2' RETURNING version")
        )

    told = await answer(run, "replay", "--shadow", "--from", "1h", exit_code=1)

    (differing,) = told["differing"]
    assert (differing["orderId"], differing["unapplied"], differing["problem"]) == ("ord_2", 0, None)
    assert differing["differences"] == [{"field": "status", "now": "PAID", "replayed": "PARTIALLY_REFUNDED"}]
    assert await shop.status_of(2) == "PAID"
    shown = await run("replay", "--shadow", "--stream", "pay_2")
    assert "✗ 1 order(s) replayed, 1 differ; nothing was changed" in shown.stdout
    assert published(valkey_url, "orders") == []


async def test_a_shadow_of_one_payment_knows_the_others_of_its_order(run: Run, shop: Shop) -> None:
    await shop.confirm(1)
    canceled = await shop.append(1, PaymentFailed, PaymentCanceled)
    paid = await shop.append(1, PaymentSucceeded, payment_id="pay_2")
    await shop.orders.receive(shop.engine, [*canceled, *paid])
    for stream in ("pay_1", "pay_2"):
        told = await answer(run, "replay", "--shadow", "--stream", stream)
        assert told == {"orders": 1, "differing": []}


async def test_a_shadow_goes_by_the_declared_policy(
    run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.policy = MoneyPolicy(captured_less=OnCapturedLess.ACCEPT)
    await shop.confirm(1)
    events = await shop.append(1, PaymentCaptured, final=True, amount_captured=700)
    await shop.orders.receive(shop.engine, events)
    monkeypatch.setenv("PAYONCE_CAPTURED_LESS", "accept")
    told = await answer(run, "replay", "--shadow", "--stream", "pay_1")
    assert told == {"orders": 1, "differing": []}
    monkeypatch.setenv("PAYONCE_CAPTURED_LESS", "flag")
    told = await answer(run, "replay", "--shadow", "--stream", "pay_1", exit_code=1)
    (differing,) = told["differing"]
    assert differing["differences"] == [
        {"field": "attentions", "now": [], "replayed": ["CAPTURED_LESS_THAN_TOTAL"]}
    ]


async def test_a_shadow_tells_what_is_not_applied_yet_and_what_the_log_lost(run: Run, shop: Shop) -> None:
    await shop.confirm(1)
    await shop.append(1, PaymentSucceeded)
    await shop.confirm(2)
    await shop.append(2, PaymentSucceeded, first=2)
    told = await answer(run, "replay", "--shadow", "--from", "1h", exit_code=1)
    pending, lost = told["differing"]
    assert (pending["orderId"], pending["unapplied"]) == ("ord_1", 1)
    assert (lost["orderId"], lost["problem"]) == ("ord_2", "the log begins with number 2 of pay_2")


# wrong usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["list", "--limit", "0"],
        ["list", "--log", "nothing"],
        ["dead", "--consumer", "nobody"],
        ["retry", "--consumer", "orders"],
        ["retry", "--consumer", "orders", "--stream", "a", "--cause", "b"],
        ["retry", "--consumer", "warehouse", "--stream", "a"],
        ["retry", "--stream", "a"],
        ["skip", "--consumer", "orders", "no-id", "--reason", "r"],
        ["skip", "--consumer", "orders", str(uuid4())],
        ["skip", "--consumer", "orders", str(uuid4()), "--reason", " "],
        ["replay"],
        ["replay", "--from", "yesterday"],
        ["replay", "--from", "1h", "--after", "5"],
        ["replay", "--from", "1h", "--shadow", "--consumer", "warehouse"],
        ["--ready-file", "/nowhere.json", "status"],
    ],
)
def test_wrong_usage_ends_with_exit_code_2(arguments: list[str]) -> None:
    environment = {"PAYONCE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    result = CliRunner().invoke(main, ["outbox", *arguments], env=environment)
    assert (result.exit_code, "Traceback" in result.output) == (2, False), result.output


def test_settings_that_are_missing_are_named() -> None:
    result = CliRunner().invoke(main, ["outbox", "status"], env={})
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: PAYONCE_DATABASE_URL is not set and has no default.\n",
    )


async def test_what_a_command_changes_is_in_the_audit_log_with_the_person_and_the_host(
    run: Run, shop: Shop
) -> None:
    first, *_ = await parked(shop, 1)
    await parked(shop, 2)
    (group,) = (await answer(run, "dead", "--consumer", "orders"))["groups"]
    await answer(run, "skip", "--consumer", "orders", str(first.id), "--reason", "refunded by hand")
    await answer(run, "retry", "--consumer", "orders", "--cause", group["cause"])
    await answer(run, "replay", "--stream", "pay_1", "--consumer", "orders")
    await answer(run, "skip", "--consumer", "orders", str(uuid4()), "--reason", "is not there", exit_code=1)

    told = [one.entry for one in await PostgresAuditReader(shop.engine, "orders").after(0, limit=9)]
    assert [(entry.action, entry.object_id, entry.reason) for entry in told] == [
        ("outbox.skip", str(first.id), "refunded by hand"),
        ("outbox.retry", "pay_2", None),
        ("outbox.replay", "orders", None),
    ]
    assert {entry.subject for entry in told} == {f"cli:{getpass.getuser()}@{socket.gethostname()}"}
