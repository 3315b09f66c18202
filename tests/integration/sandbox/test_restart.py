"""What the sandbox has answered it still knows after `kill -9`; SIGTERM ends it in peace."""

from pathlib import Path

import httpx
import pytest
import stripe

from tests.integration.sandbox.conftest import make_client
from tests.integration.sandbox.receiver import Receiver
from tests.integration.sandbox.test_payments import pay
from tests.support.sandbox import SandboxGateway, SandboxProcess


async def test_kill_and_restart(tmp_path: Path, receiver: Receiver, http_client: stripe.HTTPXClient) -> None:
    receiver.secret = "whsec_given"
    receiver.statuses = [500]
    process = SandboxProcess(tmp_path / "sandbox.sqlite3", [(receiver.url, receiver.secret)])
    process.start()
    sandbox, client = SandboxGateway(process.url), make_client(process.url, http_client)
    sandbox.chaos(seed=3)
    sandbox.advance(100)
    intent = pay(client)
    body = {"payment_intent": intent.id, "amount": "9"}
    refund = sandbox.post("/v1/refunds", body, "k1")
    await receiver.until(lambda: len(receiver.deliveries) > 0)
    process.kill()

    receiver.statuses = [200]
    process.start()

    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    again = sandbox.post("/v1/refunds", body, "k1")
    assert (again.content, again.headers["idempotent-replayed"]) == (refund.content, "true")
    assert sandbox.get("/_sandbox/chaos").json()["seed"] == 3
    assert sandbox.get("/_sandbox/clock").json()["offsetSeconds"] == 100
    expected = {"payment_intent.created", "payment_intent.succeeded", "refund.created", "charge.refunded"}
    await receiver.until(lambda: expected <= set(receiver.types()))
    assert process.stop() == 0


def test_the_endpoint_given_at_start_follows_the_command_line(
    tmp_path: Path, http_client: stripe.HTTPXClient
) -> None:
    """One that is no longer given is gone, one that the API made stays."""
    data = tmp_path / "sandbox.sqlite3"
    urls: list[set[str]] = []
    for port in (1, 2, 2):
        process = SandboxProcess(data, [(f"http://127.0.0.1:{port}/", "whsec_x")])
        process.start()
        client = make_client(process.url, http_client)
        if not urls:
            client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
        urls.append({endpoint.url for endpoint in client.v1.webhook_endpoints.list().data})
        assert process.stop() == 0

    made = "http://127.0.0.1:9/"
    assert urls[0] == {"http://127.0.0.1:1/", made}
    assert urls[1] == urls[2] == {"http://127.0.0.1:2/", made}


def test_sigterm_ends_it_while_a_request_hangs(tmp_path: Path, http_client: stripe.HTTPXClient) -> None:
    process = SandboxProcess(tmp_path / "sandbox.sqlite3")
    process.start()
    SandboxGateway(process.url).chaos(api={"timeoutAfterSuccess": 1})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{process.url}/v1/customers", auth=(SandboxGateway.secret_key, ""), timeout=0.2)
    assert process.stop() == 0
