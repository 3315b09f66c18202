"""`/v1/payment-methods`: translate, call one use case, translate back."""

from typing import Any

from litestar import Request, delete, get
from litestar.response.base import ASGIResponse

from domain.payments.saved_method import SavedMethod
from domain.shared.callers import Caller
from entrypoints.http import examples
from entrypoints.http.answers import nothing, respond, result
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, encode_cursor, read_id, read_query
from entrypoints.http.schemas.payment_methods import (
    ListPaymentMethodsQuery,
    PaymentMethodAnswer,
    PaymentMethodPage,
)

ApiRequest = Request[Caller, Any, Any]

LIST = Operation(
    operation_id="listPaymentMethods",
    tag="Payment methods",
    summary="A user's saved payment methods, newest first",
    description="Without `users:any` the caller's own. They are the gateway's: nothing of them is kept here.",
    scopes=("payments:read",),
    query=ListPaymentMethodsQuery,
    answer=PaymentMethodPage,
    answer_example=PaymentMethodPage(items=[examples.PAYMENT_METHOD], next_cursor=None),
    problems={422: ("user_required",), 503: ("gateway_unavailable",)},
)
DETACH = Operation(
    operation_id="detachPaymentMethod",
    tag="Payment methods",
    summary="Take a saved payment method from its user, for good",
    description="It cannot be used again. One that was detached before stays so, with the same answer.",
    scopes=("payments:write",),
    answer=None,
    answer_example=None,
    status=204,
    problems={
        404: ("payment_method_not_found",),
        422: ("gateway_refused",),
        503: ("gateway_unavailable",),
    },
)


@get("/v1/payment-methods", **route(LIST))
async def list_payment_methods(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListPaymentMethodsQuery)
    methods, place = await container_of(request.app).payments.list_saved_methods(
        request.user, user_id=query.user_id, after=decode_cursor(query.cursor), limit=query.limit
    )
    next_cursor = None if place is None else encode_cursor(place)
    items = [payment_method_answer(method) for method in methods]
    return respond(result(PaymentMethodPage(items=items, next_cursor=next_cursor)))


@delete("/v1/payment-methods/{paymentMethodToken:str}", **route(DETACH))
async def detach_payment_method(request: ApiRequest) -> ASGIResponse:
    token = read_id(request, "paymentMethodToken")
    await container_of(request.app).payments.detach_saved_method(request.user, token)
    return respond(nothing())


ROUTES = [list_payment_methods, detach_payment_method]


def payment_method_answer(method: SavedMethod) -> PaymentMethodAnswer:
    return PaymentMethodAnswer(
        payment_method_token=method.token,
        type=method.type,
        brand=method.brand,
        last4=method.last4,
        exp_month=method.exp_month,
        exp_year=method.exp_year,
        created_at=method.created_at,
    )
