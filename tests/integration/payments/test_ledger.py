"""The ledger of a shop whose gateway is the sandbox: its webhooks, its balance, its payouts and the command."""

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from click.testing import CliRunner, Result

from entrypoints.cli import main
from tests.integration.http.conftest import OPERATOR
from tests.support.shop import Shop

DAY = 86400


async def run(shop: Shop, *arguments: str) -> Result:
    settings = shop.container.settings
    env = {
        "PAYONCE_HOME": str(settings.home),
        "PAYONCE_DATABASE_URL": settings.database_url.reveal(),
        "PAYONCE_STRIPE_API_KEY": shop.sandbox.secret_key,
        "PAYONCE_STRIPE_WEBHOOK_SECRET": shop.secret,
        "PAYONCE_STRIPE_API_BASE": shop.sandbox.url,
    }
    # In a thread, for the command has an event loop of its own.
    return await asyncio.to_thread(
        CliRunner().invoke, main, ["ledger", *arguments], env=env, prog_name="payonce"
    )


async def answer(shop: Shop, *arguments: str, exit_code: int = 0) -> Any:
    result = await run(shop, *arguments, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


async def amounts(shop: Shop, *arguments: str) -> Mapping[str, int]:
    found = (await answer(shop, "balance", *arguments))["balances"]
    return {one["account"]: one["amount"] for one in found if one["amount"]}


async def trade(shop: Shop) -> dict[str, Any]:
    """Three payments, one of them refunded in part and one disputed; the first."""
    payment = await shop.pay("a")
    assert (await shop.refund(payment["paymentId"], 300, "a-refund")).status_code == 201
    await shop.pay("b", amount=500)
    disputed = await shop.pay("c", amount=2000)
    shop.sandbox.dispute(disputed["gatewayPaymentIntentId"])
    shop.advance(5)
    await shop.delivered()
    return payment


FEES = 59 + 45 + 88 + 1500


async def test_the_ledger_is_what_the_gateway_holds_and_pays_out(shop: Shop) -> None:
    payment = await trade(shop)
    verified = await answer(shop, "verify")
    assert verified["isRight"], verified
    clearing = 3500 - 300 - 2000 - FEES
    assert verified["balances"] == [
        {
            "gateway": "stripe",
            "currency": "EUR",
            "clearing": clearing,
            "atGateway": clearing,
            "difference": 0,
        }
    ]
    assert await amounts(shop) == {
        "disputes": 2000,
        "fees": FEES,
        "gateway_clearing": clearing,
        "refunds": 300,
        "revenue": -3500,
    }
    assert await amounts(shop, "--at", "2020-01-01") == {}
    assert await amounts(shop, "--account", "fees", "--currency", "eur") == {"fees": FEES}

    lines = (await answer(shop, "statement", "gateway_clearing", "--order", payment["orderId"]))["lines"]
    # In which order is a matter of two clocks.
    assert {line["kind"]: line["amount"] for line in lines} == {"CAPTURE": 1000, "REFUND": -300, "FEE": -59}
    assert lines[-1]["balance"] == 641

    await check_http(shop, payment)
    await check_export(shop)

    # Disputes leave nothing to pay out, so that some more is sold first.
    await shop.pay("d", amount=5000)
    shop.advance(3 * DAY)
    await shop.delivered()
    ((_, payout),) = await shop.container.payments.ledger.report_payout.list(limit=5)
    report = await answer(shop, "payout", payout.payout_id)
    assert report["ties"], report
    assert report["gross"] - report["fees"] == payout.amount == clearing + 5000 - 175
    assert {part["orderId"] for part in report["parts"] if part["type"] == "charge"} >= {payment["orderId"]}
    assert (await amounts(shop))["bank"] == payout.amount
    assert "gateway_clearing" not in await amounts(shop)
    assert (await answer(shop, "verify"))["isRight"]
    assert "It ties." in (await run(shop, "payout", payout.payout_id)).stdout
    assert (await run(shop, "payout", "po_none")).exit_code == 1
    assert (await answer(shop, "payouts"))["payouts"][0]["payoutId"] == payout.payout_id


async def check_http(shop: Shop, payment: dict[str, Any]) -> None:
    """The same over HTTP, by pages, and in `explain`."""
    balances = (await shop.api.get("/v1/ledger/balances?account=fees", OPERATOR)).json()
    assert [(one["gateway"], one["amount"]) for one in balances["items"]] == [("stripe", FEES)]
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        query = f"/v1/ledger/entries?paymentId={payment['paymentId']}&limit=1{cursor}"
        page = (await shop.api.get(query, OPERATOR)).json()
        found += page["items"]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert sorted(entry["kind"] for entry in found) == ["CAPTURE", "FEE", "REFUND"]
    assert all(sum(posting["amount"] for posting in entry["postings"]) == 0 for entry in found)
    of_order = await shop.api.get(f"/v1/ledger/entries?orderId={payment['orderId']}", OPERATOR)
    assert of_order.json()["items"] == found
    for path in ("/v1/ledger/balances", "/v1/ledger/entries"):
        assert (await shop.api.get(path)).status_code == 403
        assert (await shop.api.get(f"{path}?account=cash", OPERATOR)).status_code == 400
    assert (await shop.api.get("/v1/ledger/entries?cursor=eA", OPERATOR)).status_code == 400
    explained = (await shop.api.get(f"/v1/orders/{payment['orderId']}/explain", OPERATOR)).json()
    told = [entry for entry in explained["entries"] if entry["kind"] == "LEDGER"]
    assert sorted(entry["details"]["entryKind"] for entry in told) == ["CAPTURE", "FEE", "REFUND"]
    assert "gateway_clearing 10.00 EUR, revenue -10.00 EUR" in told[0]["title"] + told[1]["title"]


async def check_export(shop: Shop) -> None:
    """A row for each posting."""
    printed = await run(shop, "export")
    rows = list(csv.DictReader(io.StringIO(printed.stdout)))
    assert len(rows) == 3 * 4 + 2 + 2 + 4 * 2, "captures, the refund, the dispute, fees"
    assert sum(int(row["amount"]) for row in rows) == 0
    assert {row["account"] for row in rows} >= {"revenue", "fees", "disputes"}
    assert (await run(shop, "export", "--format", "parquet")).exit_code == 2


async def test_what_is_wrong_is_named(shop: Shop) -> None:
    payment = await shop.pay("a")
    shop.advance(5)
    await shop.delivered()
    other = await shop.pay("b", captureMethod="MANUAL")
    shop.sandbox.chaos(seed=1, webhooks={"drop": 1.0})
    intent = other["gatewayPaymentIntentId"]
    shop.sandbox.post(f"/v1/payment_intents/{intent}/capture", {}).raise_for_status()
    shop.sandbox.chaos()
    async with shop.container.payments.engine.begin() as connection:
        # The database's own checks would refuse it.
        await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        await connection.exec_driver_sql(
            f"UPDATE payments.payment SET amount_refunded = 5 WHERE payment_id = '{payment['paymentId']}'"
        )
    found = await answer(shop, "verify", exit_code=1)
    assert [one["amount"] for one in found["unexplained"]] == [1000]
    assert [one["difference"] for one in found["balances"]] == [1000]
    assert [(one["refunded"], one["ledgerRefunded"]) for one in found["disagreeing"]] == [(5, 0)]
    told = await run(shop, "verify")
    assert told.exit_code == 1
    assert "THE LEDGER IS NOT RIGHT" in told.stdout
    assert await answer(shop, "backfill") == {"entries": 0}


@pytest.mark.parametrize(
    "arguments", [("balance", "--account", "cash"), ("statement",), ("balance", "--at", "soon")]
)
async def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, main, ["ledger", *arguments], prog_name="payonce")
    assert result.exit_code == 2
