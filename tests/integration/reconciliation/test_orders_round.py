"""The continuous comparison of orders with their payments, on both services' databases."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from domain.reconciliation.finding import Action, FindingType
from entrypoints.worker.reconciling import OrdersRound, orders_round_of
from tests.integration.http.conftest import REFUNDER
from tests.integration.orders.test_late_money import confirm, saved
from tests.support.follow import follow_payments
from tests.support.sandbox import SandboxGateway
from tests.support.shop import Shop, open_shop

GRACE_SECONDS = 30


@pytest.fixture
async def shop(
    sandbox: SandboxGateway, database_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Shop]:
    policy = {FindingType.PAYMENT_WITHOUT_ORDER: Action.REFUND, FindingType.TWO_LIVE_PAYMENTS: Action.REFUND}
    async with open_shop(sandbox, database_url, valkey_url, tmp_path, repair_policy=policy) as shop:
        yield shop


@pytest.fixture
def compare(shop: Shop) -> OrdersRound:
    return orders_round_of(shop.container)


async def findings(shop: Shop) -> list[dict[str, Any]]:
    return await shop.rows(
        "SELECT type, object_id, status, action, note FROM reconciliation.finding ORDER BY finding_id"
    )


async def explained(shop: Shop, order_id: str) -> list[dict[str, Any]]:
    answer = await shop.api.get(f"/v1/orders/{order_id}/explain", scopes=(*REFUNDER, "operations:read"))
    timeline: list[dict[str, Any]] = answer.json()["entries"]
    return timeline


async def test_an_event_that_never_arrived_is_found_and_applied_once(
    shop: Shop, compare: OrdersRound
) -> None:
    order_id = await confirm(shop, 1)
    await compare()
    assert await findings(shop) == []  # it may be on its way
    shop.advance(GRACE_SECONDS + 5)
    await compare()
    order = await saved(shop, order_id)
    assert (order.status, order.amount_paid) == ("PAID", 4980)
    [finding] = await findings(shop)
    assert (finding["type"], finding["status"]) == ("EVENT_NOT_APPLIED", "REPAIRED")
    assert finding["note"] == "1 event(s) were handed to the order side again"
    [entry] = await shop.rows("SELECT entry FROM orders.audit ORDER BY position")
    assert (entry["entry"]["action"], entry["entry"]["subject"]) == ("finding.repair", "reconciler")
    await follow_payments(shop.container)  # the broker finds it after all
    await compare()
    assert len(await findings(shop)) == 1
    [told] = [one for one in await explained(shop, order_id) if one["kind"] == "FINDING"]
    assert told["reason"] == "repaired: 1 event(s) were handed to the order side again"
    assert (told["details"]["expected.sequence"], told["details"]["found.sequence"]) == (1, 0)
    assert (await saved(shop, order_id)).version == order.version
    [done] = await shop.rows("SELECT value FROM reconciliation.cursor WHERE name = 'orders: round'")
    assert done["value"]["orders"] >= 1


async def test_a_row_altered_by_hand_is_flagged_and_left_as_it_is(shop: Shop, compare: OrdersRound) -> None:
    order_id = await confirm(shop, 1)
    await follow_payments(shop.container)
    await compare()
    assert await findings(shop) == []
    async with shop.container.orders.engine.begin() as connection:
        await connection.execute(
            text("UPDATE orders.orders SET status = 'FULFILLED' WHERE order_id = :id"), {"id": order_id}
        )
    await compare()
    shop.clock.ahead += timedelta(seconds=100)
    await compare()
    [finding] = await findings(shop)
    assert (finding["type"], finding["object_id"]) == ("ORDER_ALTERED", order_id)
    ready = await shop.api.http.get("/readyz")
    books = ready.json()["reconciliation"]
    assert (ready.status_code, books["openFindings"]) == (200, 1)  # a disagreement stops nobody
    assert 100 <= books["driftSeconds"] < 3600
    assert set(books["completedAt"]) >= {"orders"}
    metrics = (await shop.api.http.get("/metrics")).text
    assert 'payonce_reconciliation_findings{type="ORDER_ALTERED"} 1.0' in metrics
    assert (finding["status"], finding["action"]) == ("OPEN", "flag")
    assert (await saved(shop, order_id)).status == "FULFILLED"


async def test_only_one_process_compares_at_a_time(shop: Shop, compare: OrdersRound) -> None:
    async with shop.container.reconciliation.locks.hold("orders") as held:
        assert held
        await compare()
    assert await shop.rows("SELECT * FROM reconciliation.cursor") == []
    await compare()
    assert await shop.rows("SELECT * FROM reconciliation.cursor WHERE name = 'orders: round'") != []


async def test_a_payment_whose_order_is_lost_is_given_back_once(shop: Shop, compare: OrdersRound) -> None:
    paid, held = await shop.pay("a"), await shop.pay("b", captureMethod="MANUAL")
    async with shop.container.orders.engine.begin() as connection:
        await connection.execute(text("DELETE FROM orders.orders"))
    await compare()
    assert await findings(shop) == []  # they were made just now
    shop.advance(GRACE_SECONDS + 5)
    await compare()
    kept = {one["object_id"]: one for one in await findings(shop)}
    assert {one["type"] for one in kept.values()} == {"PAYMENT_WITHOUT_ORDER"}
    assert {one["status"] for one in kept.values()} == {"REPAIRED"}
    [refund] = await shop.rows("SELECT refund_id, amount, status, requested_by FROM payments.refund")
    assert (refund["amount"], refund["status"], refund["requested_by"]) == (1000, "SUCCEEDED", "reconciler")
    assert kept[paid["paymentId"]]["note"] == f"refund {refund['refund_id']} of 1000 is SUCCEEDED"
    assert kept[held["paymentId"]]["note"] == f"payment {held['paymentId']} is CANCELED"
    for payment in (paid, held):
        await shop.check_books(payment["paymentId"])
    entries = await shop.rows("SELECT entry FROM orders.audit ORDER BY position")
    told = [(one["entry"]["action"], one["entry"]["subject"]) for one in entries]
    assert told == [("finding.repair", "reconciler")] * 2
    shop.advance(GRACE_SECONDS + 5)
    await compare()
    assert len(await findings(shop)) == 2
    assert await shop.scalar("SELECT count(*) FROM payments.refund") == 1


async def test_of_two_live_payments_the_one_that_the_order_does_not_follow_is_canceled(
    shop: Shop, compare: OrdersRound
) -> None:
    followed = await shop.pay("a")
    await follow_payments(shop.container)
    line = {"sku": "OAK", "name": "Oak board", "quantity": 1, "unitAmount": 1000}
    order = await shop.post("/v1/orders", {"currency": "EUR", "lines": [line]}, key="order")
    body = {"orderId": order.json()["orderId"], "amount": 1000, "currency": "EUR"}
    spare = (await shop.post("/v1/payments/intents", body, key="spare")).json()
    async with shop.container.payments.engine.begin() as connection:
        # The database allows no such thing: it comes of a hand, or of a backup without index and triggers.
        await connection.execute(text("DROP INDEX payments.payment_live_order"))
        await connection.execute(text("ALTER TABLE payments.payment DISABLE TRIGGER USER"))
        await connection.execute(
            text("UPDATE payments.payment SET order_id = :order_id WHERE payment_id = :payment_id"),
            {"order_id": followed["orderId"], "payment_id": spare["paymentId"]},
        )
        await connection.execute(text("ALTER TABLE payments.payment ENABLE TRIGGER USER"))
    await compare()
    [finding] = await findings(shop)
    assert (finding["type"], finding["object_id"]) == ("TWO_LIVE_PAYMENTS", followed["orderId"])
    assert (finding["status"], finding["note"]) == ("REPAIRED", f"payment {spare['paymentId']} is CANCELED")
    assert (await shop.at_the_gateway(spare["paymentId"]))["status"] == "canceled"
    assert (await shop.at_the_gateway(followed["paymentId"]))["status"] == "succeeded"
    await compare()
    assert len(await findings(shop)) == 1
    assert await shop.scalar("SELECT count(*) FROM payments.refund") == 0
