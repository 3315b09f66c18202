"""`/v1/disputes`: translate, call one use case, translate back."""

from itertools import dropwhile
from typing import Any

from litestar import Request, get
from litestar.response.base import ASGIResponse

from domain.payments.dispute import Dispute
from domain.shared.callers import Caller
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, page_of, read_id, read_query
from entrypoints.http.schemas.disputes import DisputeAnswer, DisputePage, ListDisputesQuery

ApiRequest = Request[Caller, Any, Any]

LIST = Operation(
    operation_id="listDisputes",
    tag="Disputes",
    summary="The disputes of a payment, oldest first",
    scopes=("payments:read",),
    query=ListDisputesQuery,
    answer=DisputePage,
    answer_example=DisputePage(items=[examples.DISPUTE], next_cursor=None),
    problems={404: ("payment_not_found",)},
)
GET = Operation(
    operation_id="getDispute",
    tag="Disputes",
    summary="A dispute",
    scopes=("payments:read",),
    answer=DisputeAnswer,
    answer_example=examples.DISPUTE,
    problems={404: ("dispute_not_found",)},
)


@get("/v1/disputes", **route(LIST))
async def list_disputes(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListDisputesQuery)
    after = decode_cursor(query.cursor)
    disputes = await container_of(request.app).payments.list_disputes(request.user, query.payment_id)
    if after is not None:  # a payment has a few, so that all are read
        disputes = list(dropwhile(lambda dispute: dispute.gateway_dispute_id != after, disputes))[1:]
    page, next_cursor = page_of(disputes, query.limit, lambda dispute: dispute.gateway_dispute_id)
    items = [dispute_answer(dispute) for dispute in page]
    return respond(result(DisputePage(items=items, next_cursor=next_cursor)))


@get("/v1/disputes/{disputeId:str}", **route(GET))
async def get_dispute(request: ApiRequest) -> ASGIResponse:
    dispute_id = read_id(request, "disputeId")
    dispute = await container_of(request.app).payments.get_dispute(request.user, dispute_id)
    return respond(result(dispute_answer(dispute)))


ROUTES = [list_disputes, get_dispute]


def dispute_answer(dispute: Dispute) -> DisputeAnswer:
    return DisputeAnswer(
        dispute_id=dispute.gateway_dispute_id,
        payment_id=dispute.payment_id,
        amount=dispute.amount,
        currency=dispute.currency,
        reason=dispute.reason,
        status=dispute.status,
        closed=dispute.status.closed,
        charge_refundable=dispute.charge_refundable,
        evidence_due_by=dispute.evidence_due_by,
        amount_withdrawn=dispute.amount_withdrawn,
        opened_at=dispute.opened_at,
        updated_at=dispute.updated_at,
    )
