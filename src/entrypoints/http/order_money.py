"""`/v1/orders/{orderId}/cancel`: calling an order off, and its money with it."""

from litestar import post
from litestar.response.base import ASGIResponse

from domain.orders.use_cases.cancel_order import CancelOrder
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, order_result, read_order_id
from entrypoints.http.schemas.orders import CancelOrderBody, OrderAnswer

CANCEL = Operation(
    operation_id="cancelOrder",
    tag="Orders",
    summary="Cancel an order: void what is held, give back what was taken",
    description="`CANCELED` once the side of the money is known; until then the answer shows `cancellation`, and the "
    "status is what the money says. What is taken by a payment under way is given back, too. Where money was taken "
    "before, the scope `refunds:create` is needed.",
    scopes=("orders:write",),
    body=CancelOrderBody,
    body_examples={"reason": examples.CANCEL_ORDER},
    answer=OrderAnswer,
    answer_example=examples.ORDER,
    key="required",
    etag=True,
    problems={
        403: ("cancellation_refunds",),
        404: ("order_not_found",),
        409: ("order_state_forbids",),
    },
)


@post("/v1/orders/{orderId:str}/cancel", **route(CANCEL))
async def cancel_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    body = await read_json(request, CancelOrderBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        order = await orders.cancel_order(
            CancelOrder(
                request_id=request_id, caller=request.user, order_id=order_id, reason=body.value.reason
            )
        )
        return order_result(order)

    return await idempotent(request, orders.idempotency, body, run, key_required=True)


ROUTES = [cancel_order]
