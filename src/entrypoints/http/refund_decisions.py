"""`/v1/refunds/{refundId}/approve`, `/reject` and `/retry`: translate, call one use case, translate back."""

from typing import Any

from litestar import Request, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.payments.use_cases.decide_refund import DecideRefund
from domain.payments.use_cases.retry_refund import RetryRefund
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import read_id
from entrypoints.http.refund_answers import refund_answer, tell_waiting
from entrypoints.http.schemas.refunds import DecideRefundBody, RefundAnswer, RetryRefundBody

ApiRequest = Request[Caller, Any, Any]

APPROVE = Operation(
    operation_id="approveRefund",
    tag="Refunds",
    summary="Let a refund go that waits for approval",
    description="By somebody other than whoever asked for it, within the approver's own limits. A token approves one "
    "refund only, and must have an id of its own (`jti`).",
    scopes=("refunds:approve",),
    body=DecideRefundBody,
    body_examples={"comment": examples.DECIDE_REFUND},
    answer=RefundAnswer,
    answer_example=examples.REFUND,
    key="required",
    problems={
        403: ("approver_is_requester", "approval_limit_exceeded", "token_used", "token_id_missing"),
        404: ("refund_not_found",),
        409: ("refund_state_forbids", "refund_no_longer_fits", "charge_disputed", "charge_not_refundable"),
        503: ("gateway_unavailable",),
    },
)
REJECT = Operation(
    operation_id="rejectRefund",
    tag="Refunds",
    summary="Stop a refund that waits for approval",
    description="By somebody other than whoever asked for it. Its order hears so by `RefundRejected`.",
    scopes=("refunds:approve",),
    body=DecideRefundBody,
    body_examples={"comment": examples.DECIDE_REFUND},
    answer=RefundAnswer,
    answer_example=examples.REFUND,
    key="required",
    problems={
        403: ("approver_is_requester",),
        404: ("refund_not_found",),
        409: ("refund_state_forbids",),
    },
)
RETRY = Operation(
    operation_id="retryRefund",
    tag="Refunds",
    summary="Ask the gateway again for a refund that failed",
    description="The same refund by a new operation with a key of its own. The refund policy judges it as if the caller "
    "had asked for it; the approval of a second person holds.",
    scopes=("refunds:create",),
    body=RetryRefundBody,
    body_examples={"empty": RetryRefundBody()},
    answer=RefundAnswer,
    answer_example=examples.REFUND,
    key="required",
    problems={
        404: ("refund_not_found",),
        409: (
            "refund_state_forbids",
            "refund_no_longer_fits",
            "operation_in_flight",
            "charge_disputed",
            "charge_not_refundable",
        ),
        422: ("refund_limit_exceeded", "refund_not_permitted", "payment_too_old"),
        503: ("gateway_unavailable",),
    },
)


@post("/v1/refunds/{refundId:str}/approve", **route(APPROVE))
async def approve_refund(request: ApiRequest) -> ASGIResponse:
    refund_id = _refund_id(request)
    body = await read_json(request, DecideRefundBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        decision = _decision(request, body.value, request_id, refund_id)
        return result(refund_answer(await payments.approve_refund(decision), payments.refund_policy))

    return await idempotent(request, payments.idempotency, body, run, key_required=True)


@post("/v1/refunds/{refundId:str}/reject", **route(REJECT))
async def reject_refund(request: ApiRequest) -> ASGIResponse:
    refund_id = _refund_id(request)
    body = await read_json(request, DecideRefundBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        decision = _decision(request, body.value, request_id, refund_id)
        return result(refund_answer(await payments.reject_refund(decision), payments.refund_policy))

    return await idempotent(request, payments.idempotency, body, run, key_required=True)


@post("/v1/refunds/{refundId:str}/retry", **route(RETRY))
async def retry_refund(request: ApiRequest) -> ASGIResponse:
    refund_id = _refund_id(request)
    body = await read_json(request, RetryRefundBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        command = RetryRefund(request_id=request_id, caller=request.user, refund_id=refund_id)
        refund = await payments.retry_refund(command)
        tell_waiting(refund.status, refund.refund_id, refund.amount, refund.currency)
        return result(refund_answer(refund, payments.refund_policy))

    return await idempotent(request, payments.idempotency, body, run, key_required=True)


ROUTES = [approve_refund, reject_refund, retry_refund]


def _refund_id(request: ApiRequest) -> str:
    refund_id = read_id(request, "refundId")
    bind_contextvars(refund_id=refund_id)
    return refund_id


def _decision(request: ApiRequest, body: DecideRefundBody, request_id: str, refund_id: str) -> DecideRefund:
    return DecideRefund(request_id=request_id, caller=request.user, refund_id=refund_id, comment=body.comment)
