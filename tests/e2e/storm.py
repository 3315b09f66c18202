"""A storm over a running system: what the gateway loses and doubles, and what is done behind our back.

`make storm` runs it with 500 orders and prints a report; a test runs a small one. While orders are paid, the
sandbox drops 30 % of its webhooks and sends 30 % twice; refunds and a cancel are made in the sandbox itself,
of which no webhook tells at all; and one row is altered by hand. Then the weather clears, and the clock runs:
how long until every order follows its money, and what was found on the way.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from entrypoints.local.demo.client import Api, Json
from tests.e2e.conftest import RunningSystem, running_system

AGREEMENT_SECONDS = 60.0
CUSTOMERS = 16
SANDBOX_KEY = "sk_test_payonce"
LOSSES = {"webhooks": {"drop": 0.3, "duplicate": 0.3, "reorder": True, "delayMsMax": 200}}
SILENCE = {"webhooks": {"drop": 1.0}}
KINDS = (
    *["paid"] * 5,
    "declined, then paid",
    "3-D Secure, never back",
    "captured by hand",
    "refunded in part",
)
"""In turn."""
_SHOULD_BE = {
    "requires_payment_method": {"PAYMENT_FAILED"},
    "requires_action": {"AWAITING_USER_PAYMENT_ACTION"},
    "requires_capture": {"AUTHORIZED"},
    "canceled": {"PAYMENT_FAILED", "CANCELED"},
}


@dataclass
class Storm:
    system: RunningSystem
    http: httpx.AsyncClient
    orders: int
    seed: int = 1
    made: list[str] = field(default_factory=list)
    altered: str = ""
    behind: list[str] = field(default_factory=list)
    """The orders about whose money something was done at the gateway without us."""

    def __post_init__(self) -> None:
        ready = self.system.ready
        self.sandbox_url: str = ready["sandboxUrl"]
        self.customer, self.service, self.refunder, self.operator = (
            Api(self.http, ready["apiUrl"], ready["tokens"][name])
            for name in ("customer", "service", "refunder", "operator")
        )

    async def rage(self) -> None:
        await self.chaos(LOSSES)
        waiting = list(range(self.orders))[::-1]

        async def customer() -> None:
            while waiting:
                await self.buy(KINDS[waiting.pop() % len(KINDS)])

        await asyncio.gather(*(customer() for _ in range(CUSTOMERS)))

    async def buy(self, kind: str) -> None:
        amount = random.Random(f"{self.seed}:{len(self.made)}").randint(500, 9_000)
        line = {"sku": "STORM-TEA", "name": "Tea", "quantity": 1, "unitAmount": amount}
        order = await self.customer.post("/v1/orders", {"currency": "EUR", "lines": [line]})
        order_id = str(order["orderId"])
        self.made.append(order_id)
        methods = {
            "declined, then paid": "pm_card_visa_chargeDeclined",
            "3-D Secure, never back": "pm_card_authenticationRequired",
        }
        body = {"paymentMethodToken": methods.get(kind, "pm_card_visa")}
        if kind == "captured by hand":
            body["captureMethod"] = "MANUAL"
        confirmed = await self.customer.post(f"/v1/orders/{order_id}/confirm", body)
        payment_id = confirmed["payment"]["paymentId"]
        if kind == "declined, then paid":
            await self.reach(order_id, "PAYMENT_FAILED")
            body = {"paymentMethodToken": "pm_card_visa"}
            await self.customer.post(f"/v1/orders/{order_id}/payments", body)
        elif kind == "3-D Secure, never back":
            page = confirmed["payment"]["nextAction"]["redirectUrl"]
            await self.http.post(page, data={"result": "complete"})  # and the tab is closed
        elif kind == "captured by hand":
            await self.service.post(f"/v1/payments/{payment_id}/capture", {})
        elif kind == "refunded in part":
            refund = {"paymentId": payment_id, "amount": amount // 3, "currency": "EUR"}
            await self.refunder.post("/v1/refunds", refund | {"reason": "requested_by_customer"})

    async def act_behind_our_back(self) -> None:
        """Two refunds, one of them of a part, and a cancel: in the sandbox alone, which tells nobody."""
        held = await self.customer.post(
            "/v1/orders",
            {
                "currency": "EUR",
                "lines": [{"sku": "STORM-POT", "name": "Pot", "quantity": 1, "unitAmount": 5_000}],
            },
        )
        self.made.append(str(held["orderId"]))
        body = {"paymentMethodToken": "pm_card_visa", "captureMethod": "MANUAL"}
        await self.customer.post(f"/v1/orders/{held['orderId']}/confirm", body)
        await self.chaos(SILENCE)
        ours = [one for one in await self.intents() if one["metadata"].get("orderId") in self.made]
        intents = [one for one in ours if one["refunded"] == 0]
        whole, part = [one for one in intents if one["status"] == "succeeded"][:2]
        await self.at_gateway("/v1/refunds", {"payment_intent": whole["id"]})
        some = {"payment_intent": part["id"], "amount": str(part["captured"] // 2)}
        await self.at_gateway("/v1/refunds", some)
        canceled = next(one for one in intents if one["status"] == "requires_capture")
        await self.at_gateway(f"/v1/payment_intents/{canceled['id']}/cancel", {})
        self.behind = [one["metadata"]["orderId"] for one in (whole, part, canceled)]

    async def alter_a_row(self) -> None:
        """A paid order is set to be fulfilled, as somebody does who is in a hurry."""
        async with self.database() as connection:
            self.altered = await connection.fetchval(
                """
                UPDATE orders.orders SET status = 'FULFILLED' WHERE order_id = (
                    SELECT order_id FROM orders.orders WHERE order_id = ANY ($1::text[])
                    AND status IN ('PAID', 'PROCESSING_FULFILLMENT') ORDER BY order_id LIMIT 1
                ) RETURNING order_id
                """,
                [order_id for order_id in self.made if order_id not in self.behind],
            )

    async def put_it_back(self) -> None:
        async with self.database() as connection:
            await connection.execute(
                """
                UPDATE orders.orders AS o SET status = (
                    SELECT entry ->> 'after' FROM orders.history AS h
                    WHERE h.order_id = o.order_id AND entry ->> 'after' IS NOT NULL ORDER BY position DESC LIMIT 1
                ) WHERE order_id = $1
                """,
                self.altered,
            )

    async def clear(self) -> None:
        await self.chaos({})

    # What everybody says

    async def disagreements(self) -> list[str]:
        """Each order that does not follow the gateway's money, in words; the altered one must be flagged."""
        async with self.database() as connection:
            rows = await connection.fetch(
                """
                SELECT o.order_id, o.status, o.amount_paid, o.amount_refunded, p.payment_id,
                    p.status AS payment_status, p.amount_captured, p.amount_refunded AS payment_refunded
                FROM orders.orders AS o LEFT JOIN payments.payment AS p USING (order_id)
                WHERE o.order_id = ANY ($1::text[])
                """,
                self.made,
            )
            flagged = await connection.fetchval(
                """
                SELECT count(*) FROM reconciliation.finding
                WHERE type = 'ORDER_ALTERED' AND object_id = $1 AND status = 'OPEN'
                """,
                self.altered,
            )
        intents = {one["metadata"].get("paymentId"): one for one in await self.intents()}
        found = [said for row in rows if (said := self._disagrees(row, intents.get(row["payment_id"])))]
        if len(rows) != len(self.made):
            found.append(f"{len(rows)} payments of {len(self.made)} orders")
        if flagged != 1:
            found.append(f"{self.altered} was altered by hand and is not flagged")
        return found

    def _disagrees(self, row: "asyncpg.Record", intent: Json | None) -> str | None:
        if intent is None:
            return f"{row['order_id']} has no intent"
        money = (intent["captured"], intent["refunded"])
        ours = (row["amount_captured"], row["payment_refunded"])
        orders = (row["amount_paid"], row["amount_refunded"])
        if not money == ours == orders or row["payment_status"].lower() != intent["status"]:
            status = f"{row['status']}, {row['payment_status']}, {intent['status']}"
            return f"{row['order_id']}: {status}, {orders}, {ours}, {money} of order, payment, gateway"
        if row["order_id"] != self.altered and row["status"] not in _should_be(intent):
            return f"{row['order_id']} is {row['status']}, and its money {intent['status']}, {money}"
        return None

    async def ledger_faults(self) -> list[str]:
        """The ledger sums to zero, and its clearing account is what the gateway holds for us."""
        async with self.database() as connection:
            sums = await connection.fetch(
                "SELECT currency, sum(amount) AS sum FROM payments.ledger_posting GROUP BY currency"
            )
            clearing = await connection.fetch(
                """
                SELECT currency, sum(amount) AS sum FROM payments.ledger_posting
                WHERE account = 'gateway_clearing' GROUP BY currency
                """
            )
        faults = [f"the ledger sums to {row['sum']} {row['currency']}" for row in sums if row["sum"]]
        balance = await self.at_gateway("/v1/balance", None)
        held: Counter[str] = Counter()
        for part in (*balance["available"], *balance["pending"]):
            held[part["currency"].upper()] += part["amount"]
        ours = Counter({row["currency"]: int(row["sum"]) for row in clearing})
        differing = [currency for currency in {**held, **ours} if held[currency] != ours[currency]]
        return faults + [
            f"clearing has {ours[one]} {one}, the gateway {held[one]}" for one in sorted(differing)
        ]

    async def findings(self) -> Counter[tuple[str, str]]:
        async with self.database() as connection:
            rows = await connection.fetch(
                "SELECT type, status, count(*) AS n FROM reconciliation.finding GROUP BY type, status"
            )
        return Counter({(row["type"], row["status"]): row["n"] for row in rows})

    # The ways to the outside

    async def reach(self, order_id: str, *statuses: str) -> None:
        async with asyncio.timeout(AGREEMENT_SECONDS):
            while True:
                order = await self.customer.get(f"/v1/orders/{order_id}")
                if order["status"] in statuses:
                    return
                await asyncio.sleep(0.2)

    async def chaos(self, chaos: Json) -> None:
        answer = await self.http.post(f"{self.sandbox_url}/_sandbox/chaos", json={"seed": self.seed, **chaos})
        answer.raise_for_status()

    async def intents(self) -> list[Json]:
        state = (await self.http.get(f"{self.sandbox_url}/_sandbox/state")).raise_for_status().json()
        intents: list[Json] = state["accounts"]["payonce"]["paymentIntents"]
        return intents

    async def at_gateway(self, path: str, form: dict[str, str] | None) -> Json:
        method = "GET" if form is None else "POST"
        url, auth = self.sandbox_url + path, (SANDBOX_KEY, "")
        answer = await self.http.request(method, url, data=form, auth=auth)
        body: Json = answer.raise_for_status().json()
        return body

    def database(self) -> "Any":
        return _Connection(self.system.ready["databaseUrl"])


class _Connection:
    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> "asyncpg.Connection[Any]":
        self._connection: asyncpg.Connection[Any] = await asyncpg.connect(self._url)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


def _should_be(intent: Json) -> set[str]:
    if intent["status"] != "succeeded":
        return _SHOULD_BE[intent["status"]]
    if intent["refunded"] == intent["captured"]:
        return {"REFUNDED"}
    return {"PARTIALLY_REFUNDED"} if intent["refunded"] else {"PAID", "PROCESSING_FULFILLMENT"}


@dataclass
class Report:
    orders: int
    storm_seconds: float
    agreed_after: float | None
    """Seconds since the weather cleared; None where they never did."""
    left: list[str]
    findings: Counter[tuple[str, str]]

    def lines(self) -> list[str]:
        after = f"{self.agreed_after:.1f} s" if self.agreed_after is not None else "never"
        return [
            f"orders in the storm            {self.orders}",
            f"the storm took                 {self.storm_seconds:.1f} s",
            f"every order follows its money  {after} after it",
            *(
                f"found: {type:28} {number:4}  {status}"
                for (type, status), number in sorted(self.findings.items())
            ),
            *(f"LEFT: {said}" for said in self.left[:20]),
        ]


async def weather(
    system: RunningSystem, orders: int, seed: int = 1, patience_seconds: float = AGREEMENT_SECONDS
) -> Report:
    """The whole of it; the altered row is put back at the end."""
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=CUSTOMERS)) as http:
        storm = Storm(system, http, orders, seed)
        began = time.monotonic()
        await storm.rage()
        await storm.act_behind_our_back()
        await storm.alter_a_row()
        await storm.clear()
        cleared = time.monotonic()
        try:
            left = await until_none(patience_seconds, storm.disagreements, storm.ledger_faults)
            agreed_after = None if left else time.monotonic() - cleared
            return Report(orders, cleared - began, agreed_after, left, await storm.findings())
        finally:
            await storm.put_it_back()


async def until_none(seconds: float, *said: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """What is still said when the time is over; nothing as soon as nothing is."""
    deadline = time.monotonic() + seconds
    while True:
        left = [one for ask in said for one in await ask()]
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="storm-") as home, running_system(Path(home, "home")) as system:
        report = asyncio.run(weather(system, options.orders, options.seed))
    print("\n".join(report.lines()))
    if options.json:
        options.json.write_text(
            json.dumps({"orders": report.orders, "agreedAfterSeconds": report.agreed_after}) + "\n"
        )
    return 1 if report.left else 0


if __name__ == "__main__":
    sys.exit(main())
