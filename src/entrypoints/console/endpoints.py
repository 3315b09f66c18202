"""Our own webhooks: the endpoints they are sent to, their deliveries, and sending one again."""

from litestar import get, post
from litestar.response.base import ASGIResponse

from domain.orders.webhooks.delivery import DeliveryStatus
from domain.shared.idempotency import Answer
from entrypoints.console.forms import ConsoleRequest, NoFields, do_once, read_form, see
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http import endpoints as api
from entrypoints.http.container import container_of
from entrypoints.http.queries import Cursor, decode_cursor, page_of, read_id
from entrypoints.http.schemas.values import Strict

PAGE = 50
PATH = "/console/endpoints"

MENU = [NavEntry("Webhooks sent", PATH, api.LIST.scopes, "orders")]


class DeliveryFilters(Strict):
    status: DeliveryStatus | None = None
    cursor: Cursor | None = None


@get(PATH, **guarded(*api.LIST.scopes))
async def list_endpoints(request: ConsoleRequest) -> ASGIResponse:
    endpoints = await container_of(request.app).orders.webhooks.endpoints.all()
    return render(request, "endpoints.html", endpoints=endpoints)


@get(f"{PATH}/{{endpointId:str}}", **guarded(*api.DELIVERIES.scopes))
async def show_endpoint(request: ConsoleRequest) -> ASGIResponse:
    endpoint_id = read_id(request, "endpointId")
    filters = read_filters(request, DeliveryFilters)
    webhooks = container_of(request.app).orders.webhooks
    endpoint = await webhooks.endpoints.get(endpoint_id)
    found = await webhooks.deliveries.list(
        endpoint_id, status=filters.status, after=decode_cursor(filters.cursor), limit=PAGE + 1
    )
    page, cursor = page_of(found, PAGE, lambda delivery: delivery.delivery_id)
    return render(
        request,
        "endpoint.html",
        endpoint=endpoint,
        deliveries=page,
        filters=filters,
        statuses=list(DeliveryStatus),
        next_page=link(f"{PATH}/{endpoint_id}", filters, cursor),
    )


@post(f"{PATH}/{{endpointId:str}}/deliveries/{{deliveryId:str}}/replay", **guarded(*api.REPLAY.scopes))
async def replay_delivery(request: ConsoleRequest) -> ASGIResponse:
    form = await read_form(request, NoFields)
    endpoint_id, delivery_id = read_id(request, "endpointId"), read_id(request, "deliveryId")

    async def run(_: str) -> Answer:
        await container_of(request.app).orders.webhooks.deliveries.replay(request.user, delivery_id)
        return see(f"{PATH}/{endpoint_id}", "resent")

    return await do_once(request, container_of(request.app).orders.idempotency, form, run)


ROUTES = [list_endpoints, show_endpoint, replay_delivery]
