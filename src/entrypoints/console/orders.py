"""Orders, and the page of one with everything that happened to it."""

from litestar import get, post
from litestar.response.base import ASGIResponse

from domain.orders.status import OrderStatus
from domain.shared.idempotency import Answer
from entrypoints.console.forms import ConsoleRequest, do_once, read_form, see
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http import acknowledgements, explain
from entrypoints.http import orders as api
from entrypoints.http.container import container_of
from entrypoints.http.order_answers import read_order_id
from entrypoints.http.problems import Problem
from entrypoints.http.queries import Cursor, decode_cursor, page_of
from entrypoints.http.schemas.acknowledgements import AcknowledgeBody
from entrypoints.http.schemas.values import OrderId, Strict, UserId
from entrypoints.http.stream import STREAM, open_stream, read_position

PAGE = 50

MENU = [NavEntry("Orders", "/console/orders", api.LIST.scopes, "orders")]


class OrderFilters(Strict):
    status: OrderStatus | None = None
    attention: bool = False
    user_id: UserId | None = None
    order_id: OrderId | None = None
    cursor: Cursor | None = None


@get("/console/orders", **guarded(*api.LIST.scopes))
async def list_orders(request: ConsoleRequest) -> ASGIResponse:
    filters = read_filters(request, OrderFilters)
    if filters.order_id is not None:
        return ASGIResponse(status_code=303, headers=[("Location", f"/console/orders/{filters.order_id}")])
    found = await container_of(request.app).orders.list_orders(
        request.user,
        status=filters.status,
        user_id=filters.user_id,
        after=decode_cursor(filters.cursor),
        limit=PAGE + 1,
        with_attention=filters.attention,
    )
    page, cursor = page_of(found, PAGE, lambda order: order.order_id)
    return render(
        request,
        "orders.html",
        orders=page,
        filters=filters,
        statuses=list(OrderStatus),
        next_page=link("/console/orders", filters, cursor),
    )


@get("/console/orders/{orderId:str}", **guarded(*explain.EXPLAIN.scopes))
async def show_order(request: ConsoleRequest) -> ASGIResponse:
    explained = await container_of(request.app).orders.explain_order(request.user, read_order_id(request))
    positions = [entry.position for entry in explained.timeline if entry.position is not None]
    return render(
        request,
        "order.html",
        order=explained.order,
        timeline=explained.timeline,
        position=max(positions, default=0),
    )


@get("/console/orders/{orderId:str}/stream", **guarded(*STREAM.scopes))
async def stream_order(request: ConsoleRequest) -> ASGIResponse:
    """The API's stream, for a browser that has a cookie and no bearer token."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Problem(403, "cross_site_refused", "A page of this console alone may follow an order.")
    return await open_stream(request, read_order_id(request), read_position(request))


@post("/console/orders/{orderId:str}/acknowledge", **guarded(*acknowledgements.OF_ORDER.scopes))
async def acknowledge(request: ConsoleRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    form = await read_form(request, AcknowledgeBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        await orders.acknowledge_attention(
            request_id, request.user, order_id, form.value.attention, form.value.comment
        )
        return see(f"/console/orders/{order_id}", "acknowledged")

    return await do_once(request, orders.idempotency, form, run)


ROUTES = [list_orders, show_order, stream_order, acknowledge]
