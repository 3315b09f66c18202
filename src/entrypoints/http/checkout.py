"""`/v1/orders/{orderId}/confirm` and `/payments`: what a customer does to pay."""

from litestar import post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.orders.use_cases.confirm_order import ConfirmOrder
from domain.orders.use_cases.retry_payment import RetryPayment
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, order_result, read_order_id
from entrypoints.http.preconditions import read_if_match
from entrypoints.http.schemas.orders import CheckoutBody, OrderAnswer

_CHECKOUT_PROBLEMS = {
    404: ("order_not_found",),
    409: (
        "order_state_forbids",
        "stock_insufficient",
        "checkout_in_progress",
        "payment_in_progress",
        "payment_state_forbids",
    ),
    422: (
        "order_terms_differ",
        "currency_unsupported",
        "amount_too_small",
        "amount_too_large",
        "amount_not_representable",
        "payment_method_unknown",
        "payment_method_not_owned",
        "payment_method_not_saved",
        "user_required",
        "off_session_forbids_saving",
        "gateway_refused",
    ),
    503: ("gateway_unavailable",),
}

CONFIRM = Operation(
    operation_id="confirmOrder",
    tag="Orders",
    summary="Checkout is complete: begin the payment",
    description="A decline is no error: the answer's `payment` says what to do next. With `If-Match`, only the version "
    "that the customer was shown is confirmed.",
    scopes=("orders:write",),
    body=CheckoutBody,
    body_examples={"card": examples.CHECKOUT},
    answer=OrderAnswer,
    answer_example=examples.ORDER,
    key="required",
    if_match="optional",
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


@post("/v1/orders/{orderId:str}/confirm", **route(CONFIRM))
async def confirm_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    versions = read_if_match(request, required=False)
    body = await read_json(request, CheckoutBody)
    orders = container_of(request.app).orders

    async def run(request_id: str) -> Answer:
        done = await orders.confirm_order(
            ConfirmOrder(
                request_id=request_id,
                caller=request.user,
                order_id=order_id,
                versions=versions,
                capture_method=body.value.capture_method,
                return_url=body.value.return_url,
                payment_method_token=body.value.payment_method_token,
                setup_future_usage=body.value.setup_future_usage,
                off_session=body.value.off_session,
            )
        )
        bind_contextvars(payment_id=done.payment.payment_id)
        return order_result(done.order, done.payment)

    return await idempotent(request, orders.idempotency, body, run, key_required=True)


@post("/v1/orders/{orderId:str}/payments", **route(RETRY))
async def retry_payment(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
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
                setup_future_usage=body.value.setup_future_usage,
                off_session=body.value.off_session,
            )
        )
        bind_contextvars(payment_id=done.payment.payment_id)
        return order_result(done.order, done.payment)

    return await idempotent(request, orders.idempotency, body, run, key_required=True)


ROUTES = [confirm_order, retry_payment]
