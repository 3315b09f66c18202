"""`/v1/webhooks/stripe`: what the gateway reports by itself."""

from typing import Any

import structlog
from litestar import Request, post
from litestar.response.base import ASGIResponse

from domain.payments.gateway import WebhookBodyInvalid, WebhookSignatureInvalid
from domain.payments.use_cases.receive_webhook import ReceiveWebhook
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_body
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.problems import Problem
from entrypoints.http.schemas.payments import WebhookAnswer

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
        503: ("gateway_unavailable", "database_unavailable"),
    },
)


@post("/v1/webhooks/stripe", **route(RECEIVE))
async def receive_stripe_webhook(request: Request[Any, Any, Any]) -> ASGIResponse:
    payments = container_of(request.app).payments
    first = payments.gateways.accounts[0]
    body = await read_body(request)
    signature = request.headers.get("stripe-signature", "")
    try:
        outcome = await payments.receive_webhook(ReceiveWebhook(first.name, body, signature))
    except WebhookSignatureInvalid as error:
        raise Problem(400, "signature_invalid", "The webhook is not signed as it must be.") from error
    except WebhookBodyInvalid as error:
        raise Problem(400, "webhook_invalid", "The webhook is no event that can be read.") from error
    logger.info("webhook received", outcome=outcome)
    return respond(result(WebhookAnswer(received=True)))


ROUTES = [receive_stripe_webhook]
