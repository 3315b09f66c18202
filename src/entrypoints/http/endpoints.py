"""`/v1/webhook-endpoints` and `/v1/webhook-deliveries`: what operators do with webhooks of ours."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.response.base import ASGIResponse

from domain.orders.use_cases.manage_endpoints import ChangeEndpoint, RegisterEndpoint
from domain.orders.use_cases.replay_deliveries import ReplayDeliveries
from domain.orders.webhooks.delivery import Delivery, DeliveryStatus
from domain.orders.webhooks.endpoint import WebhookEndpoint
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http.answers import nothing, respond, result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, page_of, read_id, read_query
from entrypoints.http.schemas.endpoints import (
    AttemptAnswer,
    ChangeEndpointBody,
    DeliveryAnswer,
    DeliveryPage,
    EndpointAnswer,
    EndpointList,
    EndpointWithSecretAnswer,
    ListDeliveriesQuery,
    RegisterEndpointBody,
    ReplayAnswer,
    ReplayBody,
)
from entrypoints.http.schemas.values import Strict
from entrypoints.outgoing_webhooks import OutgoingWebhooks

ApiRequest = Request[Caller, Any, Any]


class NoBody(Strict):
    """Nothing is said."""


_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ENDPOINT = EndpointWithSecretAnswer(
    endpoint_id="whe_01jnq3kz5x8w9y7v6t5s4r3q2p",
    url="https://shop.example/hooks",
    event_types=["*"],
    description="the shop",
    enabled=True,
    disabled_reason=None,
    disabled_at=None,
    failing_since=None,
    configured=False,
    previous_secret_until=None,
    created_at=_AT,
    updated_at=_AT,
    secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
)
_SHOWN = EndpointAnswer(**{name: getattr(_ENDPOINT, name) for name in EndpointAnswer.__struct_fields__})
_DELIVERY = DeliveryAnswer(
    delivery_id="whd_01jnq3kz5x8w9y7v6t5s4r3q2p",
    endpoint_id=_ENDPOINT.endpoint_id,
    event_id="01955b3d-4c5e-7f00-8000-000000000001",
    event_type="PaymentSucceeded",
    order_id="ord_01jnq3kz5x8w9y7v6t5s4r3q2p",
    status=DeliveryStatus.DELIVERED,
    next_attempt_at=None,
    attempts=[AttemptAnswer(at=_AT, status=200, latency_ms=41, error=None, answer="ok")],
    created_at=_AT,
    finished_at=_AT,
)
_READ, _WRITE = ("operations:read",), ("operations:write",)
_UNKNOWN = {404: ("webhook_endpoint_not_found",)}
_CHANGE_PROBLEMS = {**_UNKNOWN, 409: ("webhook_endpoint_configured",)}


def _operation(operation_id: str, summary: str, **more: Any) -> Operation:
    return Operation(operation_id=operation_id, tag="Webhook endpoints", summary=summary, **more)


REGISTER = _operation(
    "registerWebhookEndpoint",
    "Have events sent to an address",
    description="The secret is shown here and never again. docs/webhooks.md says what a receiver sees.",
    scopes=_WRITE,
    body=RegisterEndpointBody,
    body_examples={"all": RegisterEndpointBody(url="https://shop.example/hooks", event_types=["*"])},
    answer=EndpointWithSecretAnswer,
    answer_example=_ENDPOINT,
    status=201,
    key="optional",
    problems={422: ("webhook_url_refused",)},
)
LIST = _operation(
    "listWebhookEndpoints",
    "Every endpoint, the oldest first",
    scopes=_READ,
    answer=EndpointList,
    answer_example=EndpointList(items=[_SHOWN], next_cursor=None),
)
GET = _operation(
    "getWebhookEndpoint",
    "A webhook endpoint",
    scopes=_READ,
    answer=EndpointAnswer,
    answer_example=_SHOWN,
    problems=_UNKNOWN,
)
CHANGE = _operation(
    "changeWebhookEndpoint",
    "Change an endpoint, disable or enable it",
    description="While it is disabled its deliveries wait; enabled again, they go on where they were.",
    scopes=_WRITE,
    body=ChangeEndpointBody,
    body_examples={"enable": ChangeEndpointBody(enabled=True)},
    answer=EndpointAnswer,
    answer_example=_SHOWN,
    problems={**_CHANGE_PROBLEMS, 422: ("webhook_url_refused",)},
)
DELETE = _operation(
    "deleteWebhookEndpoint",
    "Send nothing there any more",
    scopes=_WRITE,
    answer=None,
    answer_example=None,
    status=204,
    problems=_CHANGE_PROBLEMS,
)
ROTATE = _operation(
    "rotateWebhookSecret",
    "A new secret; the one before signs too for 24 hours",
    scopes=_WRITE,
    body=NoBody,
    body_examples={"nothing": NoBody()},
    answer=EndpointWithSecretAnswer,
    answer_example=_ENDPOINT,
    key="optional",
    problems=_CHANGE_PROBLEMS,
)
DELIVERIES = _operation(
    "listWebhookDeliveries",
    "An endpoint's deliveries, newest first",
    scopes=_READ,
    query=ListDeliveriesQuery,
    answer=DeliveryPage,
    answer_example=DeliveryPage(items=[_DELIVERY], next_cursor=None),
    problems=_UNKNOWN,
)
REPLAY_ALL = _operation(
    "replayWebhookDeliveries",
    "Send an endpoint's failed deliveries of a time again",
    scopes=_WRITE,
    body=ReplayBody,
    body_examples={"since": ReplayBody(since=_AT)},
    answer=ReplayAnswer,
    answer_example=ReplayAnswer(replayed=3),
    key="optional",
    problems=_UNKNOWN,
)
REPLAY = _operation(
    "replayWebhookDelivery",
    "Send one delivery again, with the same `webhook-id`",
    scopes=_WRITE,
    body=NoBody,
    body_examples={"nothing": NoBody()},
    answer=DeliveryAnswer,
    answer_example=_DELIVERY,
    key="optional",
    problems={404: ("webhook_delivery_not_found",)},
)


@post("/v1/webhook-endpoints", **route(REGISTER))
async def register_endpoint(request: ApiRequest) -> ASGIResponse:
    body = await read_json(request, RegisterEndpointBody)

    async def run(request_id: str) -> Answer:
        endpoint = await _webhooks(request).endpoints.register(
            RegisterEndpoint(
                caller=request.user,
                request_id=request_id,
                url=body.value.url,
                event_types=body.value.event_types,
                description=body.value.description,
            )
        )
        location = {"Location": f"/v1/webhook-endpoints/{endpoint.endpoint_id}"}
        return result(_with_secret(endpoint), status=201, headers=location)

    store = container_of(request.app).orders.idempotency
    return await idempotent(request, store, body, run, key_required=False)


@get("/v1/webhook-endpoints", **route(LIST))
async def list_endpoints(request: ApiRequest) -> ASGIResponse:
    endpoints = await _webhooks(request).endpoints.all()
    return respond(result(EndpointList(items=[_shown(one) for one in endpoints], next_cursor=None)))


@get("/v1/webhook-endpoints/{endpointId:str}", **route(GET))
async def get_endpoint(request: ApiRequest) -> ASGIResponse:
    return respond(result(_shown(await _webhooks(request).endpoints.get(read_id(request, "endpointId")))))


@patch("/v1/webhook-endpoints/{endpointId:str}", **route(CHANGE))
async def change_endpoint(request: ApiRequest) -> ASGIResponse:
    endpoint_id = read_id(request, "endpointId")
    changes = (await read_json(request, ChangeEndpointBody)).value
    endpoint = await _webhooks(request).endpoints.change(
        ChangeEndpoint(caller=request.user, endpoint_id=endpoint_id, **msgspec.structs.asdict(changes))
    )
    return respond(result(_shown(endpoint)))


@delete("/v1/webhook-endpoints/{endpointId:str}", **route(DELETE))
async def delete_endpoint(request: ApiRequest) -> ASGIResponse:
    await _webhooks(request).endpoints.delete(request.user, read_id(request, "endpointId"))
    return respond(nothing())


@post("/v1/webhook-endpoints/{endpointId:str}/rotate-secret", **route(ROTATE))
async def rotate_secret(request: ApiRequest) -> ASGIResponse:
    endpoint_id = read_id(request, "endpointId")
    body = await read_json(request, NoBody)

    async def run(request_id: str) -> Answer:
        return result(
            _with_secret(
                await _webhooks(request).endpoints.rotate_secret(request.user, endpoint_id, request_id)
            )
        )

    store = container_of(request.app).orders.idempotency
    return await idempotent(request, store, body, run, key_required=False)


@get("/v1/webhook-endpoints/{endpointId:str}/deliveries", **route(DELIVERIES))
async def list_deliveries(request: ApiRequest) -> ASGIResponse:
    query = read_query(request, ListDeliveriesQuery)
    found = await _webhooks(request).deliveries.list(
        read_id(request, "endpointId"),
        status=query.status,
        after=decode_cursor(query.cursor),
        limit=query.limit + 1,
    )
    page, next_cursor = page_of(found, query.limit, lambda delivery: delivery.delivery_id)
    return respond(result(DeliveryPage(items=[_delivery(one) for one in page], next_cursor=next_cursor)))


@post("/v1/webhook-endpoints/{endpointId:str}/replay", **route(REPLAY_ALL))
async def replay_deliveries(request: ApiRequest) -> ASGIResponse:
    endpoint_id = read_id(request, "endpointId")
    body = await read_json(request, ReplayBody)

    async def run(_: str) -> Answer:
        replayed = await _webhooks(request).deliveries.replay_all(
            ReplayDeliveries(
                caller=request.user,
                endpoint_id=endpoint_id,
                since=body.value.since,
                until=body.value.until,
                also_delivered=body.value.include_delivered,
            )
        )
        return result(ReplayAnswer(replayed=replayed))

    store = container_of(request.app).orders.idempotency
    return await idempotent(request, store, body, run, key_required=False)


@post("/v1/webhook-deliveries/{deliveryId:str}/replay", **route(REPLAY))
async def replay_delivery(request: ApiRequest) -> ASGIResponse:
    delivery_id = read_id(request, "deliveryId")
    body = await read_json(request, NoBody)

    async def run(_: str) -> Answer:
        return result(_delivery(await _webhooks(request).deliveries.replay(request.user, delivery_id)))

    store = container_of(request.app).orders.idempotency
    return await idempotent(request, store, body, run, key_required=False)


ROUTES = [
    register_endpoint,
    list_endpoints,
    get_endpoint,
    change_endpoint,
    delete_endpoint,
    rotate_secret,
    list_deliveries,
    replay_deliveries,
    replay_delivery,
]


def _webhooks(request: ApiRequest) -> OutgoingWebhooks:
    return container_of(request.app).orders.webhooks


def _fields(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint.endpoint_id,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "description": endpoint.description,
        "enabled": endpoint.is_enabled,
        "disabled_reason": endpoint.disabled_reason,
        "disabled_at": endpoint.disabled_at,
        "failing_since": endpoint.failing_since,
        "configured": endpoint.is_configured,
        "previous_secret_until": endpoint.previous_secret_until,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


def _shown(endpoint: WebhookEndpoint) -> EndpointAnswer:
    return EndpointAnswer(**_fields(endpoint))


def _with_secret(endpoint: WebhookEndpoint) -> EndpointWithSecretAnswer:
    return EndpointWithSecretAnswer(**_fields(endpoint), secret=endpoint.secret)


def _delivery(delivery: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        delivery_id=delivery.delivery_id,
        endpoint_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        order_id=delivery.order_id,
        status=delivery.status,
        next_attempt_at=delivery.due_at,
        attempts=[
            AttemptAnswer(
                at=one.at, status=one.status, latency_ms=one.latency_ms, error=one.error, answer=one.answer
            )
            for one in delivery.attempts
        ],
        created_at=delivery.created_at,
        finished_at=delivery.finished_at,
    )
