"""Idempotency keys as Stripe treats them: https://docs.stripe.com/api/idempotent_requests."""

import asyncio
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.sandbox import SandboxGateway

DAY = 24 * 3600
INTENT = {"amount": "1099", "currency": "usd"}


def post(
    sandbox: SandboxGateway, path: str, form: dict[str, str], key: str, account: str = "sk_test_payonce"
) -> httpx.Response:
    return sandbox.post(f"/v1/{path}", form, key, account)


def test_the_stored_answer_again(sandbox: SandboxGateway) -> None:
    first = post(sandbox, "payment_intents", INTENT, "k1")
    again = post(sandbox, "payment_intents", INTENT, "k1")

    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"]
    assert sandbox.state()["counts"]["payment_intent"] == 1


def test_a_key_belongs_to_one_request_of_one_account(sandbox: SandboxGateway) -> None:
    first = post(sandbox, "payment_intents", INTENT, "k1")
    other_body = post(sandbox, "payment_intents", {**INTENT, "amount": "1100"}, "k1")
    other_path = post(sandbox, f"payment_intents/{first.json()['id']}/cancel", {}, "k1")
    other_account = post(sandbox, "payment_intents", INTENT, "k1", "sk_test_payonce_2")

    for refused in (other_body, other_path):
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "idempotency_error")
    assert other_account.json()["id"] != first.json()["id"]


def test_what_was_never_executed_is_not_stored(sandbox: SandboxGateway) -> None:
    assert post(sandbox, "payment_intents", {"amount": "1099"}, "k1").status_code == 400
    assert post(sandbox, "payment_intents", INTENT, "k1").status_code == 200


def test_a_request_cut_short_is_not_executed(sandbox: SandboxGateway) -> None:
    """A client that is killed between headers and body has asked for nothing yet."""
    intent = post(sandbox, "payment_intents", INTENT, "k1").json()["id"]
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            f"POST /v1/payment_intents/{intent}/cancel HTTP/1.1\r\nHost: sandbox\r\n"
            f"Authorization: Bearer {sandbox.secret_key}\r\nIdempotency-Key: k2\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n".encode()
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536) == b""
    whole = post(sandbox, f"payment_intents/{intent}/cancel", {"cancellation_reason": "abandoned"}, "k2")
    assert (whole.status_code, whole.json()["status"]) == (200, "canceled")


def test_a_refusal_is_stored(sandbox: SandboxGateway) -> None:
    intent = post(sandbox, "payment_intents", INTENT, "k1").json()["id"]
    first = post(sandbox, f"payment_intents/{intent}/capture", {}, "k2")
    again = post(sandbox, f"payment_intents/{intent}/capture", {}, "k2")
    assert first.status_code == again.status_code == 400
    assert again.headers["idempotent-replayed"] == "true"


def test_a_key_is_forgotten_after_a_day(sandbox: SandboxGateway) -> None:
    first = post(sandbox, "payment_intents", INTENT, "k1").json()["id"]
    sandbox.advance(DAY - 60)
    assert post(sandbox, "payment_intents", INTENT, "k1").json()["id"] == first
    sandbox.advance(120)
    assert post(sandbox, "payment_intents", INTENT, "k1").json()["id"] != first


@pytest.mark.parametrize("seed", range(4))
def test_a_stored_500_is_answered_again(sandbox: SandboxGateway, seed: int) -> None:
    """Half of them before the work and half after it: the answer says nothing about which."""
    sandbox.chaos(seed=seed, api={"error500": 1})
    first = post(sandbox, "payment_intents", INTENT, "k1")
    sandbox.chaos()
    again = post(sandbox, "payment_intents", INTENT, "k1")

    assert first.status_code == again.status_code == 500
    assert again.headers["idempotent-replayed"] == "true"
    sandbox.advance(DAY + 1)
    assert post(sandbox, "payment_intents", INTENT, "k1").status_code == 200


def test_half_of_the_500s_did_the_work(sandbox: SandboxGateway) -> None:
    sandbox.chaos(seed=1, api={"error500": 1})
    for number in range(40):
        assert post(sandbox, "payment_intents", INTENT, f"k{number}").status_code == 500
    assert 10 <= sandbox.state()["counts"]["payment_intent"] <= 30


async def test_the_same_key_in_flight(sandbox: SandboxGateway) -> None:
    """Five at once: one works, the others are told so, and nothing of that is stored."""
    sandbox.chaos(api={"latencyMs": 1000})
    headers = {"Idempotency-Key": "k1"}
    async with httpx.AsyncClient(
        base_url=sandbox.url, auth=(sandbox.secret_key, ""), headers=headers
    ) as client:
        answers = await asyncio.gather(*(client.post("/v1/payment_intents", data=INTENT) for _ in range(5)))
        later = await client.post("/v1/payment_intents", data=INTENT)

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    conflict = next(answer for answer in answers if answer.status_code == 409)
    assert conflict.json()["error"]["code"] == "idempotency_key_in_use"
    assert later.status_code == 200
    assert sandbox.state()["counts"]["payment_intent"] == 1


async def test_a_timeout_after_success(sandbox: SandboxGateway) -> None:
    """The work is done though no answer came; the same key brings the answer."""
    sandbox.chaos(api={"timeoutAfterSuccess": 1})
    headers = {"Idempotency-Key": "k1"}
    async with httpx.AsyncClient(
        base_url=sandbox.url, auth=(sandbox.secret_key, ""), headers=headers
    ) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/payment_intents", data=INTENT, timeout=2)
        assert sandbox.state()["counts"]["payment_intent"] == 1
        sandbox.chaos()
        answer = await client.post("/v1/payment_intents", data=INTENT)

    assert answer.status_code == 200
    assert answer.headers["idempotent-replayed"] == "true"
    assert sandbox.state()["counts"]["payment_intent"] == 1


def test_a_decline_is_stored_too(sandbox: SandboxGateway) -> None:
    form = {
        **INTENT,
        "payment_method": "pm_card_chargeDeclined",
        "confirm": "true",
        "return_url": "https://x.example",
    }
    first, again = (post(sandbox, "payment_intents", form, "k1") for _ in range(2))
    assert first.status_code == again.status_code == 402
    assert first.content == again.content
    assert sandbox.state()["counts"]["charge"] == 1
