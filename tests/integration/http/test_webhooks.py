"""`/v1/webhooks/stripe`: what is kept, what is refused, and what is counted."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.integration.http.conftest import Api
from tests.integration.http.test_problems import problem

PATH = "/v1/webhooks/stripe"


def signed(api: Api, body: bytes, age_seconds: int = 0, secret: bytes = b"whsec_test") -> dict[str, str]:
    time = int(api.container.clock.now().timestamp()) - age_seconds
    signature = hmac.new(secret, f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={time},v1={signature}", "Content-Type": "application/json"}


def an_event(**changes: Any) -> bytes:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.created",
        "created": 1,
        "data": {"object": {}},
        **changes,
    }
    return json.dumps(event).encode()


async def counted(api: Api) -> dict[str, float]:
    """Outcomes of `payonce_webhooks_total`, those of unknown types with a question mark."""
    told = (await api.http.get("/metrics")).text.splitlines()
    found = {}
    for line in told:
        if line.startswith("payonce_webhooks_total{"):
            labels, _, value = line.rpartition(" ")
            outcome = labels.split('outcome="')[1].split('"')[0]
            found[outcome + ("" if 'type_known="true"' in labels else "?")] = float(value)
    return found


async def test_a_webhook_that_is_not_rightly_signed_or_no_event_is_refused(api: Api) -> None:
    body = an_event()
    for headers in (
        {},
        {"Stripe-Signature": "t=1,v1=00"},
        signed(api, body, secret=b"whsec_other"),
        signed(api, body, age_seconds=301),
        signed(api, body + b" "),
    ):
        problem(await api.http.post(PATH, content=body, headers=headers), 400, "signature_invalid")
    for broken in (
        b'{"no": "event"}',
        b"",
        b"[" * 100_000,
        an_event(id="evt\x00"),
        an_event(type=None),
    ):
        problem(
            await api.http.post(PATH, content=broken, headers=signed(api, broken)), 400, "webhook_invalid"
        )
    assert await counted(api) == {"REFUSED?": 10.0}


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Encoding": "gzip"},
    ],
)
async def test_a_webhook_of_another_content_type_is_refused(api: Api, headers: dict[str, str]) -> None:
    body = an_event()
    answer = await api.http.post(PATH, content=body, headers={**signed(api, body), **headers})
    problem(answer, 415, "media_type_unsupported")


async def test_a_webhook_that_is_too_large_is_refused(api: Api) -> None:
    body = an_event(filler="x" * 1024 * 1024)
    problem(await api.http.post(PATH, content=body, headers=signed(api, body)), 413, "body_too_large")


async def test_repeats_unknown_types_and_old_events_are_taken_and_counted(api: Api) -> None:
    unheard = an_event(id="evt_2", type="moon.landed")
    unreadable = an_event(
        id="evt_3",
        type="payment_intent.succeeded",
        data={"object": {"object": "payment_intent", "id": "pi_1"}},
    )
    for body in (an_event(), an_event(), unheard, unreadable):
        # Made in 1970 and signed now: an event's age is no ground to refuse it.
        kept = await api.http.post(PATH, content=body, headers=signed(api, body))
        assert (kept.status_code, kept.json()) == (200, {"received": True})
    assert await counted(api) == {"IGNORED": 1.0, "REPEATED": 1.0, "IGNORED?": 1.0, "UNREADABLE": 1.0}
