"""`/v1/orders`: translate, call one use case, translate back."""

from typing import Any

from litestar import Request, get, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.orders.order import Address, Customer, Order, OrderLine, OrderPayment
from domain.orders.ports import PaymentView
from domain.orders.use_cases.confirm_order import ConfirmOrder
from domain.orders.use_cases.create_order import CreateOrder
from domain.orders.use_cases.retry_payment import RetryPayment
from domain.payments.gateway import IntentStatus
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, page_of, read_id, read_query
from entrypoints.http.schemas.orders import (
    CheckoutBody,
    CreateOrderBody,
    LatestPaymentAnswer,
    ListOrdersQuery,
    OrderAnswer,
    OrderLineAnswer,
    OrderPage,
    OrderPaymentAnswer,
    PaymentTermsAnswer,
)
from entrypoints.http.schemas.parts import (
    AddressBody,
    CustomerBody,
    LineBody,
    last_error_answer,
    method_answer,
    next_action_answer,
)

ApiRequest = Request[Caller, Any, Any]

_CHECKOUT_PROBLEMS = {
    404: ("order_not_found",),
    409: ("order_state_forbids", "checkout_in_progress", "payment_in_progress", "payment_state_forbids"),
    422: (
        "order_terms_differ",
        "currency_unsupported",
        "amount_too_small",
        "amount_too_large",
        "amount_not_representable",
        "payment_method_unknown",
        "payment_method_not_owned",
        "gateway_refused",
    ),
    503: ("gateway_unavailable",),
}

CREATE = Operation(
    operation_id="createOrder",
    tag="Orders",
    summary="Make a draft order from cart lines",
    scopes=("orders:write",),
    body=CreateOrderBody,
    body_examples={"cart": examples.CREATE_ORDER},
    answer=OrderAnswer,
    answer_example=examples.ORDER,
    status=201,
    key="optional",
    etag=True,
    problems={403: ("user_differs",), 422: ("discount_exceeds_line", "total_out_of_range")},
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
LIST = Operation(
    operation_id="listOrders",
    tag="Orders",
    summary="Orders, newest first",
    scopes=("orders:read",),
    query=ListOrdersQuery,
    answer=OrderPage,
    answer_example=OrderPage(items=[examples.ORDER], next_cursor=None),
)
CONFIRM = Operation(
    operation_id="confirmOrder",
    tag="Orders",
    summary="Checkout is complete: begin the payment",
    description="A decline is no error: the answer's `payment` says what to do next.",
    scopes=("orders:write",),
    body=CheckoutBody,
    body_examples={"card": examples.CHECKOUT},
    answer=OrderAnswer,
    answer_example=examples.ORDER,
    key="required",
    etag=True,
    problems=_CHECKOUT_PROBLEMS,
)
RETRY = Operation(
    operation_id="retryPayment",
    tag="Orders",
    summary="Another payment attempt",
    description="Confirms the same payment again; a new one is made only after the gateway canceled the old.",
    scopes=("orders:write",),
    body=CheckoutBody,
    body_examples={"card": examples.CHECKOUT},
    answer=OrderAnswer,
    answer_example=examples.ORDER,
    key="required",
    etag=True,
    problems=_CHECKOUT_PROBLEMS,
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
        return _order_result(order, None, status=201)

    return await idempotent(request, orders.idempotency, body, run, key_required=False)


@get("/v1/orders/{orderId:str}", **route(GET))
async def get_order(request: ApiRequest) -> ASGIResponse:
    order_id = _order_id(request)
    order = await container_of(request.app).orders.get_order(request.user, order_id)
    return respond(_order_result(order, None))


@get("/v1/orders", **route(LIST))
async def list_orders(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListOrdersQuery)
    orders = await container_of(request.app).orders.list_orders(
        request.user,
        status=query.status,
        user_id=query.user_id,
        after=decode_cursor(query.cursor),
        limit=query.limit + 1,
    )
    page, next_cursor = page_of(orders, query.limit, lambda order: order.order_id)
    return respond(
        result(OrderPage(items=[order_answer(order, None) for order in page], next_cursor=next_cursor))
    )


@post("/v1/orders/{orderId:str}/confirm", **route(CONFIRM))
async def confirm_order(request: ApiRequest) -> ASGIResponse:
    order_id = _order_id(request)
    body = await read_json(request, CheckoutBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        done = await orders.confirm_order(
            ConfirmOrder(
                request_id=request_id,
                caller=request.user,
                order_id=order_id,
                capture_method=body.value.capture_method,
                return_url=body.value.return_url,
                payment_method_token=body.value.payment_method_token,
            )
        )
        bind_contextvars(payment_id=done.payment.payment_id)
        return _order_result(done.order, done.payment)

    return await idempotent(request, orders.idempotency, body, run, key_required=True)


@post("/v1/orders/{orderId:str}/payments", **route(RETRY))
async def retry_payment(request: ApiRequest) -> ASGIResponse:
    order_id = _order_id(request)
    body = await read_json(request, CheckoutBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        done = await orders.retry_payment(
            RetryPayment(
                request_id=request_id,
                caller=request.user,
                order_id=order_id,
                capture_method=body.value.capture_method,
                return_url=body.value.return_url,
                payment_method_token=body.value.payment_method_token,
            )
        )
        bind_contextvars(payment_id=done.payment.payment_id)
        return _order_result(done.order, done.payment)

    return await idempotent(request, orders.idempotency, body, run, key_required=True)


@get("/v1/orders/{orderId:str}/payment-terms", **route(TERMS))
async def get_payment_terms(request: ApiRequest) -> ASGIResponse:
    terms = await container_of(request.app).orders.get_payment_terms(request.user, _order_id(request))
    return respond(
        result(
            PaymentTermsAnswer(
                order_id=terms.order_id,
                version=terms.version,
                amount=terms.amount,
                currency=terms.currency,
                payable=terms.payable,
            )
        )
    )


ROUTES = [create_order, get_order, list_orders, confirm_order, retry_payment, get_payment_terms]


def _order_id(request: ApiRequest) -> str:
    order_id = read_id(request, "orderId")
    bind_contextvars(order_id=order_id)
    return order_id


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


def _order_result(order: Order, begun: PaymentView | None, *, status: int = 200) -> Answer:
    headers = {"ETag": f'"{order.version}"'}
    if status == 201:
        headers["Location"] = f"/v1/orders/{order.order_id}"
    return result(order_answer(order, begun), status=status, headers=headers)


def order_answer(order: Order, begun: PaymentView | None) -> OrderAnswer:
    """The order as clients see it; `begun` is the payment as the payment side has just answered it."""
    return OrderAnswer(
        order_id=order.order_id,
        user_id=order.user_id,
        status=order.status,
        version=order.version,
        currency=order.currency,
        lines=[_line_answer(line) for line in order.lines],
        subtotal_amount=order.subtotal_amount,
        discount_amount=order.discount_amount,
        tax_amount=order.tax_amount,
        shipping_amount=order.shipping_amount,
        total_amount=order.total_amount,
        amount_paid=order.amount_paid,
        amount_refunded=order.amount_refunded,
        metadata=order.metadata,
        fulfilled_at=order.fulfilled_at,
        attention=order.attention,
        payments=[_payment_answer(payment) for payment in order.payments],
        payment=_begun_answer(begun) if begun else _latest_answer(order.latest_payment),
        created_at=order.created_at,
        updated_at=order.updated_at,
    )


def _line_answer(line: OrderLine) -> OrderLineAnswer:
    return OrderLineAnswer(
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        discount_amount=line.discount_amount,
        tax_amount=line.tax_amount,
        commodity_code=line.commodity_code,
        unit_of_measure=line.unit_of_measure,
    )


def _payment_answer(payment: OrderPayment) -> OrderPaymentAnswer:
    return OrderPaymentAnswer(
        payment_id=payment.payment_id,
        gateway_payment_intent_id=payment.gateway_payment_intent_id,
        status=IntentStatus(payment.status),
        amount_captured=payment.amount_captured,
        method=method_answer(payment.method),
        paid_at=payment.paid_at,
    )


def _latest_answer(payment: OrderPayment | None) -> LatestPaymentAnswer | None:
    if payment is None:
        return None
    return LatestPaymentAnswer(
        payment_id=payment.payment_id,
        gateway_payment_intent_id=payment.gateway_payment_intent_id,
        client_secret=None,
        status=IntentStatus(payment.status),
        next_action=next_action_answer(payment.next_action),
        last_error=last_error_answer(payment.last_error),
        operation=None,
    )


def _begun_answer(payment: PaymentView) -> LatestPaymentAnswer:
    return LatestPaymentAnswer(
        payment_id=payment.payment_id,
        gateway_payment_intent_id=payment.gateway_payment_intent_id,
        client_secret=payment.client_secret,
        status=IntentStatus(payment.status),
        next_action=next_action_answer(payment.next_action),
        last_error=last_error_answer(payment.last_error),
        operation="UNKNOWN" if payment.operation_unknown else None,
    )
