"""The HTTP application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

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
    fulfilment,
    health,
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
from entrypoints.http.bodies import MAX_BODY_BYTES
from entrypoints.http.headers import BrowserHeaders
from entrypoints.http.limits import AddressLimits, add_limits
from entrypoints.http.problems import answer_exception
from entrypoints.http.request_context import RequestContext
from entrypoints.settings import Settings

_ROUTES_BY_SERVICE = {
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

    app = Litestar(
        route_handlers=[
            *_service_routes(container.settings.service),
            *audit.ROUTES,
            *health.ROUTES,
            *metrics.ROUTES,
            *documentation.ROUTES,
            console_router(container.settings.service),
        ],
        exception_handlers={Exception: answer_exception},
        request_max_body_size=MAX_BODY_BYTES,
        lifespan=[lifespan],
        state=State({"container": container}),
        openapi_config=None,
        logging_config=None,
    )
    metrics.add_metrics(app)
    add_menu(app, container.settings.service)
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


def _service_routes(service: str) -> list[ControllerRouterHandler]:
    services = _ROUTES_BY_SERVICE if service == "all" else [service]
    return [handler for name in services for handler in _ROUTES_BY_SERVICE[name]]
