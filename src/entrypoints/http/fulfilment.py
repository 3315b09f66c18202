"""`/v1/orders/{orderId}/fulfil`: the warehouse reports."""

from litestar import post
from litestar.response.base import ASGIResponse

from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, order_result, read_order_id
from entrypoints.http.schemas.orders import FulfilBody, OrderAnswer

FULFIL = Operation(
    operation_id="fulfilOrder",
    tag="Orders",
    summary="The warehouse has shipped it",
    description="Sets `fulfilledAt`, once. Of a paid order, also while it is partially refunded.",
    scopes=("orders:write", "users:any"),
    body=FulfilBody,
    body_examples={"shipped": FulfilBody()},
    answer=OrderAnswer,
    answer_example=examples.FULFILLED,
    key="optional",
    etag=True,
    problems={404: ("order_not_found",), 409: ("order_state_forbids",)},
)


@post("/v1/orders/{orderId:str}/fulfil", **route(FULFIL))
async def fulfil_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    body = await read_json(request, FulfilBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        return order_result(await orders.fulfil_order(request_id, request.user, order_id))

    return await idempotent(request, orders.idempotency, body, run, key_required=False)


ROUTES = [fulfil_order]
