"""The ledger: what is on each account, and what was posted."""

from litestar import get
from litestar.response.base import ASGIResponse

from domain.payments.ledger import Account
from domain.payments.ledger_ports import EntryFilter
from entrypoints.console.forms import ConsoleRequest
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http import ledger as api
from entrypoints.http.container import container_of
from entrypoints.http.queries import Cursor, decode_cursor, page_of
from entrypoints.http.schemas.values import OrderId, PaymentId, Strict

PAGE = 50
PATH = "/console/ledger"

MENU = [NavEntry("Ledger", PATH, api.ENTRIES.scopes, "payments")]


class LedgerFilters(Strict):
    account: Account | None = None
    order_id: OrderId | None = None
    payment_id: PaymentId | None = None
    cursor: Cursor | None = None


@get(PATH, **guarded(*api.ENTRIES.scopes))
async def show_ledger(request: ConsoleRequest) -> ASGIResponse:
    filters = read_filters(request, LedgerFilters)
    ledger = container_of(request.app).payments.ledger.read
    wanted = EntryFilter(account=filters.account, order_id=filters.order_id, payment_id=filters.payment_id)
    found = await ledger.page(
        wanted, after=api.place_of(decode_cursor(filters.cursor, form=api.PLACE)), limit=PAGE + 1
    )
    page, cursor = page_of(found, PAGE, api.cursor_of)
    return render(
        request,
        "ledger.html",
        balances=await ledger.balances(),
        entries=page,
        filters=filters,
        accounts=list(Account),
        next_page=link(PATH, filters, cursor),
    )


ROUTES = [show_ledger]
