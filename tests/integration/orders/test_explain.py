"""`explain` of a whole journey: real PostgreSQL, the sandbox's webhooks, the broker's form of messages."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from sqlalchemy import text

from adapters.dramatiq.wire import decode_batch, encode_batch
from entrypoints.cli import main
from entrypoints.worker.consumers import effect_inboxes, payment_events_inbox
from outbox import Event, RetryPolicy, UnorderedInbox
from outbox.rows import event_of
from tests.integration.http.conftest import CUSTOMER, OPERATOR
from tests.support.shop import Shop

LOGGED = "SELECT id, topic, stream, sequence, type, payload::text, headers::text FROM {}.outbox_event ORDER BY position"
ADA = {"name": "Ada Lovelace", "email": "ada@example.org"}
PUBLISHED_AT = "2026-03-01T12:00:00.000000Z"


async def logged(shop: Shop, schema: str) -> Sequence[Event]:
    async with shop.container.orders.engine.connect() as connection:
        rows = await connection.execute(text(LOGGED.format(schema)))
        return decode_batch(encode_batch([event_of(row._mapping) for row in rows], PUBLISHED_AT))


async def follow(shop: Shop) -> None:
    """Everything that is logged reaches the order side, as a worker takes it."""
    await shop.delivered()
    engine = shop.container.orders.engine
    await payment_events_inbox(shop.container).receive(engine, await logged(shop, "payments"))
    for inbox in effect_inboxes(shop.container):
        mine = [event for event in await logged(shop, "orders") if inbox.consumer in event.topic]
        await inbox.receive(engine, mine)


async def call(shop: Shop, path: str, body: Any, key: str) -> dict[str, Any]:
    answer = await shop.post(path, body, key=key)
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def journey(shop: Shop) -> str:
    """An order that is declined, paid with 3-D Secure, refunded in part and disputed; its id."""
    line = {"sku": "OAK", "name": "Oak board", "quantity": 1, "unitAmount": 4980}
    order = await call(
        shop, "/v1/orders", {"currency": "EUR", "userId": "u_1", "lines": [line], "customer": ADA}, "k1"
    )
    order_id: str = order["orderId"]
    path = f"/v1/orders/{order_id}"
    declined = {"paymentMethodToken": "pm_card_visa_chargeDeclined"}
    await call(shop, f"{path}/confirm", declined, "k2")
    await follow(shop)
    secured = {"paymentMethodToken": "pm_card_authenticationRequired", "returnUrl": "https://shop.test/back"}
    again = await call(shop, f"{path}/payments", secured, "k3")
    await follow(shop)
    shop.sandbox.authenticate(again["payment"]["nextAction"]["redirectUrl"])
    await follow(shop)
    assert (await shop.refund(again["payment"]["paymentId"], 500, "k4")).status_code == 201
    await follow(shop)
    shop.sandbox.dispute(again["payment"]["gatewayPaymentIntentId"])
    await follow(shop)
    return order_id


async def test_a_journey_is_told_from_every_source_in_causal_order(shop: Shop) -> None:
    order_id = await journey(shop)
    answer = await shop.api.get(f"/v1/orders/{order_id}/explain", OPERATOR)
    assert answer.status_code == 200, answer.text
    explained = answer.json()
    assert (explained["status"], explained["attention"]) == ("PARTIALLY_REFUNDED", "DISPUTED")
    assert explained["attentions"] == ["DISPUTED"]
    assert (await shop.api.get(f"/v1/orders/{order_id}", OPERATOR)).json()["attentions"] == ["DISPUTED"]
    entries = explained["entries"]

    assert {entry["kind"] for entry in entries} == {
        *(
            "REQUEST",
            "ATTEMPT",
            "OPERATION",
            "WEBHOOK",
            "EVENT",
            "REFUND",
            "DISPUTE",
            "LEDGER",
            "EFFECT",
            "AUDIT",
        )
    }
    history = [entry for entry in entries if entry["position"] is not None]
    assert [entry["position"] for entry in history] == sorted(entry["position"] for entry in history)
    events = [entry for entry in entries if entry["kind"] == "EVENT"]
    assert [(event["details"]["name"], event["details"]["after"]) for event in events] == [
        ("PaymentFailed", "PAYMENT_FAILED"),
        ("PaymentRequiresAction", "AWAITING_USER_PAYMENT_ACTION"),
        ("PaymentSucceeded", "PAID"),
        ("RefundProcessed", "PARTIALLY_REFUNDED"),
        ("DisputeOpened", "PARTIALLY_REFUNDED"),
    ]
    for number, event in enumerate(events, 1):
        way = event["details"]
        assert way["sequence"] == number
        assert way["publishedAt"] == PUBLISHED_AT
        assert way["occurredAt"] <= way["committedAt"] <= way["appliedAt"]
        assert event["ids"]["gatewayPaymentIntentId"].startswith("pi_")
    assert (events[-1]["details"]["attention"], events[-1]["details"]["attentions"]) == ("DISPUTED",) * 2

    asked = [entry for entry in entries if entry["kind"] == "REQUEST"]
    assert [request["details"]["name"] for request in asked] == ["create", "confirm", "pay again"]
    assert all(request["details"]["httpRequestId"].startswith("req_") for request in asked)
    check_causes(entries)
    told = [entry for entry in entries if entry["kind"] == "EFFECT"]
    assert {entry["title"] for entry in told} == {
        "The customer was told that the payment failed, and asked to try again.",
        "The customer was asked to confirm the payment.",
        "The customer was told that the payment was received.",
        "The customer was told of the refund.",
        "The warehouse took the order on: PAID → PROCESSING_FULFILLMENT.",
    }
    refund = next(entry for entry in entries if entry["kind"] == "REFUND")
    assert refund["title"] == "A refund of 5.00 EUR was given back."
    assert refund["ids"]["gatewayRefundId"].startswith("re_")
    assert refund["details"]["requestedBy"] == "u_1"


def check_causes(entries: Sequence[dict[str, Any]]) -> None:
    """Each request before what it led to, each event before what it asked for."""
    place = {id(entry): number for number, entry in enumerate(entries)}
    requests = {e["ids"].get("requestId"): e for e in entries if e["kind"] == "REQUEST"}
    events = {e["ids"]["eventId"]: e for e in entries if e["kind"] == "EVENT"}
    operations = [e for e in entries if e["kind"] == "OPERATION"]
    assert {"CREATE", "CONFIRM", "REFUND"} <= {
        e["ids"]["operationId"].rpartition("-")[2].upper() for e in operations
    }
    for entry in (*operations, *(e for e in entries if e["kind"] == "ATTEMPT")):
        cause = requests.get(entry["ids"]["requestId"])
        assert cause is None or place[id(cause)] < place[id(entry)]
    for entry in entries:
        if entry["kind"] == "EFFECT" and "eventId" in entry["ids"]:
            assert place[id(events[entry["ids"]["eventId"]])] < place[id(entry)]


async def test_an_effect_that_is_parked_shows_its_cause(shop: Shop) -> None:
    line = {"sku": "OAK", "name": "Oak board", "quantity": 1, "unitAmount": 4980}
    order = await call(shop, "/v1/orders", {"currency": "EUR", "userId": "u_1", "lines": [line]}, "k1")
    path = f"/v1/orders/{order['orderId']}"
    await call(shop, f"{path}/confirm", {"paymentMethodToken": "pm_card_visa"}, "k2")
    await shop.delivered()
    engine = shop.container.orders.engine
    await payment_events_inbox(shop.container).receive(engine, await logged(shop, "payments"))

    async def fail(_event: Event, /) -> None:
        raise ValueError("mailbox unknown")

    inbox = UnorderedInbox("orders", "customer", fail, retry=RetryPolicy(attempts=1))
    mine = [event for event in await logged(shop, "orders") if "customer" in event.topic]
    await inbox.receive(engine, mine)

    def effects(answer: dict[str, Any]) -> list[dict[str, Any]]:
        return [entry for entry in answer["entries"] if entry["kind"] == "EFFECT"]

    parked, waiting = sorted(
        effects((await shop.api.get(f"{path}/explain", OPERATOR)).json()), key=lambda entry: entry["title"]
    )
    assert parked["title"].startswith("The customer is to be told: parked")
    assert parked["reason"] == "ValueError: mailbox unknown"
    assert waiting["title"].startswith("The warehouse is to be told: on its way")
    assert effects((await shop.api.get(f"{path}/explain", CUSTOMER)).json()) == []
    assert (await shop.api.get(f"{path}/explain", CUSTOMER, sub="u_2")).status_code == 404
    assert (await shop.api.get("/v1/orders/ord_none/explain", OPERATOR)).status_code == 404


ENDPOINT = """
    INSERT INTO orders.webhook_endpoint (endpoint_id, url, event_types, secret, created_at, updated_at)
    VALUES ('end_1', 'https://partner.test', '["*"]', 'whsec_x', now(), now())
"""
DELIVERY = """
    INSERT INTO orders.webhook_delivery (delivery_id, endpoint_id, event_id, event_type, order_id, body, status,
        tries, attempts, created_at, due_at)
    VALUES ('dlv_1', 'end_1', 'e_1', 'PaymentSucceeded', :order_id, '{}', 'PENDING', 2,
        '[{"status": 500, "error": null}, {"status": null, "error": "timeout"}]', now(), now())
"""
ATTEMPT = """
    INSERT INTO orders.attempt (attempt_id, order_id, kind, amount, capture_method, status, created_at,
        next_check_at)
    VALUES ('att_1', :order_id, 'REFUND', 500, 'AUTOMATIC', 'STARTED', now(), now())
"""


async def test_deliveries_and_attempts_without_an_answer_are_told(shop: Shop) -> None:
    line = {"sku": "OAK", "name": "Oak board", "quantity": 1, "unitAmount": 4980}
    order = await call(shop, "/v1/orders", {"currency": "EUR", "lines": [line]}, "k1")
    async with shop.container.orders.engine.begin() as connection:
        for statement in (ENDPOINT, DELIVERY, ATTEMPT):
            await connection.execute(text(statement), {"order_id": order["orderId"]})
    answer = await shop.api.get(f"/v1/orders/{order['orderId']}/explain", OPERATOR)
    told = {entry["kind"]: entry for entry in answer.json()["entries"]}
    assert told["DELIVERY"]["reason"] == "timeout"
    assert told["DELIVERY"]["ids"]["endpointId"] == "end_1"
    assert told["ATTEMPT"]["title"].startswith("The payment side was asked to give money back")
    assert told["ATTEMPT"]["details"]["amount"] == 500


async def stream(
    shop: Shop, order_id: str, scopes: tuple[str, ...], count: int, after: int = 0
) -> list[dict[str, Any]]:
    """What a stream has told when it has told so many entries; its client leaves then."""
    headers = {**shop.api.bearer(*scopes), "Last-Event-ID": str(after)}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/v1/orders/{order_id}/stream",
        "raw_path": b"",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("payonce.test", 80),
    }
    request = iter([{"type": "http.request", "body": b"", "more_body": False}])
    enough, text = asyncio.Event(), ""

    async def receive() -> Any:
        for message in request:
            return message
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal text
        assert message.get("status", 200) == 200
        text += message.get("body", b"").decode()
        if text.count("data: ") >= count:
            enough.set()

    async with asyncio.timeout(20):
        await shop.api.app(scope, receive, send)  # type: ignore[arg-type]
    return _entries(text)


def _entries(text: str) -> list[dict[str, Any]]:
    told = []
    for block in text.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines() if line)
        if data := fields.get("data"):
            entry = json.loads(data)
            assert fields.get("id") == (None if entry["position"] is None else str(entry["position"]))
            told.append(entry)
    return told


async def test_the_stream_tells_what_explain_does(shop: Shop) -> None:
    order_id = await journey(shop)
    for scopes in (OPERATOR, CUSTOMER):
        answer = await shop.api.get(f"/v1/orders/{order_id}/explain", scopes)
        explained = answer.json()["entries"]
        if scopes is CUSTOMER:  # whom the payment side tells nothing here: its events tell of refunds, too
            explained = [entry for entry in explained if entry["position"] is not None]
        assert await stream(shop, order_id, scopes, len(explained)) == explained
        positions = [entry["position"] for entry in explained if entry["position"] is not None]
        after = positions[len(positions) // 2]
        place = [entry["position"] for entry in explained].index(after) + 1
        rest = explained[place:]
        assert await stream(shop, order_id, scopes, len(rest), after) == rest


async def test_the_command_prints_the_same(shop: Shop, database_url: str, tmp_path: Path) -> None:
    order_id = await journey(shop)
    run = partial(
        CliRunner().invoke,
        main,
        env={"PAYONCE_HOME": str(tmp_path), "PAYONCE_DATABASE_URL": database_url, "COLUMNS": "100"},
    )
    printed = await asyncio.to_thread(run, ["explain", order_id])
    assert printed.exit_code == 0, printed.output
    lines = printed.output.splitlines()
    assert lines[0] == f"{order_id} is PARTIALLY_REFUNDED, a person must look at it: DISPUTED."
    assert max(map(len, lines)) <= 100
    assert any("PaymentSucceeded: AWAITING_USER_PAYMENT_ACTION → PAID." in line for line in lines)
    print(printed.output)
    as_json = await asyncio.to_thread(run, ["explain", order_id, "--json"])
    answer = await shop.api.get(f"/v1/orders/{order_id}/explain", OPERATOR)
    assert json.loads(as_json.output) == answer.json()
    unknown = await asyncio.to_thread(run, ["explain", "ord_none"])
    assert (unknown.exit_code, unknown.stdout) == (1, "")
