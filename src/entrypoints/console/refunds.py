"""Refunds: those that wait for a second person, deciding on one, and trying a failed one again."""

from dataclasses import replace
from typing import Annotated

from litestar import get, post
from litestar.response.base import ASGIResponse
from msgspec import Meta, Struct
from structlog.contextvars import bind_contextvars

from domain.payments.refund import RefundStatus
from domain.payments.use_cases.decide_refund import DecideRefund
from domain.payments.use_cases.retry_refund import RetryRefund
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.console.forms import ConsoleRequest, Form, NoFields, do_once, read_form, see
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http import refund_decisions
from entrypoints.http import refunds as api
from entrypoints.http.authentication import verify
from entrypoints.http.container import container_of
from entrypoints.http.problems import Problem
from entrypoints.http.queries import Cursor, decode_cursor, page_of, read_id
from entrypoints.http.schemas.values import PaymentId, Strict

PAGE = 50
PATH = "/console/refunds"

MENU = [NavEntry("Refunds", PATH, api.LIST.scopes, "payments")]


class RefundFilters(Strict):
    status: RefundStatus | None = None
    payment_id: PaymentId | None = None
    cursor: Cursor | None = None


class DecideForm(Struct, forbid_unknown_fields=True):
    comment: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


@get(PATH, **guarded(*api.LIST.scopes))
async def list_refunds(request: ConsoleRequest) -> ASGIResponse:
    filters = read_filters(request, RefundFilters)
    found = await container_of(request.app).payments.list_refunds(
        request.user,
        status=filters.status,
        payment_id=filters.payment_id,
        after=decode_cursor(filters.cursor),
        limit=PAGE + 1,
    )
    page, cursor = page_of(found, PAGE, lambda refund: refund.refund_id)
    return render(
        request,
        "refunds.html",
        refunds=page,
        filters=filters,
        statuses=list(RefundStatus),
        next_page=link(PATH, filters, cursor),
    )


@get(f"{PATH}/{{refundId:str}}", **guarded(*api.GET.scopes))
async def show_refund(request: ConsoleRequest) -> ASGIResponse:
    payments = container_of(request.app).payments
    refund = await payments.get_refund(request.user, _refund_id(request))
    waits = refund.status is RefundStatus.PENDING_APPROVAL
    return render(
        request,
        "refund.html",
        refund=refund,
        approve_before=refund.updated_at + payments.refund_policy.waits if waits else None,
        may_decide=waits
        and "refunds:approve" in request.user.scopes
        and request.user.subject not in refund.requesters,
        may_retry=refund.status is RefundStatus.FAILED and "refunds:create" in request.user.scopes,
    )


@post(f"{PATH}/{{refundId:str}}/approve", **guarded(*refund_decisions.APPROVE.scopes))
async def approve_refund(request: ConsoleRequest) -> ASGIResponse:
    refund_id = _refund_id(request)
    form = await read_form(request, DecideForm, secret="token")
    caller = await _approver(request, form)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        await payments.approve_refund(
            DecideRefund(
                request_id=request_id, caller=caller, refund_id=refund_id, comment=form.value.comment
            )
        )
        return see(f"{PATH}/{refund_id}", "approved")

    return await do_once(request, payments.idempotency, form, run)


@post(f"{PATH}/{{refundId:str}}/reject", **guarded(*refund_decisions.REJECT.scopes))
async def reject_refund(request: ConsoleRequest) -> ASGIResponse:
    refund_id = _refund_id(request)
    form = await read_form(request, DecideForm)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        await payments.reject_refund(
            DecideRefund(
                request_id=request_id, caller=request.user, refund_id=refund_id, comment=form.value.comment
            )
        )
        return see(f"{PATH}/{refund_id}", "rejected")

    return await do_once(request, payments.idempotency, form, run)


@post(f"{PATH}/{{refundId:str}}/retry", **guarded(*refund_decisions.RETRY.scopes))
async def retry_refund(request: ConsoleRequest) -> ASGIResponse:
    refund_id = _refund_id(request)
    form = await read_form(request, NoFields)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        await payments.retry_refund(
            RetryRefund(request_id=request_id, caller=request.user, refund_id=refund_id)
        )
        return see(f"{PATH}/{refund_id}", "refund-retried")

    return await do_once(request, payments.idempotency, form, run)


ROUTES = [list_refunds, show_refund, approve_refund, reject_refund, retry_refund]


async def _approver(request: ConsoleRequest, form: Form[DecideForm]) -> Caller:
    """Whoever is signed in, by their session's token or a fresh one: a token approves one refund only.

    Raises Problem 401 for one that counts nothing, and 403 for one of somebody else or without the scope.
    """
    if not form.secret:
        return request.user
    fresh = await verify(request, form.secret)
    if (fresh.subject, fresh.actor) != (request.user.subject, request.user.actor):
        raise Problem(403, "token_of_another", "The fresh token is not of whoever is signed in.")
    if not fresh.scopes.issuperset(refund_decisions.APPROVE.scopes):
        raise Problem(403, "scope_missing", "The fresh token lacks the scope refunds:approve.")
    return replace(fresh, request_id=request.user.request_id)


def _refund_id(request: ConsoleRequest) -> str:
    refund_id = read_id(request, "refundId")
    bind_contextvars(refund_id=refund_id)
    return refund_id
