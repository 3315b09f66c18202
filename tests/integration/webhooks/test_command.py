"""`payonce endpoints` on a real database."""

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from domain.shared.payment_events import PaymentSucceeded
from entrypoints.cli import main
from tests.integration.webhooks.conftest import Shop
from tests.integration.webhooks.test_deliveries import commit, finished, relay
from tests.support.webhook_receiver import WebhookReceiver


async def test_the_commands(shop: Shop, receiver: WebhookReceiver, database_url: str, tmp_path: Path) -> None:
    async def run(*arguments: str, exit_code: int = 0) -> Any:
        result = await asyncio.to_thread(
            CliRunner().invoke,
            main,
            ["endpoints", *arguments, "--json"],
            env={"PAYONCE_DATABASE_URL": database_url, "PAYONCE_HOME": str(tmp_path)},
            prog_name="payonce",
        )
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout) if exit_code == 0 else None

    endpoint = await shop.register(receiver.url)
    name = endpoint.endpoint_id
    await commit(shop, PaymentSucceeded)
    await relay(shop)
    async with shop.sending():
        await shop.until(endpoint, finished)
    (listed,) = (await run("list"))["endpoints"]
    assert (listed["endpointId"], listed["enabled"]) == (name, True)
    assert "secret" not in listed
    assert (await run("disable", name))["endpoints"][0]["disabledReason"] == "OPERATOR"
    assert (await run("enable", name))["endpoints"][0]["enabled"] is True
    (delivery,) = (await run("deliveries", name, "--status", "DELIVERED"))["deliveries"]
    assert (delivery["status"], delivery["attempts"], delivery["last"]) == ("DELIVERED", 1, 200)
    assert await run("replay", name, "--from", "1h") == {"replayed": 0}
    assert await run("replay", name, "--from", "1h", "--delivered") == {"replayed": 1}
    await run("deliveries", "whe_none", exit_code=1)
    await run("replay", name, exit_code=2)
