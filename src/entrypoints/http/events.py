"""`/v1/events`: the event log, for operators."""

from typing import Any

from litestar import Request, get
from litestar.response.base import ASGIResponse

from domain.shared.callers import Caller
from entrypoints.http import examples
from entrypoints.http.answers import respond, result
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import read_query
from entrypoints.http.schemas.payments import EventPage, ListEventsQuery

LIST = Operation(
    operation_id="listEvents",
    tag="Events",
    summary="Payment events in the order of the log",
    description="Ask again with `after` set to `nextCursor` to follow the log.",
    scopes=("operations:read",),
    query=ListEventsQuery,
    answer=EventPage,
    answer_example=EventPage(items=[examples.EVENT], next_cursor="MTI6MzQ"),
)


@get("/v1/events", **route(LIST))
async def list_events(request: Request[Caller, Any, Any]) -> ASGIResponse:
    query = read_query(request, ListEventsQuery)
    events = await container_of(request.app).payments.list_events(
        after=query.after, type=query.type, order_id=query.order_id, limit=query.limit
    )
    # The last event's place, also where the page is not full: that is where a follower goes on.
    next_cursor = events[-1].cursor if events else None
    return respond(result(EventPage(items=[event.envelope for event in events], next_cursor=next_cursor)))


ROUTES = [list_events]
