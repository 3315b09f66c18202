"""The continuous comparison of orders with their payments, on both services' databases."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

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
    async with open_shop(sandbox, database_url, valkey_url, tmp_path) as shop:
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
