"""The AsyncAPI document is valid by AsyncAPI's own parser, and real events are what it says."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from adapters.cloudevents.payment_events import encode
from domain.shared.payment_events import EVENT_TYPES, PaymentEvent
from entrypoints.http.asyncapi import build_document
from tests.integration.http.conftest import OPERATOR, REFUNDER, Api
from tests.integration.http.test_calls import pay
from tests.support.events import an_event, full_event
from tests.support.node import run_node

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DOCUMENT = build_document()

every_type = pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=EVENT_TYPES)


def validator(name: str) -> jsonschema_rs.Draft7Validator:
    """Of one message's payload. AsyncAPI's schemas are a superset of draft 7."""
    (reference,) = DOCUMENT["components"]["messages"][name]["payload"].values()
    schema = {"$ref": reference, "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft7Validator(schema, validate_formats=True)


def envelope(event: PaymentEvent, traceparent: str | None = TRACEPARENT) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(encode(event, lambda: traceparent).payload)
    return decoded


async def test_it_is_there_for_everybody(api: Api) -> None:
    answer = await api.http.get("/asyncapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.json() == DOCUMENT


def test_it_is_valid_by_asyncapis_own_parser() -> None:
    folder = Path(__file__).parents[2] / "node" / "asyncapi"
    said = json.loads(run_node(folder, "check.mjs", stdin=json.dumps(DOCUMENT)))
    # 3.1.0 is out; it changes nothing for us, and fewer tools read it.
    assert [found["code"] for found in said["diagnostics"]] == ["asyncapi-latest-version"]
    assert said["messages"] == list(EVENT_TYPES)


def test_it_names_what_the_contract_names() -> None:
    (channel,) = DOCUMENT["channels"].values()
    assert channel["address"] == "payment.events"
    (operation,) = DOCUMENT["operations"].values()
    assert operation["action"] == "send"
    messages = DOCUMENT["components"]["messages"]
    assert list(messages) == list(channel["messages"]) == list(EVENT_TYPES)
    assert len(operation["messages"]) == len(EVENT_TYPES)
    assert all(message["summary"].endswith(".") for message in messages.values())
    assert "order.notify" not in json.dumps(DOCUMENT)


@every_type
def test_events_of_each_type_are_what_it_says(kind: type[PaymentEvent]) -> None:
    for event in (full_event(kind), full_event(kind, method=None, gateway_payment_intent_id=None)):
        validator(kind.type).validate(envelope(event))
        validator(kind.type).validate(envelope(event, None))
    validator(kind.type).validate(DOCUMENT["components"]["messages"][kind.type]["examples"][0]["payload"])


@every_type
def test_nothing_is_published_that_it_does_not_name(kind: type[PaymentEvent]) -> None:
    schemas = DOCUMENT["components"]["schemas"]
    published = envelope(full_event(kind))
    assert published.keys() == schemas["PaymentEventEnvelope"]["properties"].keys()
    assert published["data"].keys() == schemas[f"{kind.type}Data"]["properties"].keys()


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"},
        {"id": "019ab03d-8a3e-4cc1-a2f4-6f5f1a2b3c4d"},
        {"source": "/orders"},
        {"type": "PaymentFailed"},
        {"subject": ""},
        {"time": "yesterday"},
        {"sequence": 1},
        {"sequence": "1"},
        {"traceparent": "00-1"},
        {"data": {}},
        {"data": None},
    ],
)
def test_other_events_are_not(change: dict[str, Any]) -> None:
    event = envelope(full_event(EVENT_TYPES["PaymentSucceeded"]))
    assert not validator("PaymentSucceeded").is_valid({**event, **change})


def test_amounts_are_counted_in_minor_units_and_currencies_upper_case() -> None:
    for changes in ({"amount": -1}, {"amount": 1.5}, {"currency": "eur"}, {"amountCaptured": None}):
        event = envelope(full_event(EVENT_TYPES["PaymentSucceeded"]))
        event["data"] |= changes
        assert not validator("PaymentSucceeded").is_valid(event)


def test_an_id_that_is_no_uuid_of_version_7_is_noticed() -> None:
    event = envelope(an_event(EVENT_TYPES["PaymentSucceeded"]))
    assert not validator("PaymentSucceeded").is_valid(event)


async def test_the_events_of_a_run_are_what_it_says(api: Api) -> None:
    paid = await pay(api)
    refund = {"paymentId": paid["paymentId"], "amount": 100, "currency": "EUR", "reason": "torn"}
    assert (await api.post("/v1/refunds", refund, key="r", scopes=REFUNDER)).status_code == 201
    for token in ("pm_card_visa_chargeDeclined", "pm_card_authenticationRequired"):
        await pay(api, paymentMethodToken=token)
    held = await pay(api, captureMethod="MANUAL")
    captured = await api.post(f"/v1/payments/{held['paymentId']}/capture", {}, key="c", scopes=REFUNDER)
    assert captured.status_code == 200, captured.text
    voided = await pay(api, captureMethod="MANUAL")
    assert (await api.post(f"/v1/payments/{voided['paymentId']}/cancel", {}, key="v")).status_code == 200

    events = (await api.get("/v1/events?limit=50", OPERATOR)).json()["items"]
    for event in events:
        validator(event["type"]).validate(event)
    assert {event["type"] for event in events} == {
        "PaymentSucceeded",
        "RefundProcessed",
        "PaymentFailed",
        "PaymentRequiresAction",
        "PaymentAuthorized",
        "PaymentCaptured",
        "PaymentCanceled",
    }
