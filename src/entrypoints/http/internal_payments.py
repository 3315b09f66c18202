"""`/internal/v1/…` of the payment service: what the order service asks of it, at the internal listener alone.

Each call that makes something is a PUT of an id that the order service has chosen and saved before; what follows
from it is the same at every repetition, so that no `Idempotency-Key` is needed.
"""

from typing import Any

from litestar import get, put
from litestar.response.base import ASGIResponse
from msgspec import ValidationError, convert
from structlog.contextvars import bind_contextvars

from domain.payments.use_cases.cancel_payment import CancelPayment
from domain.payments.use_cases.confirm_payment import ConfirmPayment
from domain.payments.use_cases.create_refund import CreateRefund
from domain.shared.timeline import TimelineEntry
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.new_payments import ApiRequest, create_command
from entrypoints.http.operations import Operation, route
from entrypoints.http.payments import payment_answer
from entrypoints.http.problems import Problem
from entrypoints.http.queries import read_id
from entrypoints.http.refund_answers import refund_answer
from entrypoints.http.schemas.internal import (
    PutCancellationBody,
    PutConfirmationBody,
    PutPaymentBody,
    PutRefundBody,
    RequestId,
    StoryAnswer,
)
from entrypoints.http.schemas.payments import PaymentAnswer
from entrypoints.http.schemas.refunds import RefundAnswer

_PAYING = ("payments:write", "users:any")


def _operation(operation_id: str, summary: str, answer: Any, answer_example: Any, **more: Any) -> Operation:
    return Operation(
        operation_id=operation_id,
        tag="Internal",
        summary=summary,
        answer=answer,
        answer_example=answer_example,
        is_internal=True,
        **more,
    )


PUT_PAYMENT = _operation(
    "putPayment",
    "Make a payment for an order, and confirm it",
    PaymentAnswer,
    examples.PAYMENT,
    scopes=_PAYING,
    body=PutPaymentBody,
)
PUT_CONFIRMATION = _operation(
    "putConfirmation",
    "Confirm a payment once more",
    PaymentAnswer,
    examples.PAYMENT,
    scopes=_PAYING,
    body=PutConfirmationBody,
)
PUT_CANCELLATION = _operation(
    "putCancellation",
    "Cancel a payment, or void its authorization",
    PaymentAnswer,
    examples.PAYMENT,
    scopes=_PAYING,
    body=PutCancellationBody,
)
PUT_REFUND = _operation(
    "putRefund",
    "Give money of a payment back",
    RefundAnswer,
    examples.REFUND,
    scopes=("users:any",),
    body=PutRefundBody,
)
GET_STORY = _operation(
    "getStory",
    "What became of an order's payments",
    StoryAnswer,
    StoryAnswer(entries=[]),
    scopes=("payments:read", "users:any"),
)


@put("/internal/v1/payments/{requestId:str}", **route(PUT_PAYMENT))
async def put_payment(request: ApiRequest) -> ASGIResponse:
    request_id = _request_id(request)
    wanted = (await read_json(request, PutPaymentBody)).value
    bind_contextvars(order_id=wanted.order_id)
    command = create_command(request, wanted, request_id, confirm=wanted.confirm)
    payment = await container_of(request.app).payments.create_payment(command)
    bind_contextvars(payment_id=payment.payment_id)
    return respond(result(payment_answer(payment)))


@put("/internal/v1/payments/{paymentId:str}/confirmations/{requestId:str}", **route(PUT_CONFIRMATION))
async def put_confirmation(request: ApiRequest) -> ASGIResponse:
    body = (await read_json(request, PutConfirmationBody)).value
    container = container_of(request.app)
    payment = await container.payments.confirm_payment(
        ConfirmPayment(
            request_id=_request_id(request),
            caller=request.user,
            payment_id=_payment_id(request),
            return_url=body.return_url or container.settings.return_url,
            payment_method_token=body.payment_method_token,
            setup_future_usage=body.setup_future_usage,
            off_session=body.off_session,
        )
    )
    return respond(result(payment_answer(payment)))


@put("/internal/v1/payments/{paymentId:str}/cancellations/{requestId:str}", **route(PUT_CANCELLATION))
async def put_cancellation(request: ApiRequest) -> ASGIResponse:
    body = (await read_json(request, PutCancellationBody)).value
    payment = await container_of(request.app).payments.cancel_payment(
        CancelPayment(
            request_id=_request_id(request),
            caller=request.user,
            payment_id=_payment_id(request),
            reason=body.reason,
            gives_way=body.gives_way,
        )
    )
    return respond(result(payment_answer(payment)))


@put("/internal/v1/refunds/{requestId:str}", **route(PUT_REFUND))
async def put_refund(request: ApiRequest) -> ASGIResponse:
    body = (await read_json(request, PutRefundBody)).value
    bind_contextvars(payment_id=body.payment_id)
    payments = container_of(request.app).payments
    refund = await payments.create_refund(
        CreateRefund(
            request_id=_request_id(request),
            caller=request.user,
            payment_id=body.payment_id,
            amount=body.amount,
            currency=None,
            reason=body.reason,
        )
    )
    return respond(result(refund_answer(refund, payments.refund_policy)))


@get("/internal/v1/orders/{orderId:str}/story", **route(GET_STORY))
async def get_story(request: ApiRequest) -> ASGIResponse:
    entries: list[TimelineEntry] = list(
        await container_of(request.app).payments.read_story(read_id(request, "orderId"))
    )
    return respond(result(StoryAnswer(entries=entries)))


ROUTES = [put_payment, put_confirmation, put_cancellation, put_refund, get_story]


def _request_id(request: ApiRequest) -> str:
    try:
        return convert(request.path_params["requestId"], RequestId)
    except ValidationError as error:
        raise Problem(400, "malformed", "The id in the address is none.") from error


def _payment_id(request: ApiRequest) -> str:
    payment_id = read_id(request, "paymentId")
    bind_contextvars(payment_id=payment_id)
    return payment_id
