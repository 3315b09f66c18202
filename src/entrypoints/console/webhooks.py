"""Webhooks received: what became of each, and processing one again. Their bodies are not shown."""

import re
from datetime import UTC, datetime, timedelta

from litestar import get, post
from litestar.response.base import ASGIResponse

from domain.payments.use_cases.replay_webhook import NotReplayed
from domain.payments.webhook import StoredWebhook, WebhookFilter, WebhookOutcome
from domain.shared.idempotency import Answer
from entrypoints.console.forms import ConsoleRequest, NoFields, do_once, read_form, see
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.queries import link, read_filters
from entrypoints.http.bodies import malformed
from entrypoints.http.container import container_of
from entrypoints.http.problems import Fault, Problem
from entrypoints.http.queries import Cursor, decode_cursor, page_of, read_id
from entrypoints.http.schemas.values import PaymentId, Strict

PAGE = 50
PATH = "/console/webhooks"

MENU = [NavEntry("Webhooks received", PATH, (), "payments")]


class WebhookFilters(Strict):
    outcome: WebhookOutcome | None = None
    payment_id: PaymentId | None = None
    cursor: Cursor | None = None


@get(PATH, **guarded())
async def list_webhooks(request: ConsoleRequest) -> ASGIResponse:
    filters = read_filters(request, WebhookFilters)
    wanted = WebhookFilter(outcome=filters.outcome, payment_id=filters.payment_id)
    found = await container_of(request.app).payments.list_webhooks(
        wanted, after=_position(decode_cursor(filters.cursor, form=_POSITION)), limit=PAGE + 1
    )
    page, cursor = page_of(found, PAGE, _place)
    return render(
        request,
        "webhooks.html",
        webhooks=page,
        filters=filters,
        outcomes=[one for one in WebhookOutcome if one is not WebhookOutcome.REPEATED],
        next_page=link(PATH, filters, cursor),
    )


@post(f"{PATH}/{{gateway:str}}/{{eventId:str}}/replay", **guarded("operations:write"))
async def replay_webhook(request: ConsoleRequest) -> ASGIResponse:
    form = await read_form(request, NoFields)
    gateway, event_id = read_id(request, "gateway"), read_id(request, "eventId")

    async def run(_: str) -> Answer:
        became = await container_of(request.app).payments.replay_webhook(request.user, gateway, event_id)
        if isinstance(became, NotReplayed):
            raise Problem(409, "webhook_not_replayable", f"It was not processed: {_WHY[became]}.")
        return see(PATH, "replayed")

    return await do_once(request, container_of(request.app).payments.idempotency, form, run)


ROUTES = [list_webhooks, replay_webhook]

_WHY = {
    NotReplayed.NOT_KEPT: "no webhook of this id is kept",
    NotReplayed.BODY_GONE: "its body was removed after the retention time",
    NotReplayed.GATEWAY_UNAVAILABLE: "it may be out of date, and the gateway, which knows, did not answer",
}
_POSITION = re.compile(r"(\d{1,18})~([\x21-\x7e]{1,255})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _place(webhook: StoredWebhook) -> str:
    microseconds = (webhook.received_at - _EPOCH) // timedelta(microseconds=1)
    return f"{microseconds}~{webhook.event_id}"


def _position(cursor: str | None) -> tuple[datetime, str] | None:
    """The time of receipt and the id of the last webhook seen. Raises Problem 400."""
    if cursor is None:
        return None
    microseconds, _, event_id = cursor.partition("~")
    try:
        return _EPOCH + timedelta(microseconds=int(microseconds)), event_id
    except OverflowError as error:
        raise malformed("query", [Fault("?cursor", "This is not a cursor of ours.")]) from error
