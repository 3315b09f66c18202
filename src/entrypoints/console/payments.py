"""Payments, and the page of one: operations, refunds, disputes, webhooks and events."""

from litestar import get, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.shared.idempotency import Answer
from entrypoints.console.forms import ConsoleRequest, do_once, read_form, see
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http import acknowledgements
from entrypoints.http import payments as api
from entrypoints.http.container import container_of
from entrypoints.http.queries import Cursor, decode_cursor, page_of, read_id
from entrypoints.http.schemas.acknowledgements import AcknowledgeBody
from entrypoints.http.schemas.values import OrderId, PaymentId, Strict

PAGE = 50

MENU = [NavEntry("Payments", "/console/payments", api.LIST.scopes, "payments")]


class PaymentFilters(Strict):
    order_id: OrderId | None = None
    payment_id: PaymentId | None = None
    cursor: Cursor | None = None


@get("/console/payments", **guarded(*api.LIST.scopes))
async def list_payments(request: ConsoleRequest) -> ASGIResponse:
    filters = read_filters(request, PaymentFilters)
    if filters.payment_id is not None:
        return ASGIResponse(
            status_code=303, headers=[("Location", f"/console/payments/{filters.payment_id}")]
        )
    found = await container_of(request.app).payments.list_payments(
        request.user, order_id=filters.order_id, after=decode_cursor(filters.cursor), limit=PAGE + 1
    )
    page, cursor = page_of(found, PAGE, lambda payment: payment.payment_id)
    return render(
        request,
        "payments.html",
        payments=page,
        filters=filters,
        next_page=link("/console/payments", filters, cursor),
    )


@get("/console/payments/{paymentId:str}", **guarded(*api.GET.scopes))
async def show_payment(request: ConsoleRequest) -> ASGIResponse:
    payment_id = _payment_id(request)
    story = await container_of(request.app).payments.get_payment_story(request.user, payment_id)
    return render(request, "payment.html", story=story, payment=story.payment)


@post("/console/payments/{paymentId:str}/acknowledge", **guarded(*acknowledgements.OF_PAYMENT.scopes))
async def acknowledge(request: ConsoleRequest) -> ASGIResponse:
    payment_id = _payment_id(request)
    form = await read_form(request, AcknowledgeBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        await payments.acknowledge_attention(
            request_id, request.user, payment_id, form.value.attention, form.value.comment
        )
        return see(f"/console/payments/{payment_id}", "acknowledged")

    return await do_once(request, payments.idempotency, form, run)


ROUTES = [list_payments, show_payment, acknowledge]


def _payment_id(request: ConsoleRequest) -> str:
    payment_id = read_id(request, "paymentId")
    bind_contextvars(payment_id=payment_id)
    return payment_id
