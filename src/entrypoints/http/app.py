"""The HTTP application."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from domain.shared.callers import TokenVerifier
from entrypoints.bootstrap import Container, build_container
from entrypoints.console.routes import add_menu, console_router
from entrypoints.http import (
    acknowledgements,
    asyncapi,
    audit,
    changed_payments,
    checkout,
    disputes,
    documentation,
    endpoints,
    events,
    explain,
    findings,
    fulfilment,
    health,
    internal_books,
    internal_orders,
    internal_payments,
    inventory,
    ledger,
    metrics,
    new_payments,
    order_money,
    orders,
    payment_methods,
    payments,
    refund_decisions,
    refunds,
    returns,
    stream,
    webhooks,
)
from entrypoints.http.authentication import verify_by
from entrypoints.http.bodies import MAX_BODY_BYTES
from entrypoints.http.headers import BrowserHeaders
from entrypoints.http.limits import AddressLimits, add_limits
from entrypoints.http.problems import answer_exception
from entrypoints.http.request_context import RequestContext
from entrypoints.settings import Settings

_ROUTES_BY_SERVICE: Mapping[str, Sequence[ControllerRouterHandler]] = {
    "orders": [
        *orders.ROUTES,
        *checkout.ROUTES,
        *fulfilment.ROUTES,
        *acknowledgements.ORDER_ROUTES,
        *order_money.ROUTES,
        *inventory.ROUTES,
        *explain.ROUTES,
        *stream.ROUTES,
        *endpoints.ROUTES,
        *findings.ROUTES,
    ],
    "payments": [
        *new_payments.ROUTES,
        *payments.ROUTES,
        *changed_payments.ROUTES,
        *acknowledgements.PAYMENT_ROUTES,
        *payment_methods.ROUTES,
        *disputes.ROUTES,
        *refunds.ROUTES,
        *refund_decisions.ROUTES,
        *returns.ROUTES,
        *webhooks.ROUTES,
        *events.ROUTES,
        *ledger.ROUTES,
        *asyncapi.ROUTES,
    ],
}


_INTERNAL_ROUTES_BY_SERVICE: Mapping[str, Sequence[ControllerRouterHandler]] = {
    "orders": internal_orders.ROUTES,
    "payments": [*internal_payments.ROUTES, *internal_books.ROUTES],
}


def create_app(settings: Settings) -> Litestar:
    """The application of these settings, with its own container."""
    return create_app_of(build_container(settings))


def create_app_of(container: Container) -> Litestar:
    """The application around a container, which starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await container.start()
        try:
            yield
        finally:
            await container.stop()

    app = _make_app(
        container,
        [
            *_service_routes(_ROUTES_BY_SERVICE, container.settings.service),
            *audit.ROUTES,
            *metrics.ROUTES,
            *documentation.ROUTES,
            console_router(container.settings.service),
        ],
        container.token_verifier,
        lifespan,
    )
    metrics.add_metrics(app)
    add_menu(app, container.settings.service)
    return app


def create_internal_app_of(container: Container) -> Litestar:
    """The application at the internal listener: the API, and what only the other service calls.

    It starts and stops nothing: the other application does.
    """
    service = container.settings.service
    routes = [
        *_service_routes(_ROUTES_BY_SERVICE, service),
        *_service_routes(_INTERNAL_ROUTES_BY_SERVICE, service),
    ]
    return _make_app(container, routes, container.internal_verifier)


def _make_app(
    container: Container, routes: Sequence[ControllerRouterHandler], verifier: TokenVerifier, *lifespans: Any
) -> Litestar:
    app = Litestar(
        route_handlers=[*routes, *health.ROUTES],
        exception_handlers={Exception: answer_exception},
        request_max_body_size=MAX_BODY_BYTES,
        lifespan=lifespans,
        state=State({"container": container}),
        openapi_config=None,
        logging_config=None,
    )
    verify_by(app, verifier)
    settings = container.settings
    app.asgi_handler = BrowserHeaders(
        AddressLimits(app.asgi_handler, add_limits(app)),
        hsts_seconds=settings.hsts_seconds,
        cors_origins=settings.cors_origins,
    )
    # Around the routing, where Litestar's own middleware does not reach: an unknown path too has its
    # request id and its line in the log.
    app.asgi_handler = RequestContext(app.asgi_handler, container.ids)
    return app


def _service_routes(
    by_service: Mapping[str, Sequence[ControllerRouterHandler]], service: str
) -> list[ControllerRouterHandler]:
    services = by_service if service == "all" else [service]
    return [handler for name in services for handler in by_service[name]]
