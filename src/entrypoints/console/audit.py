"""The audit logs: who did what with authority, and why."""

from litestar import get
from litestar.response.base import ASGIResponse

from domain.shared.audit import AuditFilter
from entrypoints.console.forms import ConsoleRequest
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http import audit as api
from entrypoints.http.container import container_of
from entrypoints.http.queries import Cursor
from entrypoints.http.schemas.values import Strict, UserId

PAGE = 50
PATH = "/console/audit"

MENU = [NavEntry("Audit", PATH, api.LIST.scopes)]


class AuditFilters(Strict):
    object_id: UserId | None = None
    subject: UserId | None = None
    cursor: Cursor | None = None


@get(PATH, **guarded(*api.LIST.scopes))
async def list_audit(request: ConsoleRequest) -> ASGIResponse:
    filters = read_filters(request, AuditFilters)
    wanted = AuditFilter(object_id=filters.object_id, subject=filters.subject)
    page, cursor = await api.read_trail(container_of(request.app).audit, wanted, filters.cursor, PAGE)
    return render(request, "audit.html", told=page, filters=filters, next_page=link(PATH, filters, cursor))


ROUTES = [list_audit]
