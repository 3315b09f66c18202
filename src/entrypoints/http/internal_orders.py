"""`/internal/v1/…` of the order service: what the payment service asks of it, at the internal listener alone.

The payment service owns the delivery of its events, so it asks what the order service has of them. What it asks
of an order, it asks by the public `payment-terms`.
"""

from typing import Any

from litestar import get, post
from litestar.response.base import ASGIResponse

from adapters.services.identities import DELIVERY
from domain.orders.webhooks.ports import EventToSend
from entrypoints.http.answers import respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest
from entrypoints.http.problems import Problem
from entrypoints.http.schemas.internal import (
    CompareAnswer,
    CompareBody,
    DoneAnswer,
    ForksBody,
    WebhookEventsBody,
)
from outbox import EventKey, Follower, Held


def _operation(operation_id: str, summary: str, answer: Any, answer_example: Any, body: Any) -> Operation:
    return Operation(
        operation_id=operation_id,
        tag="Internal",
        summary=summary,
        answer=answer,
        answer_example=answer_example,
        scopes=(DELIVERY,),
        is_internal=True,
        body=body,
    )


COMPARE = _operation(
    "compareEvents",
    "What a consumer has of these events",
    CompareAnswer,
    CompareAnswer(missing=[], applied={}),
    CompareBody,
)
PARK = _operation("parkForkedStreams", "Park streams that have forked", DoneAnswer, DoneAnswer(), ForksBody)
HELD = _operation(
    "getHeldEvents", "What lies in a consumer's inbox", Held, Held(0, 0, 0, 0, None, None), None
)
QUEUE = _operation(
    "queueWebhookEvents",
    "Hand events over to be sent to those who want them",
    DoneAnswer,
    DoneAnswer(),
    WebhookEventsBody,
)


@post("/internal/v1/consumers/{consumer:str}/compare", **route(COMPARE))
async def compare_events(request: ApiRequest) -> ASGIResponse:
    view = _view(request)
    body = (await read_json(request, CompareBody)).value
    answer = await view.compare([EventKey(event.id, event.stream, event.sequence) for event in body.events])
    return respond(result(CompareAnswer(missing=sorted(answer.missing), applied=dict(answer.applied))))


@post("/internal/v1/consumers/{consumer:str}/forks", **route(PARK))
async def park_forked_streams(request: ApiRequest) -> ASGIResponse:
    view = _view(request)
    body = (await read_json(request, ForksBody)).value
    await view.park_forked(body.streams)
    return respond(result(DoneAnswer()))


@get("/internal/v1/consumers/{consumer:str}/held", **route(HELD))
async def get_held_events(request: ApiRequest) -> ASGIResponse:
    held = await _view(request).held()
    return respond(result(held))


@post("/internal/v1/webhook-events", **route(QUEUE))
async def queue_webhook_events(request: ApiRequest) -> ASGIResponse:
    body = (await read_json(request, WebhookEventsBody)).value
    await container_of(request.app).orders.webhooks.queue(
        [
            EventToSend(
                event_id=event.event_id,
                event_type=event.event_type,
                order_id=event.order_id,
                body=event.body,
            )
            for event in body.events
        ]
    )
    return respond(result(DoneAnswer()))


ROUTES = [compare_events, park_forked_streams, get_held_events, queue_webhook_events]


def _view(request: ApiRequest) -> Follower:
    """The consumer that the address names, of those that follow the payments. Raises Problem."""
    view = container_of(request.app).orders.consumers.get(request.path_params["consumer"])
    if view is None:
        raise Problem(404, "consumer_unknown", "The order service has no such consumer.")
    return view
