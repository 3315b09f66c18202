"""`/v1/refunds`: translate, call one use case, translate back."""

from typing import Any

from litestar import Request, get, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.payments.refund import RefundStatus
from domain.payments.refund_policy import Ruling
from domain.payments.use_cases.create_refund import CreateRefund
from domain.payments.use_cases.simulate_refund import Simulated
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.problems import problem_of_domain
from entrypoints.http.queries import decode_cursor, page_of, read_id, read_query
from entrypoints.http.refund_answers import refund_answer, tell_waiting
from entrypoints.http.schemas.refunds import (
    CreateRefundBody,
    ListRefundsQuery,
    RefundAnswer,
    RefundPage,
    RefundRefusal,
    SimulatedRefundAnswer,
)

ApiRequest = Request[Caller, Any, Any]

CREATE = Operation(
    operation_id="createRefund",
    tag="Refunds",
    summary="Give money back, all that was captured or a part",
    description="Within the caller's limits it goes to the gateway at once; above them it is `PENDING_APPROVAL` until a "
    "second person decides. Each answer names the rule of the refund policy that decided.",
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
        422: (
            "refund_exceeds_captured",
            "currency_differs",
            "refund_reason_unknown",
            "refund_limit_exceeded",
            "refund_not_permitted",
            "payment_too_old",
            "gateway_refused",
        ),
        503: ("gateway_unavailable",),
    },
)
SIMULATE = Operation(
    operation_id="simulateRefund",
    tag="Refunds",
    summary="What would become of a refund, and which rule decides",
    description="The body is that of a refund. Nothing is moved and nothing stored; what others give back meanwhile may "
    "change the answer.",
    scopes=("refunds:create",),
    body=CreateRefundBody,
    body_examples={"part": examples.CREATE_REFUND},
    answer=SimulatedRefundAnswer,
    answer_example=examples.SIMULATED_REFUND,
    key="optional",
    problems={404: ("payment_not_found",)},
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
LIST = Operation(
    operation_id="listRefunds",
    tag="Refunds",
    summary="Refunds, newest first",
    scopes=("refunds:create|refunds:approve",),
    query=ListRefundsQuery,
    answer=RefundPage,
    answer_example=RefundPage(items=[examples.REFUND], next_cursor=None),
)


@post("/v1/refunds", **route(CREATE))
async def create_refund(request: ApiRequest) -> ASGIResponse:
    body = await read_json(request, CreateRefundBody)
    payments = container_of(request.app).payments
    bind_contextvars(payment_id=body.value.payment_id)

    async def run(request_id: str) -> Answer:
        refund = await payments.create_refund(_command(request, body.value, request_id))
        tell_waiting(refund.status, refund.refund_id, refund.amount, refund.currency)
        location = f"/v1/refunds/{refund.refund_id}"
        return result(
            refund_answer(refund, payments.refund_policy), status=201, headers={"Location": location}
        )

    return await idempotent(request, payments.idempotency, body, run, key_required=True)


@post("/v1/refunds/simulate", **route(SIMULATE))
async def simulate_refund(request: ApiRequest) -> ASGIResponse:
    body = await read_json(request, CreateRefundBody)
    payments = container_of(request.app).payments
    bind_contextvars(payment_id=body.value.payment_id)

    async def run(request_id: str) -> Answer:
        return result(_simulated(await payments.simulate_refund(_command(request, body.value, request_id))))

    return await idempotent(request, payments.idempotency, body, run, key_required=False)


@get("/v1/refunds/{refundId:str}", **route(GET))
async def get_refund(request: ApiRequest) -> ASGIResponse:
    payments = container_of(request.app).payments
    refund = await payments.get_refund(request.user, read_id(request, "refundId"))
    return respond(result(refund_answer(refund, payments.refund_policy)))


@get("/v1/refunds", **route(LIST))
async def list_refunds(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListRefundsQuery)
    payments = container_of(request.app).payments
    refunds = await payments.list_refunds(
        request.user,
        status=query.status,
        payment_id=query.payment_id,
        after=decode_cursor(query.cursor),
        limit=query.limit + 1,
    )
    page, next_cursor = page_of(refunds, query.limit, lambda refund: refund.refund_id)
    items = [refund_answer(refund, payments.refund_policy) for refund in page]
    return respond(result(RefundPage(items=items, next_cursor=next_cursor)))


ROUTES = [create_refund, simulate_refund, get_refund, list_refunds]


def _command(request: ApiRequest, wanted: CreateRefundBody, request_id: str) -> CreateRefund:
    return CreateRefund(
        request_id=request_id,
        caller=request.user,
        payment_id=wanted.payment_id,
        amount=wanted.amount,
        currency=wanted.currency,
        reason=wanted.reason,
    )


_BEGINS_WITH = {
    Ruling.ALLOWED: RefundStatus.PENDING,
    Ruling.NEEDS_APPROVAL: RefundStatus.PENDING_APPROVAL,
}


def _simulated(simulated: Simulated) -> SimulatedRefundAnswer:
    refusal = problem_of_domain(simulated.refusal) if simulated.refusal else None
    return SimulatedRefundAnswer(
        outcome=simulated.ruling,
        status=_BEGINS_WITH.get(simulated.ruling),
        policy_rule=simulated.decision.rule if simulated.decision else None,
        causes=list(simulated.decision.causes) if simulated.decision else [],
        used_of_day=simulated.used.of_day,
        used_of_order=simulated.used.of_order,
        refusal=RefundRefusal(status=refusal.status, code=refusal.code, detail=refusal.detail)
        if refusal
        else None,
    )
