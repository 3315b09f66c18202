"""`/v1/inventory`: translate, call one use case, translate back."""

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog
from litestar import Request, get, put
from litestar.response.base import ASGIResponse

from domain.orders.stock import StockItem
from domain.orders.use_cases.count_stock import CountStock
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import card_data_forbidden, read_json
from entrypoints.http.card_data import contains_card_number
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.preconditions import read_preconditions
from entrypoints.http.problems import Problem
from entrypoints.http.queries import decode_cursor, page_of, read_query
from entrypoints.http.schemas.inventory import CountStockBody, ListStockQuery, StockAnswer, StockPage
from entrypoints.http.schemas.values import Sku

logger = structlog.stdlib.get_logger(__name__)

ApiRequest = Request[Caller, Any, Any]

SKU = re.compile(r"[^\x00]{1,100}", re.DOTALL)

PUT = Operation(
    operation_id="countStock",
    tag="Inventory",
    summary="Set how many there are of a SKU",
    description="The first call makes the SKU a tracked one: from then on orders reserve it when they are "
    "confirmed. A SKU that was never set is always available.",
    scopes=("operations:write",),
    path={"sku": Sku},
    body=CountStockBody,
    body_examples={"counted": CountStockBody(on_hand=12)},
    answer=StockAnswer,
    answer_example=examples.STOCK,
    other_answers={201: examples.NEW_STOCK},
    optional_headers={"If-None-Match": "`*`, where it must not be tracked yet."},
    if_match="optional",
    etag=True,
    problems={400: ("if_none_match_malformed",), 409: ("on_hand_below_reserved",)},
)
GET = Operation(
    operation_id="getStock",
    tag="Inventory",
    summary="What there is of a SKU",
    description="404 where it was never set: it is untracked and always available then.",
    scopes=("orders:read",),
    path={"sku": Sku},
    answer=StockAnswer,
    answer_example=examples.STOCK,
    etag=True,
    problems={400: ("card_data_forbidden",), 404: ("sku_untracked",)},
)
LIST = Operation(
    operation_id="listStock",
    tag="Inventory",
    summary="The tracked SKUs",
    scopes=("orders:read",),
    query=ListStockQuery,
    answer=StockPage,
    answer_example=StockPage(items=[examples.STOCK], next_cursor=None),
)


@put("/v1/inventory/{sku:path}", **route(PUT))
async def count_stock(request: ApiRequest) -> ASGIResponse:
    sku = _read_sku(request)
    conditions = read_preconditions(request)
    body = await read_json(request, CountStockBody)
    counted = await container_of(request.app).orders.count_stock(
        CountStock(
            caller=request.user,
            sku=sku,
            on_hand=body.value.on_hand,
            tracked=conditions.exists,
            versions=conditions.versions,
        )
    )
    logger.info("stock_counted", sku=sku, on_hand=counted.item.on_hand, subject=request.user.subject)
    return respond(_stock_result(counted.item, status=201 if counted.first else 200))


@get("/v1/inventory/{sku:path}", **route(GET))
async def get_stock(request: ApiRequest) -> ASGIResponse:
    item = await container_of(request.app).orders.get_stock(_read_sku(request))
    return respond(_stock_result(item))


@get("/v1/inventory", **route(LIST))
async def list_stock(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListStockQuery)
    items = await container_of(request.app).orders.list_stock(
        after=decode_cursor(query.cursor, form=SKU), limit=query.limit + 1
    )
    page, next_cursor = page_of(items, query.limit, lambda item: item.sku)
    return respond(result(StockPage(items=[_answer(item) for item in page], next_cursor=next_cursor)))


ROUTES = [count_stock, get_stock, list_stock]


def _read_sku(request: ApiRequest) -> str:
    """The rest of the path as it was sent: a SKU may have slashes, which the routing takes for its own.

    Raises Problem 404 for what no SKU can be, and 400 for a card number.
    """
    raw: bytes = request.scope["raw_path"]
    try:
        sku = unquote_to_bytes(raw.partition(b"/v1/inventory/")[2]).decode()
    except UnicodeDecodeError:
        sku = ""
    if not SKU.fullmatch(sku):
        raise Problem(404, "not_found", "There is nothing of that name.")
    if contains_card_number(sku):
        raise card_data_forbidden()
    return sku


def _stock_result(item: StockItem, *, status: int = 200) -> Answer:
    return result(_answer(item), status=status, headers={"ETag": f'"{item.version}"'})


def _answer(item: StockItem) -> StockAnswer:
    return StockAnswer(sku=item.sku, on_hand=item.on_hand, reserved=item.reserved, available=item.available)
