"""`/v1/orders/{orderId}/explain`: what happened to an order, and why it stands where it stands."""

from litestar import get
from litestar.response.base import ASGIResponse

from domain.orders.use_cases.explain_order import Explained
from domain.shared.timeline import TimelineEntry
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.order_answers import ApiRequest, read_order_id
from entrypoints.http.schemas.timeline import ExplainAnswer, TimelineEntryAnswer

EXPLAIN = Operation(
    operation_id="explainOrder",
    tag="Orders",
    summary="Everything that happened to an order, in one timeline",
    description=(
        "Requests, calls to the gateway and its reports, payment events with their way, changes of status with "
        "the rule that allowed them, and effects; a cause comes before its consequences. With `operations:read` "
        "all of it, else what is for customers to see."
    ),
    scopes=("orders:read",),
    answer=ExplainAnswer,
    answer_example=examples.EXPLAINED,
    problems={404: ("order_not_found",)},
)


@get("/v1/orders/{orderId:str}/explain", **route(EXPLAIN))
async def explain_order(request: ApiRequest) -> ASGIResponse:
    order_id = read_order_id(request)
    explained = await container_of(request.app).orders.explain_order(request.user, order_id)
    return respond(result(explain_answer(explained)))


ROUTES = [explain_order]


def explain_answer(explained: Explained) -> ExplainAnswer:
    order = explained.order
    return ExplainAnswer(
        order_id=order.order_id,
        status=order.status,
        attention=order.attention,
        attentions=list(order.attentions),
        entries=[entry_answer(entry) for entry in explained.timeline],
    )


def entry_answer(entry: TimelineEntry) -> TimelineEntryAnswer:
    return TimelineEntryAnswer(
        at=entry.at,
        kind=entry.kind,
        title=entry.title,
        reason=entry.reason,
        position=entry.position,
        ids=dict(entry.ids),
        details=dict(entry.details),
    )
