"""`/v1/webhooks/…`: what the gateways report by themselves, each account at an address of its own."""

from typing import Any

import structlog
from litestar import Request, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.payments.routing import Account
from domain.payments.use_cases.receive_webhook import ReceiveWebhook
from domain.payments.webhook import WebhookBodyInvalid, WebhookOutcome, WebhookSignatureInvalid
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_body, require_json
from entrypoints.http.container import container_of
from entrypoints.http.limits import limits_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.problems import Problem
from entrypoints.http.schemas.payments import WebhookAnswer
from entrypoints.operating.metrics import REFUSED, Metrics

ApiRequest = Request[Any, Any, Any]

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


RECEIVE_OF_ACCOUNT = Operation(
    operation_id="receiveGatewayWebhook",
    tag="Webhooks",
    summary="An event of a gateway account",
    description=(
        "For the account of that name, where several are configured. Takes no token: the signature over the raw"
        " body, in the header that the gateway uses, says who sent it. 200 once it is kept."
    ),
    body=RECEIVE.body,
    body_examples=RECEIVE.body_examples,
    answer=WebhookAnswer,
    answer_example=RECEIVE.answer_example,
    problems={**RECEIVE.problems, 404: ("not_found",)},
)


@post("/v1/webhooks/stripe", **route(RECEIVE))
async def receive_stripe_webhook(request: ApiRequest) -> ASGIResponse:
    accounts = container_of(request.app).payments.gateways.accounts
    return await _receive(request, next((one for one in accounts if one.name == "stripe"), accounts[0]))


@post("/v1/webhooks/{gatewayName:str}", **route(RECEIVE_OF_ACCOUNT))
async def receive_gateway_webhook(request: ApiRequest) -> ASGIResponse:
    accounts = container_of(request.app).payments.gateways.accounts
    for account in accounts:
        if account.name == request.path_params["gatewayName"]:
            return await _receive(request, account)
    raise Problem(404, "not_found", "There is no gateway account of this name.")


async def _receive(request: ApiRequest, account: Account) -> ASGIResponse:
    metrics: Metrics = request.app.state["metrics"]
    payments = container_of(request.app).payments
    require_json(request)
    body = await read_body(request)
    signature = request.headers.get(account.verifier.signature_header, "")
    try:
        receipt = await payments.receive_webhook(ReceiveWebhook(account.name, body, signature))
    except WebhookSignatureInvalid as error:
        metrics.webhooks.labels(type_known="false", outcome=REFUSED).inc()
        await limits_of(request).admit_failure(request.scope)
        raise Problem(400, "signature_invalid", "The webhook is not signed as it must be.") from error
    except WebhookBodyInvalid as error:
        metrics.webhooks.labels(type_known="false", outcome=REFUSED).inc()
        raise Problem(400, "webhook_invalid", "The webhook is no event that can be read.") from error
    event, outcome = receipt.event, receipt.outcome
    metrics.webhooks.labels(type_known=str(event.is_known).lower(), outcome=outcome.value).inc()
    # On the request's own line: two lines for each of so many would be the dearer part of them.
    bind_contextvars(event_id=event.event_id, event_type=event.type, outcome=outcome.value)
    if outcome is WebhookOutcome.UNREADABLE or not event.is_known:
        logger.warning("webhook not understood")
    return respond(result(WebhookAnswer(received=True)))


ROUTES = [receive_stripe_webhook, receive_gateway_webhook]
