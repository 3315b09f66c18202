"""`/v1/orders/{orderId}/acknowledge` and `/v1/payments/{paymentId}/acknowledge`: a person has dealt with it."""

from litestar import post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, order_result, read_order_id
from entrypoints.http.payments import payment_answer
from entrypoints.http.queries import read_id
from entrypoints.http.schemas.acknowledgements import AcknowledgeBody
from entrypoints.http.schemas.orders import OrderAnswer
from entrypoints.http.schemas.payments import PaymentAnswer

_DESCRIPTION = (
    "Ends this attention, which then is no news any more; something new raises it again. Who did it and the "
    "comment stand in the audit log."
)

OF_ORDER = Operation(
    operation_id="acknowledgeOrderAttention",
    tag="Orders",
    summary="A person has dealt with what had to be looked at",
    description=_DESCRIPTION,
    scopes=("operations:write",),
    body=AcknowledgeBody,
    body_examples={
        "lost": AcknowledgeBody(attention="DISPUTE_LOST", comment="Written off with the bank's letter 4711.")
    },
    answer=OrderAnswer,
    answer_example=examples.FULFILLED,
    key="optional",
    etag=True,
    problems={404: ("order_not_found",), 409: ("attention_not_open",)},
)
OF_PAYMENT = Operation(
    operation_id="acknowledgePaymentAttention",
    tag="Payments",
    summary="A person has dealt with what had to be looked at",
    description=_DESCRIPTION,
    scopes=("operations:write",),
    body=AcknowledgeBody,
    body_examples={
        "contradicts": AcknowledgeBody(attention="GATEWAY_CONTRADICTS", comment="Refunded in the dashboard.")
    },
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    key="optional",
    problems={404: ("payment_not_found",), 409: ("attention_not_open",)},
)


@post("/v1/orders/{orderId:str}/acknowledge", **route(OF_ORDER))
async def acknowledge_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    body = await read_json(request, AcknowledgeBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        order = await orders.acknowledge_attention(
            request_id, request.user, order_id, body.value.attention, body.value.comment
        )
        return order_result(order)

    return await idempotent(request, orders.idempotency, body, run, key_required=False)


@post("/v1/payments/{paymentId:str}/acknowledge", **route(OF_PAYMENT))
async def acknowledge_payment(request: ApiRequest) -> ASGIResponse:
    payment_id = read_id(request, "paymentId")
    bind_contextvars(payment_id=payment_id)
    body = await read_json(request, AcknowledgeBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        payment = await payments.acknowledge_attention(
            request_id, request.user, payment_id, body.value.attention, body.value.comment
        )
        return result(payment_answer(payment))

    return await idempotent(request, payments.idempotency, body, run, key_required=False)


ORDER_ROUTES = [acknowledge_order]
PAYMENT_ROUTES = [acknowledge_payment]
