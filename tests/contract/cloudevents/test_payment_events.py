"""Our payment events, read by the SDK of CloudEvents' own makers, are what the contract says."""

import json
import re
from datetime import UTC
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.formats.json import JSONFormat

from adapters.cloudevents.payment_events import TOPIC, EventUnreadable, decode, encode
from adapters.system.ids import SystemIds
from domain.shared.payment_events import EVENT_TYPES, PaymentEvent
from outbox import Event
from tests.support.cloudevents import parsed
from tests.support.events import an_event, full_event
from tests.support.house import START

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

COMMON = {"paymentId", "orderId", "gatewayPaymentIntentId", "currency", "amount", "amountCaptured"} | {
    "amountRefunded",
    "method",
}
DETAILS: dict[str, dict[str, Any]] = {
    "PaymentRequiresAction": {
        "nextAction": {"type": "REDIRECT", "redirectUrl": "https://bank.example/3ds?a=1&b=é"}
    },
    "PaymentAuthorized": {},
    "PaymentCaptured": {"final": False},
    "PaymentSucceeded": {},
    "PaymentFailed": {
        "lastError": {
            "code": "card_declined",
            "declineCode": "insufficient_funds",
            "message": "Refusé — “no”.",
        }
    },
    "PaymentCanceled": {"reason": "requested_by_customer"},
    "RefundProcessed": {"refundId": "ref_1", "reason": "torn"},
    "RefundFailed": {"refundId": "ref_1", "reason": "expired_or_canceled_card"},
    "RefundRejected": {"refundId": "ref_1", "reason": "approval_expired"},
    "DisputeOpened": {"reason": "fraudulent"},
    "DisputeClosed": {"reason": "lost"},
}


def stored(event: PaymentEvent, trace: str | None = TRACEPARENT) -> Event:
    return encode(event, lambda: trace)


every_type = pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=EVENT_TYPES)


def test_every_type_of_the_contract_is_published() -> None:
    assert EVENT_TYPES.keys() == DETAILS.keys()


@every_type
def test_the_sdk_reads_the_attributes_of_the_contract(kind: type[PaymentEvent]) -> None:
    event = full_event(kind, sequence=42)
    read = parsed(stored(event).payload)

    assert read.get_specversion() == "1.0"
    assert read.get_id() == str(event.event_id)
    assert UUID(read.get_id()).version == 7
    assert read.get_source() == "/payments"
    assert read.get_type() == kind.type
    assert read.get_subject() == "pay_1"
    assert read.get_time() == START
    assert read.get_datacontenttype() == "application/json"
    assert read.get_extension("partitionkey") == "ord_1"
    assert read.get_extension("sequence") == "0000000042"
    assert read.get_extension("traceparent") == TRACEPARENT
    assert len(read.get_attributes()) == 10


@every_type
def test_the_data_is_that_of_the_type(kind: type[PaymentEvent]) -> None:
    read = parsed(stored(full_event(kind, amount=700, amount_captured=1000, amount_refunded=300)).payload)
    data = read.get_data()
    assert isinstance(data, dict)
    details = DETAILS[kind.type]
    assert data.keys() == COMMON | details.keys()
    assert {name: data[name] for name in details} == details
    assert (data["paymentId"], data["orderId"], data["currency"]) == ("pay_1", "ord_1", "EUR")
    assert (data["amount"], data["amountCaptured"], data["amountRefunded"]) == (700, 1000, 300)
    assert data["method"] == {"brand": "visa", "last4": "4242"}


@every_type
def test_the_round_trip_through_us_and_through_the_sdk_changes_nothing(kind: type[PaymentEvent]) -> None:
    event = full_event(kind)
    ours = stored(event)
    assert decode(ours) == event
    again = to_structured_event(parsed(ours.payload), JSONFormat())
    assert again.headers["content-type"] == "application/cloudevents+json"
    assert isinstance(again.body, bytes)
    assert json.loads(again.body) == json.loads(ours.payload)
    assert decode(Event(ours.id, TOPIC, ours.stream, ours.sequence, ours.type, again.body, {})) == event


@every_type
def test_the_round_trip_without_what_may_be_missing(kind: type[PaymentEvent]) -> None:
    event = an_event(kind, event_id=SystemIds().event_id(), gateway_payment_intent_id=None)
    ours = stored(event, trace=None)
    assert decode(ours) == event
    assert parsed(ours.payload).get_extension("traceparent") is None
    assert b"traceparent" not in ours.payload
    assert ours.headers == {}


def test_the_outbox_knows_what_the_envelope_says() -> None:
    event = full_event(EVENT_TYPES["PaymentSucceeded"], sequence=3)
    ours = stored(event)
    assert (ours.topic, ours.stream, ours.sequence, ours.type) == (
        "payment.events",
        "pay_1",
        3,
        "PaymentSucceeded",
    )
    assert ours.id == event.event_id
    assert ours.headers == {"traceparent": TRACEPARENT}


def test_sequences_sort_as_strings() -> None:
    kind = EVENT_TYPES["PaymentSucceeded"]
    numbers = [1, 2, 9, 10, 99, 100, 2_147_483_647]
    written = [
        parsed(stored(full_event(kind, sequence=n)).payload).get_extension("sequence") for n in numbers
    ]
    assert written == sorted(written)
    assert all(re.fullmatch("[0-9]{10}", text) for text in written)


def test_times_are_in_utc_to_the_microsecond() -> None:
    at = START.replace(microsecond=123456)
    payload = stored(full_event(EVENT_TYPES["PaymentSucceeded"], occurred_at=at)).payload
    assert json.loads(payload)["time"] == at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize(
    "change",
    [
        {"type": "PaymentForgotten"},
        {"sequence": "first"},
        {"id": "not-a-uuid"},
        {"data": {}},
        {"data": None},
        {"time": "yesterday"},
    ],
)
def test_what_is_no_payment_event_is_refused(change: dict[str, Any]) -> None:
    ours = stored(full_event(EVENT_TYPES["PaymentSucceeded"]))
    payload = json.dumps({**json.loads(ours.payload), **change}).encode()
    with pytest.raises(EventUnreadable):
        decode(Event(ours.id, TOPIC, ours.stream, ours.sequence, ours.type, payload, {}))
