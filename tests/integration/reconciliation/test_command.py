"""`payonce reconcile` on real databases, with the sandbox as the gateway."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.follow import follow_payments
from tests.support.sandbox import SandboxGateway
from tests.support.shop import Shop, open_shop


@pytest.fixture
async def shop(
    sandbox: SandboxGateway, database_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Shop]:
    async with open_shop(sandbox, database_url, valkey_url, tmp_path) as shop:
        sandbox.chaos(webhooks={"drop": 1.0})
        yield shop


async def reconcile(shop: Shop, *arguments: str) -> tuple[int, str]:
    """The exit code, and what it printed."""
    settings = shop.container.settings
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PAYONCE_")}
    environ |= {
        "PAYONCE_HOME": str(settings.home),
        "PAYONCE_DATABASE_URL": settings.database_url.reveal(),
        "PAYONCE_REDIS_URL": settings.redis_url.reveal(),
        "PAYONCE_STRIPE_API_KEY": settings.stripe_api_key.reveal(),
        "PAYONCE_STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret.reveal(),
        "PAYONCE_STRIPE_API_BASE": settings.stripe_api_base,
        "PAYONCE_RECONCILE_GRACE_SECONDS": "0.1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrypoints.cli", "reconcile", *arguments),
        env=environ,
        cwd=Path(__file__).parents[3] / "src",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, said = await process.communicate()
    assert process.returncode is not None
    assert process.returncode in (0, 1), said.decode()
    assert "Traceback" not in said.decode()
    return process.returncode, printed.decode()


async def test_a_dry_run_tells_and_the_repair_ends_it(shop: Shop, sandbox: SandboxGateway) -> None:
    paid = await shop.pay("a")
    refund = {"payment_intent": paid["gatewayPaymentIntentId"], "amount": "250"}
    sandbox.post("/v1/refunds", refund).raise_for_status()
    await follow_payments(shop.container)
    code, printed = await reconcile(shop, "--json", "--since", "1h")
    report: dict[str, Any] = json.loads(printed)
    assert (code, report["applied"]) == (1, False)
    assert report["compared"] == {"payments": 1, "orders": 1}
    [found] = [one for one in report["findings"] if one["type"] == "REFUND_AT_GATEWAY"]
    assert (found["paymentId"], found["action"], found["status"]) == (paid["paymentId"], "apply", "OPEN")
    assert await shop.scalar("SELECT count(*) FROM reconciliation.finding") == 0
    assert (await shop.payment(paid["paymentId"]))["amountRefunded"] == 0

    code, printed = await reconcile(shop, "--apply")
    assert code == 0, printed
    assert "REFUND_AT_GATEWAY" in printed
    assert (await shop.payment(paid["paymentId"]))["amountRefunded"] == 250
    await shop.check_books(paid["paymentId"])
    [entry] = await shop.rows(
        "SELECT entry FROM payments.audit WHERE entry ->> 'action' = 'payment.take_over'"
    )
    assert entry["entry"]["subject"].startswith("cli:")

    await follow_payments(shop.container)  # what the repair made known, as the relay would
    code, printed = await reconcile(shop, "--apply", "--json")
    report = json.loads(printed)
    assert (code, report["findings"]) == (0, [])
