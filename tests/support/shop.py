"""Both services on real PostgreSQL, with the sandbox as their gateway and its webhooks coming in over HTTP."""

import asyncio
import hmac
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import text

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from entrypoints.bootstrap import Container, build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.settings import Secret, Settings
from tests.integration.http.conftest import REFUNDER, Api
from tests.support.house import Letters
from tests.support.sandbox import SandboxGateway

PAUSES_SECONDS = (60, 600, 3600, 3600, *(6 * 3600 for _ in range(12)))
"""Between the rounds of recovery: several within the time in which a request may be repeated, some beyond."""


class ShiftedClock:
    """The machine's time and what a test has added to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Shop:
    """What a merchant does, over HTTP; what their databases hold; what the gateway says."""

    container: Container
    api: Api
    sandbox: SandboxGateway
    clock: ShiftedClock
    secret: str
    """Of the webhooks' signatures."""

    async def post(self, path: str, body: Any = None, *, key: str) -> httpx.Response:
        """As a client does it: a 503, where a crowd has taken every connection, is asked again by its key."""
        for _ in range(20):
            answer = await self.api.post(path, body, key=key, scopes=REFUNDER)
            if answer.status_code != 503 or answer.json()["code"] != "database_unavailable":
                break
        return answer

    async def payment(self, payment_id: str) -> dict[str, Any]:
        answer = await self.api.get(f"/v1/payments/{payment_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def pay(self, key: str, amount: int = 1000, **changes: Any) -> dict[str, Any]:
        """A payment of a new order, confirmed; `key` must be another one each time."""
        line = {"sku": "OAK", "name": "Oak board", "quantity": 1, "unitAmount": amount}
        order = await self.post("/v1/orders", {"currency": "EUR", "lines": [line]}, key=f"{key}-order")
        assert order.status_code == 201, order.text
        body = {"orderId": order.json()["orderId"], "amount": amount, "currency": "EUR"}
        body |= {"paymentMethodToken": "pm_card_visa", **changes}
        answer = await self.post("/v1/payments", body, key=key)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def refund(self, payment_id: str, amount: int, key: str) -> httpx.Response:
        body = {"paymentId": payment_id, "amount": amount, "currency": "EUR", "reason": "torn"}
        return await self.post("/v1/refunds", body, key=key)

    # Time and the outside

    def advance(self, seconds: float) -> None:
        """Both clocks go ahead: ours, and the gateway's with all that falls due there."""
        self.clock.ahead += timedelta(seconds=seconds)
        self.sandbox.advance(seconds)

    async def delivered(self) -> None:
        """Wait until the gateway has no webhook left that it would deliver now."""
        while (await self._gateway_state())["dueDeliveries"]:  # noqa: ASYNC110  # It is another process.
            await asyncio.sleep(0.02)

    async def settle(self) -> None:
        """Let the webhooks arrive and recovery run until nothing is open; the gateway must work by now."""
        for seconds in PAUSES_SECONDS:
            self.advance(seconds)
            await self.delivered()
            while await self.container.payments.recover_operations():
                pass
            if not await self.scalar(
                "SELECT count(*) FROM payments.operation WHERE status IN ('STARTED', 'UNKNOWN')"
            ):
                return
        raise AssertionError("operations stay open")

    async def tell_again(self) -> None:
        """Every event that the gateway has, oldest first, sent once more: also those that were lost on their way."""
        events: list[dict[str, Any]] = []
        after = ""
        while True:
            answer = await asyncio.to_thread(self.sandbox.get, f"/v1/events?limit=100{after}")
            page = answer.raise_for_status().json()
            events += page["data"]
            if not page["has_more"]:
                break
            after = f"&starting_after={events[-1]['id']}"
        for event in reversed(events):
            body = json.dumps(event).encode()
            signature = _signature(self.secret, int(self.clock.now().timestamp()), body)
            headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
            told = await self.api.http.post("/v1/webhooks/stripe", content=body, headers=headers)
            assert told.status_code == 200, told.text

    async def _gateway_state(self) -> dict[str, Any]:
        answer = await asyncio.to_thread(self.sandbox.get, "/_sandbox/state")
        state: dict[str, Any] = answer.raise_for_status().json()
        return state

    async def at_the_gateway(self, payment_id: str) -> dict[str, Any]:
        """`captured`, `refunded`, `status` and the rest of this payment's intent in the gateway's own books."""
        accounts = (await self._gateway_state())["accounts"]
        found: list[dict[str, Any]] = [
            intent
            for intent in accounts["payonce"]["paymentIntents"]
            if intent["metadata"].get("paymentId") == payment_id
        ]
        assert len(found) <= 1, "an intent was made twice"
        # One that never was is as good as canceled.
        return found[0] if found else {"status": "canceled", "captured": 0, "refunded": 0}

    # Our own books

    async def scalar(self, statement: str, **values: Any) -> Any:
        async with self.container.payments.engine.connect() as connection:
            return await connection.scalar(text(statement), values)

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        async with self.container.payments.engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(text(statement), values)).mappings()]

    async def events(self, payment_id: str) -> list[dict[str, Any]]:
        """The published events of a payment, in their order: `type` and `data`."""
        rows = await self.rows(
            "SELECT sequence, type, payload FROM payments.outbox_event WHERE stream = :stream ORDER BY sequence",
            stream=payment_id,
        )
        assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
        return [{"type": row["type"], **row["payload"]["data"]} for row in rows]

    async def check_books(self, payment_id: str) -> None:
        """To the cent and the event: what we hold is what the gateway holds, and what was published."""
        [row] = await self.rows("SELECT * FROM payments.payment WHERE payment_id = :id", id=payment_id)
        theirs, events = await self.at_the_gateway(payment_id), await self.events(payment_id)
        assert (row["amount_captured"], row["amount_refunded"]) == (theirs["captured"], theirs["refunded"])
        assert row["status"].lower() == theirs["status"]
        assert 0 <= row["amount_refunded"] <= row["amount_captured"] <= row["amount"]
        assert len(events) == row["sequence"]
        if events:
            assert events[-1]["amountCaptured"] == row["amount_captured"]
            assert events[-1]["amountRefunded"] == row["amount_refunded"]
        captured = sum(
            event["amount"] for event in events if event["type"] in ("PaymentSucceeded", "PaymentCaptured")
        )
        assert captured == row["amount_captured"]
        # The last word on each refund: one that failed may have been retried.
        last = {e["refundId"]: e for e in events if e["type"] in ("RefundProcessed", "RefundFailed")}
        kept = sum(e["amount"] for e in last.values() if e["type"] == "RefundProcessed")
        assert kept == row["amount_refunded"]
        # At most one charge, and one refund at the gateway for each attempt of ours.
        ours = Counter(
            (refund["metadata"].get("refundId"), refund["metadata"].get("refundAttempt"))
            for refund in self._refunds_of(row["intent_id"])
        )
        assert all(count == 1 for (refund_id, _), count in ours.items() if refund_id is not None)

    def _refunds_of(self, intent_id: str | None) -> list[dict[str, Any]]:
        if intent_id is None:
            return []
        page = self.sandbox.get(f"/v1/refunds?payment_intent={intent_id}&limit=100").raise_for_status().json()
        assert not page["has_more"]
        refunds: list[dict[str, Any]] = page["data"]
        return refunds


@asynccontextmanager
async def open_shop(
    sandbox: SandboxGateway, database_url: str, valkey_url: str, home: Path, **changes: Any
) -> AsyncIterator[Shop]:
    """A shop on these, and an HTTP server for the gateway's webhooks."""
    if not (home / "keys.json").exists():
        create_keys(home / "keys.json")
        create_data_keys(home / "data-keys.json")
    clock, listener = ShiftedClock(), socket.create_server(("127.0.0.1", 0))
    secret = sandbox.add_webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/webhooks/stripe")
    values: dict[str, Any] = {
        "home": home,
        "database_url": Secret(database_url),
        "redis_url": Secret(valkey_url),
        "stripe_api_key": Secret(sandbox.secret_key),
        "stripe_webhook_secret": Secret(secret),
        "stripe_api_base": sandbox.url,
        "stripe_timeout_seconds": 2.0,
        # The gateway signs with the machine's time, of which a test's clock runs ahead.
        "webhook_tolerance_seconds": 10**9,
        # Every call is to reach the gateway, however many failed before it.
        "circuit_failures": 10**6,
        **changes,
    }
    container = build_container(Settings(**values), Outside(clock=clock, customers=Letters()))
    app = create_app_of(container)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    await container.start()
    serving = asyncio.create_task(server._serve([listener]))  # without its signal handlers
    shop = Shop(container, Api(app, container), sandbox, clock, secret)
    try:
        yield shop
    finally:
        await shop.api.http.aclose()
        server.should_exit = True
        await serving
        await container.stop()


def _signature(secret: str, timestamp: int, body: bytes) -> str:
    """https://docs.stripe.com/webhooks#verify-manually"""
    signed = b"%d.%s" % (timestamp, body)
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, 'sha256').hexdigest()}"
