"""`/metrics`, for Prometheus."""

from typing import Any

from litestar import Litestar, Request, get
from litestar.response.base import ASGIResponse
from prometheus_client.registry import Collector

from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.operating.gateway_metrics import CircuitMetrics
from entrypoints.operating.limit_metrics import RateLimitMetrics
from entrypoints.operating.logs import operations_of
from entrypoints.operating.metrics import CONTENT_TYPE, Metrics

METRICS = Operation(
    operation_id="getMetrics",
    tag="Health",
    summary="How far events are, for Prometheus",
    description="docs/operating.md says what each metric means.",
    media_type="text/plain",
    answer=str,
    answer_example='payonce_outbox_parked_events{consumer="orders",log="payments"} 0.0\n',
)


def add_metrics(app: Litestar) -> None:
    """Make what the route serves: the logs of the services that this process runs."""
    container = container_of(app)
    logs = operations_of(container.payments.engine, container.orders.engine)
    service = container.settings.service
    served = {name: log for name, log in logs.items() if service in {"all", name}}
    also: list[Collector] = [RateLimitMetrics(container.rate_limiter)]
    if "payments" in served:
        also.append(CircuitMetrics(container.payments.circuits))
    app.state["metrics"] = Metrics(
        served,
        None if service == "orders" else container.payments.count_attentions,
        count_waiting_refunds=None if service == "orders" else container.payments.count_waiting_refunds,
        count_deliveries=None if service == "payments" else container.orders.webhooks.deliveries.count,
        measure=container.reconciliation.measure,
        audit_logs=container.audit.logs,
        also=also,
    )


@get("/metrics", **route(METRICS))
async def metrics(request: Request[Any, Any, Any]) -> ASGIResponse:
    body = await request.app.state["metrics"].exposition()
    return ASGIResponse(body=body, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


ROUTES = [metrics]
