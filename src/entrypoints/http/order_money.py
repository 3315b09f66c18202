"""`/v1/orders/{orderId}/cancel` and `/refunds`: giving money up, and giving it back."""

from litestar import post
from litestar.response.base import ASGIResponse

from domain.orders.refunds import RefundedLine
from domain.orders.use_cases.cancel_order import CancelOrder
from domain.orders.use_cases.refund_order import RefundedOrder, RefundOrder
from domain.payments.refund import RefundStatus
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, order_result, read_order_id, refunded_line_answers
from entrypoints.http.refund_answers import tell_waiting
from entrypoints.http.schemas.orders import (
    CancelOrderBody,
    OrderAnswer,
    OrderRefundAnswer,
    RefundOrderBody,
)

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

REFUND = Operation(
    operation_id="refundOrder",
    tag="Orders",
    summary="Give back a part of an order, by amount or by lines",
    description="Of lines, the amount is the quantity's share of the line, discount and tax included; however a line "
    "is split up, its refunds together are the line to the cent. Shipping is given back by amount. "
    "Above the caller's limits it is `PENDING_APPROVAL`, as under `/v1/refunds`.",
    scopes=("refunds:create",),
    body=RefundOrderBody,
    body_examples={"lines": examples.REFUND_ORDER},
    answer=OrderRefundAnswer,
    answer_example=examples.ORDER_REFUND,
    status=201,
    key="required",
    problems={
        404: ("order_not_found",),
        409: ("order_state_forbids", "payment_state_forbids", "charge_disputed", "charge_not_refundable"),
        422: (
            "refund_unclear",
            "refund_line_unknown",
            "refund_quantity_exceeds",
            "refund_is_zero",
            "refund_exceeds_captured",
            "refund_reason_unknown",
            "refund_limit_exceeded",
            "refund_not_permitted",
            "payment_too_old",
            "gateway_refused",
        ),
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


@post("/v1/orders/{orderId:str}/refunds", **route(REFUND))
async def refund_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    body = await read_json(request, RefundOrderBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        refunded = await orders.refund_order(
            RefundOrder(
                request_id=request_id,
                caller=request.user,
                order_id=order_id,
                reason=body.value.reason,
                amount=body.value.amount,
                lines=tuple(RefundedLine(sku=line.sku, quantity=line.quantity) for line in body.value.lines),
                restock=body.value.restock,
            )
        )
        view = refunded.view
        tell_waiting(view.status, view.refund_id, view.amount, view.currency)
        location = f"/v1/refunds/{refunded.view.refund_id}"
        return result(_refund_answer(order_id, refunded), status=201, headers={"Location": location})

    return await idempotent(request, orders.idempotency, body, run, key_required=True)


ROUTES = [cancel_order, refund_order]


def _refund_answer(order_id: str, refunded: RefundedOrder) -> OrderRefundAnswer:
    view = refunded.view
    return OrderRefundAnswer(
        refund_id=view.refund_id,
        payment_id=view.payment_id,
        amount=view.amount,
        currency=view.currency,
        reason=view.reason,
        status=RefundStatus(view.status),
        operation="UNKNOWN" if view.operation_unknown else None,
        failure_reason=view.failure_reason,
        created_at=view.created_at,
        updated_at=view.updated_at,
        order_id=order_id,
        lines=refunded_line_answers(refunded.refund.lines),
        restock=refunded.refund.restock,
    )
