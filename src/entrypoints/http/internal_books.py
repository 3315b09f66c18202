"""`/internal/v1/…` of the payment service for the order service that compares: what each payment stands at.

Reading only; a POST where the question does not fit into an address.
"""

from typing import Any

from litestar import get, post
from litestar.response.base import ASGIResponse

from domain.shared.statements import ChangedPayments
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.new_payments import ApiRequest
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import read_id
from entrypoints.http.schemas.internal import (
    ChangedPaymentsBody,
    LoggedEventAnswer,
    LoggedEventsAnswer,
    StatementsAnswer,
    StatementsOfOrdersBody,
    StatementsPageBody,
)

_NOTHING = StatementsAnswer(statements=[])


def _operation(operation_id: str, summary: str, answer: Any, answer_example: Any, body: Any) -> Operation:
    return Operation(
        operation_id=operation_id,
        tag="Internal",
        summary=summary,
        answer=answer,
        answer_example=answer_example,
        scopes=("payments:read", "users:any"),
        is_internal=True,
        body=body,
    )


OF_ORDERS = _operation(
    "statementsOfOrders", "The payments of orders", StatementsAnswer, _NOTHING, StatementsOfOrdersBody
)
PAGE = _operation("statementsPage", "Payments by id", StatementsAnswer, _NOTHING, StatementsPageBody)
CHANGED = _operation(
    "changedPayments",
    "Whose payments emitted events",
    ChangedPayments,
    ChangedPayments(order_ids=(), cursor=None, is_last=True),
    ChangedPaymentsBody,
)
EVENTS = _operation(
    "loggedEvents", "A payment's events", LoggedEventsAnswer, LoggedEventsAnswer(events=[]), None
)


@post("/internal/v1/payment-statements/of-orders", **route(OF_ORDERS))
async def statements_of_orders(request: ApiRequest) -> ASGIResponse:
    body = (await read_json(request, StatementsOfOrdersBody)).value
    found = await container_of(request.app).payments.statements.of_orders(body.order_ids)
    return respond(result(StatementsAnswer(statements=list(found))))


@post("/internal/v1/payment-statements/page", **route(PAGE))
async def statements_page(request: ApiRequest) -> ASGIResponse:
    body = (await read_json(request, StatementsPageBody)).value
    found = await container_of(request.app).payments.statements.page(
        after=body.after, since=body.since, until=body.until, limit=body.limit
    )
    return respond(result(StatementsAnswer(statements=list(found))))


@post("/internal/v1/payment-statements/changed", **route(CHANGED))
async def changed_payments(request: ApiRequest) -> ASGIResponse:
    body = (await read_json(request, ChangedPaymentsBody)).value
    changed = await container_of(request.app).payments.statements.changed(
        after=body.after, before=body.before, limit=body.limit
    )
    return respond(result(changed))


@get("/internal/v1/payments/{paymentId:str}/events", **route(EVENTS))
async def logged_events(request: ApiRequest) -> ASGIResponse:
    events = await container_of(request.app).payments.logged_events(read_id(request, "paymentId"))
    answers = [
        LoggedEventAnswer(
            id=event.id,
            topic=event.topic,
            stream=event.stream,
            sequence=event.sequence,
            type=event.type,
            payload=event.payload.decode(),
            headers=dict(event.headers),
        )
        for event in events
    ]
    return respond(result(LoggedEventsAnswer(events=answers)))


ROUTES = [statements_of_orders, statements_page, changed_payments, logged_events]
