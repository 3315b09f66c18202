"""`/v1/orders`: translate, call one use case, translate back."""

from datetime import timedelta

from litestar import get, patch, post
from litestar.response.base import ASGIResponse
from msgspec import UNSET, structs
from structlog.contextvars import bind_contextvars

from domain.orders.cart import Address, Customer, OrderLine
from domain.orders.draft import DraftChanges
from domain.orders.order import Order
from domain.orders.use_cases.change_order import ChangeOrder
from domain.orders.use_cases.create_order import CreateOrder
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent, new_request_id
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, order_answer, order_result, read_order_id
from entrypoints.http.preconditions import read_if_match
from entrypoints.http.queries import decode_cursor, page_of, read_query
from entrypoints.http.schemas.orders import (
    ChangeOrderBody,
    CreateOrderBody,
    ListOrdersQuery,
    OrderAnswer,
    OrderPage,
    OrderTerms,
    PaymentTermsAnswer,
)
from entrypoints.http.schemas.parts import AddressBody, CustomerBody, LineBody

GUEST_SCOPES = ("orders:read", "orders:write")
"""Of an `orderToken`, which is bound to one order besides."""

CREATE = Operation(
    operation_id="createOrder",
    tag="Orders",
    summary="Make a draft order from cart lines",
    description="A service makes a guest's order by naming no `userId`; the answer then has their `orderToken`.",
    scopes=("orders:write",),
    body=CreateOrderBody,
    body_examples={"cart": examples.CREATE_ORDER},
    answer=OrderAnswer,
    answer_example=examples.ORDER,
    status=201,
    key="optional",
    etag=True,
    problems={
        403: ("user_differs", "token_bound_to_order"),
        422: ("discount_exceeds_line", "total_out_of_range"),
    },
)
GET = Operation(
    operation_id="getOrder",
    tag="Orders",
    summary="An order",
    scopes=("orders:read",),
    answer=OrderAnswer,
    answer_example=examples.ORDER,
    etag=True,
    problems={404: ("order_not_found",)},
)
CHANGE = Operation(
    operation_id="changeOrder",
    tag="Orders",
    summary="Change a draft",
    description="What is absent stays. Lines and customer are replaced as a whole, metadata name by name; null clears "
    "the customer, the shipping, the metadata or one name of it. Totals follow. Another currency needs new amounts with "
    "it. A draft is frozen by its confirmation, or by the first event of a payment made for it.",
    scopes=("orders:write",),
    body=ChangeOrderBody,
    body_examples={"shipping": examples.CHANGE_ORDER},
    answer=OrderAnswer,
    answer_example=examples.DRAFT,
    if_match="required",
    etag=True,
    problems={
        404: ("order_not_found",),
        409: ("order_state_forbids",),
        422: ("discount_exceeds_line", "total_out_of_range", "currency_needs_amounts"),
    },
)
LIST = Operation(
    operation_id="listOrders",
    tag="Orders",
    summary="Orders, newest first",
    scopes=("orders:read",),
    query=ListOrdersQuery,
    answer=OrderPage,
    answer_example=OrderPage(items=[examples.ORDER], next_cursor=None),
)
TERMS = Operation(
    operation_id="getPaymentTerms",
    tag="Orders",
    summary="What may be paid for an order",
    scopes=("orders:read",),
    answer=PaymentTermsAnswer,
    answer_example=examples.TERMS,
    problems={404: ("order_not_found",)},
)


@post("/v1/orders", **route(CREATE))
async def create_order(request: ApiRequest) -> ASGIResponse:
    body = await read_json(request, CreateOrderBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        order = await orders.create_order(
            CreateOrder(
                request_id=request_id,
                caller=request.user,
                currency=body.value.currency,
                lines=tuple(_line(line) for line in body.value.lines),
                user_id=body.value.user_id,
                customer=_customer(body.value.customer),
                shipping_amount=body.value.shipping_amount,
                metadata=dict(body.value.metadata),
            )
        )
        bind_contextvars(order_id=order.order_id)
        return _created(request, order)

    return await idempotent(request, orders.idempotency, body, run, key_required=False)


@get("/v1/orders/{orderId:str}", **route(GET))
async def get_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    order = await container_of(request.app).orders.get_order(request.user, order_id)
    return respond(order_result(order))


@patch("/v1/orders/{orderId:str}", **route(CHANGE))
async def change_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    versions = read_if_match(request, required=True)
    body = await read_json(request, ChangeOrderBody)
    order = await container_of(request.app).orders.change_order(
        ChangeOrder(
            request_id=new_request_id(request),
            caller=request.user,
            order_id=order_id,
            versions=versions,
            changes=_changes(body.value),
        )
    )
    return respond(order_result(order))


@get("/v1/orders", **route(LIST))
async def list_orders(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListOrdersQuery)
    orders = await container_of(request.app).orders.list_orders(
        request.user,
        status=query.status,
        user_id=query.user_id,
        after=decode_cursor(query.cursor),
        limit=query.limit + 1,
        with_attention=query.attention,
    )
    page, next_cursor = page_of(orders, query.limit, lambda order: order.order_id)
    return respond(
        result(OrderPage(items=[order_answer(order, None) for order in page], next_cursor=next_cursor))
    )


@get("/v1/orders/{orderId:str}/payment-terms", **route(TERMS))
async def get_payment_terms(request: ApiRequest) -> ASGIResponse:
    container = container_of(request.app)
    found = await container.orders.get_payment_terms(request.user, read_order_id(request))
    terms = OrderTerms(
        order_id=found.order_id,
        version=found.version,
        amount=found.amount,
        currency=found.currency,
        payable=found.payable,
    )
    signed = PaymentTermsAnswer(**structs.asdict(terms), snapshot=container.sign_order_terms(found))
    return respond(result(signed))


ROUTES = [create_order, get_order, list_orders, change_order, get_payment_terms]


def _created(request: ApiRequest, order: Order) -> Answer:
    answer = order_answer(order, None)
    if order.user_id is None:
        container = container_of(request.app)
        expires = container.clock.now() + timedelta(days=container.settings.order_token_days)
        answer.order_token = container.token_issuer.issue(
            f"guest:{order.order_id}", GUEST_SCOPES, expires, order_id=order.order_id
        )
    headers = {"ETag": f'"{order.version}"', "Location": f"/v1/orders/{order.order_id}"}
    return result(answer, status=201, headers=headers)


def _changes(body: ChangeOrderBody) -> DraftChanges:
    shipping = 0 if body.shipping_amount is None else body.shipping_amount
    return DraftChanges(
        currency=None if body.currency is UNSET else body.currency,
        lines=None if body.lines is UNSET else tuple(_line(line) for line in body.lines),
        customer=None if body.customer is UNSET else _customer(body.customer),
        without_customer=body.customer is None,
        shipping_amount=None if shipping is UNSET else shipping,
        metadata={} if body.metadata is UNSET or body.metadata is None else body.metadata,
        without_metadata=body.metadata is None,
    )


def _line(line: LineBody) -> OrderLine:
    return OrderLine(
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        discount_amount=line.discount_amount or 0,
        tax_amount=line.tax_amount or 0,
        commodity_code=line.commodity_code,
        unit_of_measure=line.unit_of_measure,
    )


def _customer(customer: CustomerBody | None) -> Customer | None:
    if customer is None:
        return None
    return Customer(
        name=customer.name,
        email=customer.email,
        billing_address=_address(customer.billing_address),
        shipping_address=_address(customer.shipping_address),
    )


def _address(address: AddressBody | None) -> Address | None:
    if address is None:
        return None
    return Address(
        line1=address.line1,
        line2=address.line2,
        city=address.city,
        state=address.state,
        postal_code=address.postal_code,
        country=address.country,
    )
