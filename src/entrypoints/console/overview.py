"""The first page: whether everything runs, and what waits for a person."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog
from litestar import get
from litestar.response.base import ASGIResponse

from entrypoints.bootstrap import Container
from entrypoints.console.forms import ConsoleRequest
from entrypoints.console.pages import NavEntry, guarded, render
from entrypoints.console.session import HOME
from entrypoints.http.container import container_of
from entrypoints.http.health import check_all
from outbox.status import ConsumerStatus, LogStatus, alarms

logger = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

ANSWER_SECONDS = 4.0
SHOWN = 10

MENU = [NavEntry("Overview", HOME)]


@get(HOME, **guarded())
async def overview(request: ConsoleRequest) -> ASGIResponse:
    container = container_of(request.app)
    service, caller = container.settings.service, request.user
    panels: dict[str, Awaitable[Any]] = {
        "checks": check_all(container.checks),
    }
    if service != "payments":
        panels["books"] = container.reconciliation.measure()
        panels["deliveries"] = container.orders.webhooks.deliveries.count()
        if "orders:read" in caller.scopes:
            panels["orders"] = container.orders.list_orders(
                caller, status=None, user_id=None, after=None, limit=SHOWN, with_attention=True
            )
    if service != "orders":
        panels["payments"] = container.payments.count_attentions()
        panels["waiting"] = container.payments.count_waiting_refunds()
    panels["outbox"] = _outbox(container)
    answers = dict(
        zip(panels, await asyncio.gather(*(_asked(name, one) for name, one in panels.items())), strict=True)
    )
    circuits = container.payments.circuits.values() if service != "orders" else ()
    return render(request, "overview.html", circuits=list(circuits), shown=SHOWN, **_ALL | answers)


ROUTES = [overview]

_ALL = dict.fromkeys(("checks", "books", "deliveries", "orders", "payments", "waiting", "outbox"))


async def _outbox(container: Container) -> dict[str, Any]:
    """Each log that is this process's to see, its consumers, and what is wrong."""
    statuses: list[tuple[LogStatus, list[ConsumerStatus]]] = []
    for log in container.logs.values():
        consumers = [await log.consumer_status(one) for one in log.followers]
        statuses.append((await log.log_status(), consumers))
    found = [alarm for log_status, of_log in statuses for alarm in alarms(log_status, of_log)]
    return {"logs": statuses, "alarms": found}


async def _asked(name: str, asking: Awaitable[T]) -> T | str:
    """What a part of the page has to show, or why it has nothing."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asking
    except TimeoutError:
        return f"no answer within {ANSWER_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - answered: its class; the text may hold a password
        logger.warning("overview_incomplete", part=name, error=type(error).__name__)
        return type(error).__name__
