"""`/metrics`, for Prometheus."""

from typing import Any

from litestar import Litestar, Request, get
from litestar.response.base import ASGIResponse
from prometheus_client.registry import Collector

from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.operating.gateway_metrics import CircuitMetrics
from entrypoints.operating.limit_metrics import RateLimitMetrics
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
    orders = container.orders if container.sides.orders else None
    payments = container.payments if container.sides.payments else None
    also: list[Collector] = [RateLimitMetrics(container.rate_limiter)]
    if payments is not None:
        also.append(CircuitMetrics(payments.circuits))
    app.state["metrics"] = Metrics(
        container.logs,
        payments.count_attentions if payments else None,
        count_waiting_refunds=payments.count_waiting_refunds if payments else None,
        count_deliveries=orders.webhooks.deliveries.count if orders else None,
        measure=container.measure,
        audit_logs=container.audit.logs,
        also=also,
    )


@get("/metrics", **route(METRICS))
async def metrics(request: Request[Any, Any, Any]) -> ASGIResponse:
    body = await request.app.state["metrics"].exposition()
    return ASGIResponse(body=body, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


ROUTES = [metrics]
