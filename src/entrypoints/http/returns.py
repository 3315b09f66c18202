"""`/checkout/return`: where customers come back to after a redirect, for shops without a page of their own.

The webhook may be behind the customer, so the payment is looked up first. The gateway's parameters
(https://docs.stripe.com/payments/accept-a-payment) name the intent, and its client secret is the proof
that one may see how it stands.
"""

from html import escape
from typing import Annotated, Any

import structlog
from litestar import Request, get
from litestar.response.base import ASGIResponse
from msgspec import Meta
from structlog.contextvars import bind_contextvars

from domain.payments.errors import PaymentNotFound
from domain.payments.gateway import IntentStatus
from domain.shared.errors import Unavailable
from entrypoints.http.container import container_of
from entrypoints.http.headers import page_policy
from entrypoints.http.operations import Operation, route
from entrypoints.http.schemas.values import Strict

logger = structlog.stdlib.get_logger(__name__)

_STYLE = """
:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}
body{margin:0;min-height:100vh;display:grid;place-items:center}main{max-width:28rem;padding:2rem}
"""
_MAX_LENGTH = 255

_WORDS = {
    IntentStatus.SUCCEEDED: ("Thank you", "Your payment went through."),
    IntentStatus.REQUIRES_CAPTURE: ("Thank you", "Your payment is authorized."),
    IntentStatus.PROCESSING: ("Thank you", "Your bank is working on the payment. That may take some days."),
    IntentStatus.CANCELED: ("Canceled", "This payment was canceled, and nothing was taken."),
}
_NOT_PAID = ("Not paid yet", "The payment was not completed. You can go back to the shop and try again.")
_NOT_KNOWN = ("One moment", "We do not know yet how the payment went. The shop will tell you.")


class ReturnQuery(Strict):
    """What the gateway appends to the return URL; it may append more."""

    payment_intent: Annotated[str, Meta(description="The gateway's intent.")]
    payment_intent_client_secret: Annotated[str, Meta(description="Its client secret.")]


RETURN = Operation(
    operation_id="returnFromGateway",
    tag="Payments",
    summary="The page that customers come back to after a redirect",
    description="A browser's page, not for programs: they have `refreshPayment`.",
    query=ReturnQuery,
    media_type="text/html",
    answer=str,
    answer_example="<!doctype html>…",
    problems={404: ("payment_not_found",)},
)


@get("/checkout/return", **route(RETURN))
async def return_from_gateway(request: Request[Any, Any, Any]) -> ASGIResponse:
    intent_id = request.query_params.get("payment_intent", "")
    secret = request.query_params.get("payment_intent_client_secret", "")
    if not (0 < len(intent_id) <= _MAX_LENGTH and 0 < len(secret) <= _MAX_LENGTH) or "\x00" in intent_id:
        raise PaymentNotFound
    try:
        payment = await container_of(request.app).payments.refresh_payment.returning(intent_id, secret)
    except Unavailable as error:
        logger.warning("return_page_without_word_of_the_gateway", code=error.code)
        return _page(*_NOT_KNOWN)
    bind_contextvars(payment_id=payment.payment_id, order_id=payment.order_id)
    return _page(*_WORDS.get(payment.status, _NOT_PAID))


def _page(title: str, sentence: str) -> ASGIResponse:
    html = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<main><h1>{escape(title)}</h1><p>{escape(sentence)}</p></main>"
    )
    return ASGIResponse(
        body=html.encode(),
        media_type="text/html",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": page_policy(_STYLE),
            "Referrer-Policy": "no-referrer",  # the address holds the client secret
        },
    )


ROUTES = [return_from_gateway]
