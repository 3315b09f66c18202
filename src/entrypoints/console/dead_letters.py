"""Dead letters: what consumers gave up, by cause, to be tried again or left out for good."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.response.base import ASGIResponse
from msgspec import Meta, Struct

from domain.shared.idempotency import Answer
from entrypoints.console.forms import ConsoleRequest, do_once, read_form, see
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.http.container import container_of
from entrypoints.http.problems import Problem
from entrypoints.operating.audit import noting
from entrypoints.operating.logs import CONSUMERS, operations_of
from outbox import Operations

PATH = "/console/dead-letters"
_WRITE = "operations:write"

MENU = [NavEntry("Dead letters", PATH, (), "orders")]


class RetryForm(Struct, forbid_unknown_fields=True):
    cause: Annotated[str, Meta(min_length=1, max_length=2000)]


class SkipForm(Struct, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(min_length=3, max_length=500)]


@get(PATH, **guarded())
async def list_dead(request: ConsoleRequest) -> ASGIResponse:
    groups = {name: await _log(request, name).dead(name) for name in CONSUMERS}
    return render(request, "dead_letters.html", groups=groups)


@post(f"{PATH}/{{consumer:str}}/retry", **guarded(_WRITE))
async def retry(request: ConsoleRequest) -> ASGIResponse:
    consumer = _consumer(request)
    form = await read_form(request, RetryForm)

    async def run(_: str) -> Answer:
        await _log(request, consumer).retry(
            consumer, cause=form.value.cause, note=noting(request.user, "outbox.retry", consumer)
        )
        return see(PATH, "retried")

    return await do_once(request, container_of(request.app).orders.idempotency, form, run)


@get(f"{PATH}/{{consumer:str}}/{{eventId:uuid}}/skip", **guarded(_WRITE))
async def ask_to_skip(request: ConsoleRequest) -> ASGIResponse:
    """The page that asks whether this is meant, and why: it cannot be undone."""
    return render(request, "skip.html", consumer=_consumer(request), event_id=_event_id(request))


@post(f"{PATH}/{{consumer:str}}/{{eventId:uuid}}/skip", **guarded(_WRITE))
async def skip(request: ConsoleRequest) -> ASGIResponse:
    consumer, event_id = _consumer(request), _event_id(request)
    form = await read_form(request, SkipForm)

    async def run(_: str) -> Answer:
        reason = form.value.reason
        note = noting(request.user, "outbox.skip", consumer, reason)
        if not await _log(request, consumer).skip(consumer, event_id, reason=reason, note=note):
            raise Problem(
                409, "event_not_held", "No failed or parked event of that id is held: it went on meanwhile."
            )
        return see(PATH, "skipped")

    return await do_once(request, container_of(request.app).orders.idempotency, form, run)


ROUTES = [list_dead, retry, ask_to_skip, skip]


def _consumer(request: ConsoleRequest) -> str:
    consumer: str = request.path_params["consumer"]
    if consumer not in CONSUMERS:
        raise Problem(404, "not_found", "There is nothing of that name.")
    return consumer


def _event_id(request: ConsoleRequest) -> UUID:
    event_id: UUID = request.path_params["eventId"]
    return event_id


def _log(request: ConsoleRequest, consumer: str) -> Operations:
    # What a consumer holds lies in its own database, whichever holds the log.
    engine = container_of(request.app).orders.engine
    return operations_of(engine, engine)[CONSUMERS[consumer].log]
