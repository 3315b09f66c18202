"""The continuous comparison of payments with the gateway: PostgreSQL and the sandbox, some of whose webhooks are lost."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from entrypoints.worker.reconciling import GatewayRound
from tests.support.sandbox import SandboxGateway
from tests.support.shop import Shop, open_shop

CHALLENGED = "pm_card_authenticationRequired"


@pytest.fixture
async def shop(
    sandbox: SandboxGateway, database_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Shop]:
    """Its gateway delivers no webhook, unless a test lets it; nothing waits for the budget of calls."""
    changes: dict[str, Any] = {"reconcile_calls_per_second": 1000.0}
    async with open_shop(sandbox, database_url, valkey_url, tmp_path, **changes) as shop:
        sandbox.chaos(webhooks={"drop": 1.0})
        await compare(shop)
        yield shop


async def compare(shop: Shop) -> None:
    await GatewayRound(shop.container, shop.container.payments.reconciliation.compare())()


async def settle(shop: Shop, rounds: int = 2) -> None:
    """Rounds, each later than what may be on its way."""
    for _ in range(rounds):
        shop.advance(65)
        await compare(shop)


async def findings(shop: Shop) -> list[tuple[str, str, str]]:
    rows = await shop.rows("SELECT type, payment_id, status FROM reconciliation.finding ORDER BY finding_id")
    return [(row["type"], row["payment_id"], row["status"]) for row in rows]


async def challenged(shop: Shop, key: str) -> dict[str, Any]:
    payment = await shop.pay(key, paymentMethodToken=CHALLENGED)
    assert payment["status"] == "REQUIRES_ACTION"
    return payment


async def test_what_lost_webhooks_told_is_made_up_for(shop: Shop, sandbox: SandboxGateway) -> None:
    paid, passed, failed = await shop.pay("a"), await challenged(shop, "b"), await challenged(shop, "c")
    held = await shop.pay("d", captureMethod="MANUAL")
    sandbox.authenticate(passed["nextAction"]["redirectUrl"], "complete")
    sandbox.authenticate(failed["nextAction"]["redirectUrl"], "fail")
    sandbox.post(f"/v1/payment_intents/{held['gatewayPaymentIntentId']}/cancel", {}).raise_for_status()
    refund = {"payment_intent": paid["gatewayPaymentIntentId"], "amount": "250"}
    sandbox.post("/v1/refunds", refund).raise_for_status()
    await compare(shop)
    assert await findings(shop) == []  # all of it may be on its way
    await settle(shop, 1)
    repaired = {
        ("MISSING_WEBHOOK", passed["paymentId"], "REPAIRED"),
        ("MISSING_WEBHOOK", failed["paymentId"], "REPAIRED"),
        ("MISSING_WEBHOOK", held["paymentId"], "REPAIRED"),
        ("REFUND_AT_GATEWAY", paid["paymentId"], "REPAIRED"),
    }
    assert set(await findings(shop)) == repaired
    for payment, status in ((passed, "SUCCEEDED"), (held, "CANCELED"), (failed, "REQUIRES_PAYMENT_METHOD")):
        assert (await shop.payment(payment["paymentId"]))["status"] == status
        await shop.check_books(payment["paymentId"])
    await shop.check_books(paid["paymentId"])
    entries = await shop.rows("SELECT entry FROM payments.audit ORDER BY position")
    actions = [row["entry"]["action"] for row in entries if row["entry"]["subject"] == "reconciler"]
    assert sorted(actions) == ["finding.repair"] * 4 + ["payment.take_over"] * 4
    events = await shop.scalar("SELECT count(*) FROM payments.outbox_event")
    await settle(shop)
    assert len(await findings(shop)) == 4
    await shop.tell_again()
    assert await shop.scalar("SELECT count(*) FROM payments.outbox_event") == events


async def test_a_dispute_that_we_never_heard_of(shop: Shop, sandbox: SandboxGateway) -> None:
    paid = await shop.pay("a")
    sandbox.dispute(paid["gatewayPaymentIntentId"])
    await settle(shop)
    assert await findings(shop) == [("UNKNOWN_DISPUTE", paid["paymentId"], "REPAIRED")]
    assert (await shop.payment(paid["paymentId"]))["attention"] == "DISPUTED"


async def test_an_altered_row_is_flagged_and_left_as_it_is(shop: Shop) -> None:
    paid = await shop.pay("a")
    await settle(shop, 1)
    assert await findings(shop) == []
    async with shop.container.payments.engine.begin() as connection:
        # The table's own triggers refuse it: only an administrator gets so far.
        await connection.execute(text("SET LOCAL session_replication_role = 'replica'"))
        await connection.execute(text("UPDATE payments.payment SET amount_captured = 900"))
    await settle(shop, 3)
    assert await findings(shop) == [
        ("PAYMENT_ALTERED", paid["paymentId"], "OPEN"),
        ("AMOUNT_DIFFERS", paid["paymentId"], "OPEN"),
    ]
    assert await shop.scalar("SELECT amount_captured FROM payments.payment") == 900
    ready = (await shop.api.http.get("/readyz")).json()["reconciliation"]
    assert ready["openFindings"] == 2
    assert "gateway" in ready["completedAt"]


async def test_webhooks_that_come_leave_nothing_to_find(shop: Shop, sandbox: SandboxGateway) -> None:
    sandbox.chaos()
    payment = await challenged(shop, "a")
    sandbox.authenticate(payment["nextAction"]["redirectUrl"], "complete")
    await shop.delivered()
    await settle(shop)
    assert await findings(shop) == []
    assert (await shop.payment(payment["paymentId"]))["status"] == "SUCCEEDED"


async def test_only_one_process_compares_at_a_time(shop: Shop) -> None:
    async with shop.container.payments.reconciliation.locks.hold("gateway") as held:
        assert held
        before = await shop.scalar(
            "SELECT updated_at FROM reconciliation.cursor WHERE name = 'gateway: round'"
        )
        shop.advance(65)
        await compare(shop)
        after = await shop.scalar(
            "SELECT updated_at FROM reconciliation.cursor WHERE name = 'gateway: round'"
        )
    assert before == after


OPERATOR = ("operations:read", "operations:write", "orders:read", "users:any")


async def test_findings_are_read_settled_and_told_in_the_timeline(
    shop: Shop, sandbox: SandboxGateway
) -> None:
    payment, paid = await challenged(shop, "a"), await shop.pay("b")
    sandbox.authenticate(payment["nextAction"]["redirectUrl"], "complete")
    async with shop.container.payments.engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = 'replica'"))
        await connection.execute(
            text("UPDATE payments.payment SET currency = 'USD' WHERE payment_id = :id"),
            {"id": paid["paymentId"]},
        )
    await settle(shop, 2)
    api = shop.api
    items = (await api.get("/v1/findings", OPERATOR)).json()["items"]
    assert sorted((one["type"], one["status"]) for one in items) == [
        ("CURRENCY_DIFFERS", "OPEN"),
        ("MISSING_WEBHOOK", "REPAIRED"),
    ]
    [open_one] = (await api.get("/v1/findings?status=OPEN&type=CURRENCY_DIFFERS", OPERATOR)).json()["items"]
    assert (open_one["paymentId"], open_one["action"]) == (paid["paymentId"], "flag")
    first = (await api.get("/v1/findings?limit=1", OPERATOR)).json()
    rest = (await api.get(f"/v1/findings?cursor={first['nextCursor']}", OPERATOR)).json()
    assert [one["type"] for one in (*first["items"], *rest["items"])] == [one["type"] for one in items]
    of_order = (await api.get(f"/v1/findings?orderId={payment['orderId']}", OPERATOR)).json()["items"]
    assert [one["type"] for one in of_order] == ["MISSING_WEBHOOK"]

    explained = (await api.get(f"/v1/orders/{payment['orderId']}/explain", OPERATOR)).json()
    [told] = [one for one in explained["entries"] if one["kind"] == "FINDING"]
    assert told["details"]["type"] == "MISSING_WEBHOOK"
    assert told["reason"] == "repaired: taken over from the gateway"

    path = f"/v1/findings/{open_one['findingId']}/resolve"
    body = {"comment": "a clerk's mistake, put right"}
    settled = await api.post(path, body, scopes=OPERATOR)
    assert (settled.status_code, settled.json()["status"]) == (200, "RESOLVED")
    assert settled.json()["comment"] == body["comment"]
    again = await api.post(path, body, scopes=OPERATOR)
    assert (again.status_code, again.json()["code"]) == (409, "finding_closed")
    unknown = await api.post("/v1/findings/fnd_none/resolve", body, scopes=OPERATOR)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "finding_not_found")
    refused = await api.post(path, body, scopes=("operations:read",))
    assert refused.status_code == 403
    await settle(shop, 2)
    assert len((await api.get("/v1/findings", OPERATOR)).json()["items"]) == 2
