"""`/v1/refunds`: translate, call one use case, translate back."""

from typing import Any

from litestar import Request, get, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.payments.refund import Refund
from domain.payments.use_cases.create_refund import CreateRefund
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import read_id
from entrypoints.http.schemas.payments import CreateRefundBody, RefundAnswer

ApiRequest = Request[Caller, Any, Any]

CREATE = Operation(
    operation_id="createRefund",
    tag="Refunds",
    summary="Give money back, all that was captured or a part",
    scopes=("refunds:create",),
    body=CreateRefundBody,
    body_examples={"part": examples.CREATE_REFUND},
    answer=RefundAnswer,
    answer_example=examples.REFUND,
    status=201,
    key="required",
    problems={
        404: ("payment_not_found",),
        409: ("payment_state_forbids", "charge_disputed", "charge_not_refundable"),
        422: ("refund_exceeds_captured", "currency_differs", "gateway_refused"),
        503: ("gateway_unavailable",),
    },
)
GET = Operation(
    operation_id="getRefund",
    tag="Refunds",
    summary="A refund",
    scopes=("refunds:create|refunds:approve",),
    answer=RefundAnswer,
    answer_example=examples.REFUND,
    problems={404: ("refund_not_found",)},
)


@post("/v1/refunds", **route(CREATE))
async def create_refund(request: ApiRequest) -> ASGIResponse:
    body = await read_json(request, CreateRefundBody)
    payments = container_of(request.app).payments
    bind_contextvars(payment_id=body.value.payment_id)

    async def run(request_id: str) -> Answer:
        refund = await payments.create_refund(
            CreateRefund(
                request_id=request_id,
                caller=request.user,
                payment_id=body.value.payment_id,
                amount=body.value.amount,
                currency=body.value.currency,
                reason=body.value.reason,
            )
        )
        location = f"/v1/refunds/{refund.refund_id}"
        return result(refund_answer(refund), status=201, headers={"Location": location})

    return await idempotent(request, payments.idempotency, body, run, key_required=True)


@get("/v1/refunds/{refundId:str}", **route(GET))
async def get_refund(request: ApiRequest) -> ASGIResponse:
    refund = await container_of(request.app).payments.get_refund(request.user, read_id(request, "refundId"))
    return respond(result(refund_answer(refund)))


ROUTES = [create_refund, get_refund]


def refund_answer(refund: Refund) -> RefundAnswer:
    return RefundAnswer(
        refund_id=refund.refund_id,
        payment_id=refund.payment_id,
        amount=refund.amount,
        currency=refund.currency,
        reason=refund.reason,
        status=refund.status,
        operation="UNKNOWN" if refund.operation_unknown else None,
        failure_reason=refund.failure_reason,
        created_at=refund.created_at,
        updated_at=refund.updated_at,
    )
