"""`/v1/audit`: the audit logs, for auditors."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Request, get
from litestar.response.base import ASGIResponse

from domain.shared.audit import AuditFilter
from domain.shared.audit_trail import AuditTrail, Told
from domain.shared.callers import Caller
from entrypoints.http.answers import respond, result
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, encode_cursor, read_query
from entrypoints.http.schemas.audit import AuditAnswer, AuditPage, ListAuditQuery

_CURSOR = re.compile(r"(?:orders|payments)-[0-9]{1,18}(?:\.(?:orders|payments)-[0-9]{1,18})?")

EXAMPLE = AuditAnswer(
    service="payments",
    position=42,
    hash="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    action="payment.capture",
    subject="ada",
    actor="console",
    scopes=["payments:write", "users:any"],
    request_id="req_01k6y3x8q2e3r9v0s7t5w1z4ab",
    object_type="payment",
    object_id="pay_01k6y3x8q2e3r9v0s7t5w1z4ab",
    reason=None,
    before={"status": "REQUIRES_CAPTURE", "amountCaptured": 0},
    after={"amount": 1700},
)
LIST = Operation(
    operation_id="listAudit",
    tag="Audit",
    summary="Who did what with authority, newest first",
    description="The logs of the services that this process runs, as one. `payonce audit verify` tells whether "
    "they are still as they were written.",
    scopes=("operations:read",),
    query=ListAuditQuery,
    answer=AuditPage,
    answer_example=AuditPage(items=[EXAMPLE], next_cursor=None),
)


@get("/v1/audit", **route(LIST))
async def list_audit(request: Request[Caller, Any, Any]) -> ASGIResponse:
    query = read_query(request, ListAuditQuery)
    wanted = AuditFilter(object_id=query.object_id, subject=query.subject)
    page, next_cursor = await read_trail(container_of(request.app).audit, wanted, query.cursor, query.limit)
    return respond(result(AuditPage(items=[_answer(one) for one in page], next_cursor=next_cursor)))


ROUTES = [list_audit]


async def read_trail(
    trail: AuditTrail, wanted: AuditFilter, cursor: str | None, limit: int
) -> tuple[Sequence[Told], str | None]:
    """A page of the logs as one, and the cursor behind it. Raises Problem 400 for a cursor that is none of ours."""
    before = _positions(decode_cursor(cursor, form=_CURSOR))
    told = await trail.find(wanted, before=before, limit=limit + 1)
    page = told[:limit]
    if len(told) <= limit:
        return page, None
    seen = before | {service: record.position for service, record in page}
    return page, encode_cursor(".".join(f"{service}-{position}" for service, position in seen.items()))


def _positions(cursor: str | None) -> dict[str, int]:
    """By service, the last position already seen."""
    parts = (part.partition("-") for part in cursor.split(".")) if cursor else ()
    return {service: int(position) for service, _, position in parts}


def _answer(told: Told) -> AuditAnswer:
    record, entry = told.record, told.record.entry
    return AuditAnswer(
        service=told.service,
        position=record.position,
        hash=record.hash.hex(),
        at=entry.at,
        action=entry.action,
        subject=entry.subject,
        actor=entry.actor,
        scopes=list(entry.scopes),
        request_id=entry.request_id,
        object_type=entry.object_type,
        object_id=entry.object_id,
        reason=entry.reason,
        before=dict(entry.before),
        after=dict(entry.after),
    )
