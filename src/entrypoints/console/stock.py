"""Stock: what there is of each tracked SKU, and setting it by hand."""

from typing import Annotated

import structlog
from litestar import get, post
from litestar.response.base import ASGIResponse
from msgspec import Meta, Struct

from domain.orders.use_cases.count_stock import CountStock
from domain.shared.idempotency import Answer
from entrypoints.console.forms import ConsoleRequest, do_once, read_form, see
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http import inventory as api
from entrypoints.http.container import container_of
from entrypoints.http.queries import Cursor, decode_cursor, page_of
from entrypoints.http.schemas.values import Sku, Strict

PAGE = 100
PATH = "/console/stock"

logger = structlog.stdlib.get_logger(__name__)

MENU = [NavEntry("Stock", PATH, api.LIST.scopes, "orders")]


class StockFilters(Strict):
    cursor: Cursor | None = None


class CountForm(Struct, rename="camel", forbid_unknown_fields=True):
    sku: Sku
    on_hand: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    version: Annotated[int, Meta(ge=1)] | None = None
    """The one that the page showed: what changed since then is not overwritten."""


@get(PATH, **guarded(*api.LIST.scopes))
async def list_stock(request: ConsoleRequest) -> ASGIResponse:
    filters = read_filters(request, StockFilters)
    found = await container_of(request.app).orders.list_stock(
        after=decode_cursor(filters.cursor, form=api.SKU), limit=PAGE + 1
    )
    page, cursor = page_of(found, PAGE, lambda item: item.sku)
    return render(request, "stock.html", items=page, next_page=link(PATH, filters, cursor))


@post(f"{PATH}/count", **guarded(*api.PUT.scopes))
async def count_stock(request: ConsoleRequest) -> ASGIResponse:
    form = await read_form(request, CountForm)
    count = form.value

    async def run(_: str) -> Answer:
        await container_of(request.app).orders.count_stock(
            CountStock(
                caller=request.user,
                sku=count.sku,
                on_hand=count.on_hand,
                tracked=count.version is not None,
                versions=None if count.version is None else (count.version,),
            )
        )
        logger.info("stock_counted", sku=count.sku, on_hand=count.on_hand, subject=request.user.subject)
        return see(PATH, "counted")

    return await do_once(request, container_of(request.app).orders.idempotency, form, run)


ROUTES = [list_stock, count_stock]
