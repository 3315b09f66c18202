"""The console's routes and its menu, by the service whose they are."""

from collections.abc import Sequence

from litestar import Litestar, Router, get
from litestar.response.base import ASGIResponse

from entrypoints.console import (
    audit,
    dead_letters,
    endpoints,
    findings,
    ledger,
    orders,
    overview,
    pages,
    payments,
    refunds,
    sign_in,
    stock,
    webhooks,
)
from entrypoints.console.forms import ConsoleRequest
from entrypoints.console.pages import NavEntry, answer_exception, guarded
from entrypoints.http.problems import Problem


@get("/console/{rest:path}", **guarded())
async def unknown(request: ConsoleRequest) -> ASGIResponse:
    """A page of ours for addresses that nothing has."""
    raise Problem(404, "not_found", "There is nothing of that name.")


_BY_SERVICE = {
    "all": [*overview.ROUTES, *audit.ROUTES, *sign_in.ROUTES, pages.static, unknown],
    "orders": [*orders.ROUTES, *findings.ROUTES, *dead_letters.ROUTES, *endpoints.ROUTES, *stock.ROUTES],
    "payments": [*payments.ROUTES, *refunds.ROUTES, *ledger.ROUTES, *webhooks.ROUTES],
}
_MENU: Sequence[NavEntry] = [
    *overview.MENU,
    *orders.MENU,
    *payments.MENU,
    *refunds.MENU,
    *findings.MENU,
    *dead_letters.MENU,
    *webhooks.MENU,
    *endpoints.MENU,
    *stock.MENU,
    *ledger.MENU,
    *audit.MENU,
]


def console_router(service: str) -> Router:
    """The pages of a process that runs this service."""
    services = _BY_SERVICE if service == "all" else ("all", service)
    return Router(
        path="/",
        route_handlers=[handler for name in services for handler in _BY_SERVICE[name]],
        exception_handlers={Exception: answer_exception},
    )


def add_menu(app: Litestar, service: str) -> None:
    """Make what every page shows of the others."""
    app.state["console_menu"] = [
        entry for entry in _MENU if service == "all" or entry.service in ("all", service)
    ]
