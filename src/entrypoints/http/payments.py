"""`/v1/payments`: translate, call one use case, translate back."""

from typing import Any

from litestar import Request, get, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.payments.gateway import Address, Customer, LineItem
from domain.payments.payment import Payment
from domain.payments.use_cases.cancel_payment import CancelPayment
from domain.payments.use_cases.capture_payment import CapturePayment
from domain.payments.use_cases.confirm_payment import ConfirmPayment
from domain.payments.use_cases.create_payment import CreatePayment
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import Body, read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, page_of, read_id, read_query
from entrypoints.http.schemas.parts import (
    AddressBody,
    CustomerBody,
    LineBody,
    last_error_answer,
    next_action_answer,
)
from entrypoints.http.schemas.payments import (
    CancelPaymentBody,
    CapturePaymentBody,
    ConfirmPaymentBody,
    CreateIntentBody,
    CreatePaymentBody,
    ListPaymentsQuery,
    PaymentAnswer,
    PaymentPage,
    RefreshPaymentBody,
)

ApiRequest = Request[Caller, Any, Any]

_METHOD_PROBLEMS = (
    "payment_method_unknown",
    "payment_method_not_owned",
    "payment_method_not_saved",
    "user_required",
    "off_session_forbids_saving",
)
_CREATE_PROBLEMS = {
    403: ("user_differs",),
    409: ("payment_in_progress",),
    422: (
        "currency_unsupported",
        "amount_too_small",
        "amount_too_large",
        "amount_not_representable",
        "order_unknown",
        "order_terms_differ",
        "statement_descriptor_invalid",
        *_METHOD_PROBLEMS,
        "gateway_refused",
    ),
    503: ("orders_unavailable", "gateway_unavailable"),
}
_CHANGE_PROBLEMS = {
    404: ("payment_not_found",),
    409: ("payment_state_forbids", "operation_in_flight"),
    422: ("gateway_refused",),
    503: ("gateway_unavailable",),
}

CREATE_INTENT = Operation(
    operation_id="createPaymentIntent",
    tag="Payments",
    summary="Begin a payment that the client completes",
    description="The order is asked back before anything is created: amount, currency, and whether it may be paid.",
    scopes=("payments:write",),
    body=CreateIntentBody,
    body_examples={"order": examples.CREATE_INTENT},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    status=201,
    key="required",
    problems=_CREATE_PROBLEMS,
)
CREATE = Operation(
    operation_id="createPayment",
    tag="Payments",
    summary="Create and confirm a payment in one call",
    description="A decline is no error: 201 with `REQUIRES_PAYMENT_METHOD` and `lastError`.",
    scopes=("payments:write",),
    body=CreatePaymentBody,
    body_examples={"card": examples.CREATE_PAYMENT},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    status=201,
    key="required",
    problems=_CREATE_PROBLEMS,
)
CONFIRM = Operation(
    operation_id="confirmPayment",
    tag="Payments",
    summary="Confirm a payment, for the first time or once more",
    scopes=("payments:write",),
    body=ConfirmPaymentBody,
    body_examples={"card": ConfirmPaymentBody(payment_method_token="pm_card_visa")},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    key="required",
    problems={**_CHANGE_PROBLEMS, 422: (*_METHOD_PROBLEMS, "gateway_refused")},
)
CAPTURE = Operation(
    operation_id="capturePayment",
    tag="Payments",
    summary="Take an authorized amount, all of it or a part",
    scopes=("payments:write", "users:any"),
    body=CapturePaymentBody,
    body_examples={"all": CapturePaymentBody(), "part": CapturePaymentBody(amount=990)},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    key="required",
    problems={
        **_CHANGE_PROBLEMS,
        409: (*_CHANGE_PROBLEMS[409], "multicapture_unavailable", "authorization_expired"),
        422: ("capture_exceeds_authorized", "gateway_refused"),
    },
)
CANCEL = Operation(
    operation_id="cancelPayment",
    tag="Payments",
    summary="Cancel a payment; an authorization is voided by it",
    description="Captured in part before, only the rest is released, and the payment is `SUCCEEDED` with that part.",
    scopes=("payments:write",),
    body=CancelPaymentBody,
    body_examples={"reason": CancelPaymentBody(reason="The customer changed their mind")},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    key="required",
    problems=_CHANGE_PROBLEMS,
)
REFRESH = Operation(
    operation_id="refreshPayment",
    tag="Payments",
    summary="A payment with what the gateway holds of it now",
    description="For the client whose customer is back before the webhook is. Asked more often than every two "
    "seconds, it answers what is known.",
    scopes=("payments:read",),
    body=RefreshPaymentBody,
    body_examples={"empty": RefreshPaymentBody()},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    key="optional",
    problems={404: ("payment_not_found",), 503: ("gateway_unavailable",)},
)
GET = Operation(
    operation_id="getPayment",
    tag="Payments",
    summary="A payment",
    scopes=("payments:read",),
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    problems={404: ("payment_not_found",)},
)
LIST = Operation(
    operation_id="listPayments",
    tag="Payments",
    summary="Payments, newest first",
    scopes=("payments:read",),
    query=ListPaymentsQuery,
    answer=PaymentPage,
    answer_example=PaymentPage(items=[examples.PAYMENT], next_cursor=None),
)


@post("/v1/payments/intents", **route(CREATE_INTENT))
async def create_payment_intent(request: ApiRequest) -> ASGIResponse:
    return await _create(request, await read_json(request, CreateIntentBody), confirm=False)


@post("/v1/payments", **route(CREATE))
async def create_payment(request: ApiRequest) -> ASGIResponse:
    return await _create(request, await read_json(request, CreatePaymentBody), confirm=True)


async def _create(
    request: ApiRequest, body: Body[CreateIntentBody] | Body[CreatePaymentBody], *, confirm: bool
) -> ASGIResponse:
    container = container_of(request.app)
    wanted = body.value
    bind_contextvars(order_id=wanted.order_id)

    async def run(request_id: str) -> Answer:
        payment = await container.payments.create_payment(
            CreatePayment(
                request_id=request_id,
                caller=request.user,
                order_id=wanted.order_id,
                amount=wanted.amount,
                currency=wanted.currency,
                confirm=confirm,
                return_url=wanted.return_url or container.settings.return_url,
                capture_method=wanted.capture_method,
                user_id=wanted.user_id,
                description=wanted.description,
                lines=tuple(_line(line) for line in wanted.lines),
                shipping_amount=wanted.shipping_amount,
                discount_amount=wanted.discount_amount,
                tax_amount=wanted.tax_amount,
                customer=_customer(wanted.customer),
                payment_method_token=wanted.payment_method_token,
                setup_future_usage=wanted.setup_future_usage,
                off_session=isinstance(wanted, CreatePaymentBody) and wanted.off_session,
                receipt_email=wanted.receipt_email,
                statement_descriptor_suffix=wanted.statement_descriptor_suffix,
            )
        )
        bind_contextvars(payment_id=payment.payment_id)
        location = f"/v1/payments/{payment.payment_id}"
        return result(payment_answer(payment), status=201, headers={"Location": location})

    return await idempotent(request, container.payments.idempotency, body, run, key_required=True)


@post("/v1/payments/{paymentId:str}/confirm", **route(CONFIRM))
async def confirm_payment(request: ApiRequest) -> ASGIResponse:
    payment_id = _payment_id(request)
    body = await read_json(request, ConfirmPaymentBody)
    container = container_of(request.app)

    async def run(request_id: str) -> Answer:
        payment = await container.payments.confirm_payment(
            ConfirmPayment(
                request_id=request_id,
                caller=request.user,
                payment_id=payment_id,
                return_url=body.value.return_url or container.settings.return_url,
                payment_method_token=body.value.payment_method_token,
                setup_future_usage=body.value.setup_future_usage,
                off_session=body.value.off_session,
            )
        )
        return result(payment_answer(payment))

    return await idempotent(request, container.payments.idempotency, body, run, key_required=True)


@post("/v1/payments/{paymentId:str}/capture", **route(CAPTURE))
async def capture_payment(request: ApiRequest) -> ASGIResponse:
    payment_id = _payment_id(request)
    body = await read_json(request, CapturePaymentBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        payment = await payments.capture_payment(
            CapturePayment(
                request_id=request_id,
                caller=request.user,
                payment_id=payment_id,
                amount=body.value.amount,
                final=body.value.final,
            )
        )
        return result(payment_answer(payment))

    return await idempotent(request, payments.idempotency, body, run, key_required=True)


@post("/v1/payments/{paymentId:str}/cancel", **route(CANCEL))
async def cancel_payment(request: ApiRequest) -> ASGIResponse:
    payment_id = _payment_id(request)
    body = await read_json(request, CancelPaymentBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        payment = await payments.cancel_payment(
            CancelPayment(
                request_id=request_id,
                caller=request.user,
                payment_id=payment_id,
                reason=body.value.reason,
            )
        )
        return result(payment_answer(payment))

    return await idempotent(request, payments.idempotency, body, run, key_required=True)


@post("/v1/payments/{paymentId:str}/refresh", **route(REFRESH))
async def refresh_payment(request: ApiRequest) -> ASGIResponse:
    payment_id = _payment_id(request)
    body = await read_json(request, RefreshPaymentBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        return result(payment_answer(await payments.refresh_payment(request.user, payment_id)))

    return await idempotent(request, payments.idempotency, body, run, key_required=False)


@get("/v1/payments/{paymentId:str}", **route(GET))
async def get_payment(request: ApiRequest) -> ASGIResponse:
    payment = await container_of(request.app).payments.get_payment(request.user, _payment_id(request))
    return respond(result(payment_answer(payment)))


@get("/v1/payments", **route(LIST))
async def list_payments(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListPaymentsQuery)
    payments = await container_of(request.app).payments.list_payments(
        request.user,
        order_id=query.order_id,
        after=decode_cursor(query.cursor),
        limit=query.limit + 1,
    )
    page, next_cursor = page_of(payments, query.limit, lambda payment: payment.payment_id)
    items = [payment_answer(payment) for payment in page]
    return respond(result(PaymentPage(items=items, next_cursor=next_cursor)))


ROUTES = [
    create_payment_intent,
    create_payment,
    confirm_payment,
    capture_payment,
    cancel_payment,
    refresh_payment,
    get_payment,
    list_payments,
]


def _payment_id(request: ApiRequest) -> str:
    payment_id = read_id(request, "paymentId")
    bind_contextvars(payment_id=payment_id)
    return payment_id


def _line(line: LineBody) -> LineItem:
    return LineItem(
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        discount_amount=line.discount_amount,
        tax_amount=line.tax_amount,
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


def payment_answer(payment: Payment) -> PaymentAnswer:
    return PaymentAnswer(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        user_id=payment.user_id,
        amount=payment.amount,
        currency=payment.currency,
        status=payment.status,
        gateway=payment.gateway,
        gateway_payment_intent_id=payment.intent_id,
        client_secret=payment.client_secret,
        next_action=next_action_answer(payment.next_action),
        operation="UNKNOWN" if payment.operation_unknown else None,
        capture_method=payment.capture_method,
        setup_future_usage=payment.setup_future_usage,
        capture_before=payment.capture_before,
        multicapture=payment.multicapture,
        amount_capturable=payment.amount_capturable,
        amount_captured=payment.amount_captured,
        amount_refunded=payment.amount_refunded,
        last_error=last_error_answer(payment.last_error),
        cancellation_reason=payment.cancellation_reason if payment.status == "CANCELED" else None,
        attention=payment.attention,
        version=payment.version,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
    )
