"""`/v1/findings`: where the books of orders, payments and gateway did not agree, for operators."""

from datetime import UTC, datetime
from typing import Any

from litestar import Request, get, post
from litestar.response.base import ASGIResponse

from domain.reconciliation.finding import Action, Finding, FindingStatus, FindingType
from domain.reconciliation.ports import FindingFilter
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.bootstrap import Container
from entrypoints.composition.gateway_reconciliation import GatewayReconciliation
from entrypoints.composition.reconciliation import Reconciliation
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, page_of, read_id, read_query
from entrypoints.http.schemas.findings import FindingAnswer, FindingPage, ListFindingsQuery, ResolveBody

ApiRequest = Request[Caller, Any, Any]

_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXAMPLE = FindingAnswer(
    finding_id="fnd_01k6y3x8q2e3r9v0s7t5w1z4ab",
    type=FindingType.AMOUNT_DIFFERS,
    meaning=FindingType.AMOUNT_DIFFERS.meaning,
    object_id="pay_01k6y3x8q2e3r9v0s7t5w1z4ab",
    gateway="stripe",
    payment_id="pay_01k6y3x8q2e3r9v0s7t5w1z4ab",
    order_id="ord_01k6y3x8q2e3r9v0s7t5w1z4ab",
    expected={"status": "SUCCEEDED", "amount": 1700, "amountCaptured": 1600},
    found={"status": "SUCCEEDED", "amount": 1700, "amountCaptured": 1700},
    action=Action.FLAG,
    status=FindingStatus.OPEN,
    note=None,
    tries=0,
    first_seen=_AT,
    last_seen=_AT,
    closed_at=None,
    settled_by=None,
    comment=None,
)
LIST = Operation(
    operation_id="listFindings",
    tag="Reconciliation",
    summary="Where the books do not agree, newest first",
    description="Of orders, payments and gateway, compared again and again. `payonce reconcile` compares a range "
    "of time at once.",
    scopes=("operations:read",),
    query=ListFindingsQuery,
    answer=FindingPage,
    answer_example=FindingPage(items=[EXAMPLE], next_cursor=None),
)
RESOLVE = Operation(
    operation_id="resolveFinding",
    tag="Reconciliation",
    summary="A person has settled it",
    description="The same difference is not raised again; another one of the same object is. Who did it and the "
    "comment stand in the audit log.",
    scopes=("operations:write",),
    body=ResolveBody,
    body_examples={"agreed": ResolveBody(comment="Agreed with the bank; ticket 4711.")},
    answer=FindingAnswer,
    answer_example=EXAMPLE,
    key="optional",
    problems={404: ("finding_not_found",), 409: ("finding_closed",)},
)


@get("/v1/findings", **route(LIST))
async def list_findings(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListFindingsQuery)
    found = await _kept_by(container_of(request.app)).list_findings(
        FindingFilter(status=query.status, type=query.type, order_id=query.order_id),
        after=decode_cursor(query.cursor),
        limit=query.limit + 1,
    )
    page, next_cursor = page_of(found, query.limit, lambda finding: finding.finding_id)
    return respond(result(FindingPage(items=[*map(_answer, page)], next_cursor=next_cursor)))


@post("/v1/findings/{findingId:str}/resolve", **route(RESOLVE))
async def resolve_finding(request: ApiRequest) -> ASGIResponse:
    finding_id = read_id(request, "findingId")
    body = await read_json(request, ResolveBody)
    container = container_of(request.app)

    async def run(request_id: str) -> Answer:
        settle = _kept_by(container).settle_finding
        return result(_answer(await settle(request.user, finding_id, body.value.comment)))

    return await idempotent(request, container.running[0].idempotency, body, run, key_required=False)


ROUTES = [list_findings, resolve_finding]


def _kept_by(container: Container) -> Reconciliation | GatewayReconciliation:
    """All that this process can see: with the order service its own and, in one process, the payments' too."""
    if container.sides.orders is not None:
        return container.reconciliation
    return container.payments.reconciliation


def _answer(finding: Finding) -> FindingAnswer:
    return FindingAnswer(
        finding_id=finding.finding_id,
        type=finding.type,
        meaning=finding.type.meaning,
        object_id=finding.object_id,
        gateway=finding.gateway,
        payment_id=finding.payment_id,
        order_id=finding.order_id,
        expected=finding.expected,
        found=finding.found,
        action=finding.action,
        status=finding.status,
        note=finding.note,
        tries=finding.tries,
        first_seen=finding.first_seen,
        last_seen=finding.last_seen,
        closed_at=finding.closed_at,
        settled_by=finding.settled_by,
        comment=finding.comment,
    )
