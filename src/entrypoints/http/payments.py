"""`/v1/payments`: translate, call one use case, translate back."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, get, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.payments.line_data import LineFault
from domain.payments.payment import Payment
from domain.payments.use_cases.cancel_payment import CancelPayment
from domain.payments.use_cases.capture_payment import CapturePayment
from domain.payments.use_cases.confirm_payment import ConfirmPayment
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, page_of, read_id, read_query
from entrypoints.http.schemas.parts import last_error_answer, next_action_answer
from entrypoints.http.schemas.payments import (
    CancelPaymentBody,
    CapturePaymentBody,
    ConfirmPaymentBody,
    LineFaultAnswer,
    ListPaymentsQuery,
    PaymentAnswer,
    PaymentPage,
    RefreshPaymentBody,
)

ApiRequest = Request[Caller, Any, Any]

METHOD_PROBLEMS = (
    "payment_method_unknown",
    "payment_method_not_owned",
    "payment_method_not_saved",
    "user_required",
    "off_session_forbids_saving",
)
_CHANGE_PROBLEMS = {
    404: ("payment_not_found",),
    409: ("payment_state_forbids", "operation_in_flight"),
    422: ("gateway_refused",),
    503: ("gateway_unavailable",),
}

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
    problems={**_CHANGE_PROBLEMS, 422: (*METHOD_PROBLEMS, "gateway_refused")},
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
        line_items=payment.line_items,
        line_item_faults=line_fault_answers(payment.line_item_faults),
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


def line_fault_answers(faults: Sequence[LineFault]) -> list[LineFaultAnswer]:
    return [LineFaultAnswer(pointer=fault.pointer, message=fault.message) for fault in faults]
