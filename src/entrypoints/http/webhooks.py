"""`/v1/webhooks/stripe`: what the gateway reports by itself."""

import logging
from typing import Any

import structlog
from litestar import Request, post
from litestar.response.base import ASGIResponse

from domain.payments.gateway import WebhookBodyInvalid, WebhookSignatureInvalid
from domain.payments.use_cases.receive_webhook import ReceiveWebhook
from domain.payments.webhook import WebhookOutcome
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_body, require_json
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.problems import Problem
from entrypoints.http.schemas.payments import WebhookAnswer
from entrypoints.operating.metrics import REFUSED, Metrics

logger = structlog.stdlib.get_logger(__name__)

RECEIVE = Operation(
    operation_id="receiveStripeWebhook",
    tag="Webhooks",
    summary="An event of the gateway",
    description="Takes no token: the signature over the raw body says who sent it. 200 once it is kept.",
    body=dict[str, Any],
    body_examples={"event": {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded"}},
    headers={"Stripe-Signature": "https://docs.stripe.com/webhooks#verify-manually"},
    answer=WebhookAnswer,
    answer_example=WebhookAnswer(received=True),
    problems={
        400: ("signature_invalid", "webhook_invalid"),
        413: ("body_too_large",),
        415: ("media_type_unsupported",),
        503: ("gateway_unavailable", "database_unavailable"),
    },
)


@post("/v1/webhooks/stripe", **route(RECEIVE))
async def receive_stripe_webhook(request: Request[Any, Any, Any]) -> ASGIResponse:
    metrics: Metrics = request.app.state["metrics"]
    payments = container_of(request.app).payments
    first = payments.gateways.accounts[0]
    require_json(request)
    body = await read_body(request)
    signature = request.headers.get("stripe-signature", "")
    try:
        receipt = await payments.receive_webhook(ReceiveWebhook(first.name, body, signature))
    except WebhookSignatureInvalid as error:
        metrics.webhooks.labels(type_known="false", outcome=REFUSED).inc()
        raise Problem(400, "signature_invalid", "The webhook is not signed as it must be.") from error
    except WebhookBodyInvalid as error:
        metrics.webhooks.labels(type_known="false", outcome=REFUSED).inc()
        raise Problem(400, "webhook_invalid", "The webhook is no event that can be read.") from error
    event, outcome = receipt.event, receipt.outcome
    metrics.webhooks.labels(type_known=str(event.is_known).lower(), outcome=outcome.value).inc()
    level = logging.WARNING if outcome is WebhookOutcome.UNREADABLE or not event.is_known else logging.INFO
    logger.log(level, "webhook received", outcome=outcome, type=event.type, event_id=event.event_id)
    return respond(result(WebhookAnswer(received=True)))


ROUTES = [receive_stripe_webhook]
