"""`/asyncapi.json`: the AsyncAPI 3 document of the events that we publish, made from their types.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from datetime import timedelta
from functools import cache
from importlib.metadata import version
from inspect import getdoc
from typing import Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.response.base import ASGIResponse

from adapters.cloudevents.payment_events import TOPIC, encode
from adapters.cloudevents.schemas import payment_event_schemas
from domain.shared.payment_events import (
    EVENT_TYPES,
    CardMethod,
    LastError,
    NextAction,
    NextActionType,
    PaymentEvent,
)
from entrypoints.http import examples
from entrypoints.http.answers import JSON
from entrypoints.http.operations import Operation, route

JsonObject = dict[str, Any]

MEDIA_TYPE = "application/cloudevents+json"
CACHE_SECONDS = 3600

_CHANNEL = "paymentEvents"
_LICENSE = {"name": "MIT", "url": "https://opensource.org/license/mit"}

DOCUMENT = Operation(
    operation_id="getAsyncApiDocument",
    tag="Events",
    summary="The AsyncAPI document of the events that are published",
    answer=dict[str, Any],
    answer_example={"asyncapi": "3.0.0", "info": {"title": "Payonce payment events", "version": "0.1.0"}},
)


@get("/asyncapi.json", **route(DOCUMENT))
async def asyncapi_json() -> ASGIResponse:
    return ASGIResponse(
        body=_encoded(), media_type=JSON, headers={"Cache-Control": f"public, max-age={CACHE_SECONDS}"}
    )


ROUTES = [asyncapi_json]


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(build_document())


def build_document() -> JsonObject:
    """The whole document. Effects of orders are not in it: they are nobody's but our own worker's."""
    messages = {event_type: {"$ref": f"#/components/messages/{event_type}"} for event_type in EVENT_TYPES}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:payonce:payment-events",
        "info": {
            "title": "Payonce payment events",
            "version": version("payonce"),
            "description": "What happened to payments, each as a CloudEvent 1.0 in structured JSON. An event may "
            "arrive more than once, with the same `id`; the events of one payment are numbered by `sequence` "
            "without gaps, so that a consumer recognises a repeat, and one that came too early. "
            "Amounts are in the currency's minor unit, times in UTC.",
            "license": _LICENSE,
            "tags": [{"name": "payments", "description": "Payments, refunds and disputes"}],
        },
        "defaultContentType": MEDIA_TYPE,
        "channels": {
            _CHANNEL: {
                "address": TOPIC,
                "title": "Payment events",
                "description": "In order within each payment (`subject`). `GET /v1/events` answers the same.",
                "messages": messages,
            }
        },
        "operations": {
            "publishPaymentEvents": {
                "action": "send",
                "title": "Publish payment events",
                "summary": "Every event of a payment, once it is committed.",
                "channel": {"$ref": f"#/channels/{_CHANNEL}"},
                "messages": [
                    {"$ref": f"#/channels/{_CHANNEL}/messages/{event_type}"} for event_type in EVENT_TYPES
                ],
            }
        },
        "components": {
            "messages": {event_type: _message(kind) for event_type, kind in EVENT_TYPES.items()},
            "schemas": payment_event_schemas("#/components/schemas/{name}"),
        },
    }


def _message(kind: type[PaymentEvent]) -> JsonObject:
    return {
        "name": kind.type,
        "title": kind.type,
        "summary": getdoc(kind),
        "contentType": MEDIA_TYPE,
        "payload": {"$ref": f"#/components/schemas/{kind.type}"},
        "examples": [{"name": kind.type, "payload": _example(kind)}],
    }


_DETAILS: dict[str, dict[str, Any]] = {
    "PaymentRequiresAction": {
        "next_action": NextAction(NextActionType.REDIRECT, examples.REDIRECT_URL),
        "method": None,
    },
    "PaymentCaptured": {"final": True},
    "PaymentFailed": {
        "last_error": LastError("card_declined", "insufficient_funds", "Your card has insufficient funds.")
    },
    "PaymentCanceled": {"reason": "requested_by_customer", "method": None},
    "RefundProcessed": {"refund_id": examples.REFUND.refund_id, "reason": examples.REFUND.reason},
    "RefundFailed": {"refund_id": examples.REFUND.refund_id, "reason": "expired_or_canceled_card"},
    "RefundRejected": {"refund_id": examples.REFUND.refund_id, "reason": "rejected"},
    "DisputeOpened": {"reason": "fraudulent"},
    "DisputeClosed": {"reason": "won"},
}
_UNPAID = ("PaymentRequiresAction", "PaymentAuthorized", "PaymentFailed", "PaymentCanceled")
_OF_REFUNDS = ("RefundProcessed", "RefundFailed", "RefundRejected")


def _example(kind: type[PaymentEvent]) -> JsonObject:
    """An event of the cart that the OpenAPI document buys, as the real encoder writes it."""
    number = list(EVENT_TYPES).index(kind.type) + 1
    refund = examples.REFUND.amount
    values: dict[str, Any] = {
        "event_id": UUID(int=UUID(str(examples.EVENT["id"])).int + number),
        "sequence": number,
        "occurred_at": examples.PAYMENT.created_at + timedelta(minutes=number),
        "payment_id": examples.PAYMENT.payment_id,
        "order_id": examples.PAYMENT.order_id,
        "gateway_payment_intent_id": examples.PAYMENT.gateway_payment_intent_id,
        "currency": examples.PAYMENT.currency,
        "amount": refund if kind.type in _OF_REFUNDS else examples.PAYMENT.amount,
        "amount_captured": 0 if kind.type in _UNPAID else examples.PAYMENT.amount,
        "amount_refunded": refund if kind.type == "RefundProcessed" else 0,
        "method": CardMethod("visa", "4242"),
        **_DETAILS.get(kind.type, {}),
    }
    event = encode(kind(**values), lambda: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    decoded: JsonObject = msgspec.json.decode(event.payload)
    return decoded
