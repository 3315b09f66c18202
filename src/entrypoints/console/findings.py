"""Findings: where the books of orders, payments and gateway did not agree, and what became of it."""

from litestar import get, post
from litestar.response.base import ASGIResponse

from domain.reconciliation.finding import FindingStatus, FindingType
from domain.reconciliation.ports import FindingFilter
from domain.shared.idempotency import Answer
from entrypoints.console.forms import ConsoleRequest, do_once, read_form, see
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http import findings as api
from entrypoints.http.container import container_of
from entrypoints.http.queries import Cursor, decode_cursor, page_of, read_id
from entrypoints.http.schemas.findings import ResolveBody
from entrypoints.http.schemas.values import OrderId, Strict

PAGE = 50
PATH = "/console/findings"

MENU = [NavEntry("Findings", PATH, api.LIST.scopes, "orders")]


class FindingFilters(Strict):
    status: FindingStatus | None = None
    type: FindingType | None = None
    order_id: OrderId | None = None
    cursor: Cursor | None = None


@get(PATH, **guarded(*api.LIST.scopes))
async def list_findings(request: ConsoleRequest) -> ASGIResponse:
    filters = read_filters(request, FindingFilters)
    reconciliation = container_of(request.app).reconciliation
    found = await reconciliation.list_findings(
        FindingFilter(status=filters.status, type=filters.type, order_id=filters.order_id),
        after=decode_cursor(filters.cursor),
        limit=PAGE + 1,
    )
    page, cursor = page_of(found, PAGE, lambda finding: finding.finding_id)
    return render(
        request,
        "findings.html",
        findings=page,
        measured=await reconciliation.measure(),
        filters=filters,
        statuses=list(FindingStatus),
        types=list(FindingType),
        next_page=link(PATH, filters, cursor),
    )


@post(f"{PATH}/{{findingId:str}}/settle", **guarded(*api.RESOLVE.scopes))
async def settle_finding(request: ConsoleRequest) -> ASGIResponse:
    form = await read_form(request, ResolveBody)
    finding_id, container = read_id(request, "findingId"), container_of(request.app)

    async def run(_: str) -> Answer:
        await container.reconciliation.settle_finding(request.user, finding_id, form.value.comment)
        return see(PATH, "settled")

    return await do_once(request, container.orders.idempotency, form, run)


ROUTES = [list_findings, settle_finding]
