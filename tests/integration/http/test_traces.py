"""One trace from a request through the log, the relay and the worker to the customer's notification."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from adapters.cloudevents import payment_events
from domain.shared.payment_events import PaymentFailed, PaymentSucceeded
from entrypoints.traces import work_on_batch
from entrypoints.worker.consumers import payment_events_inbox
from entrypoints.worker.relay import run_relay
from entrypoints.worker.worker import run_worker
from outbox import Event
from tests.integration.http.conftest import OPERATOR, Api, MakeSettings
from tests.integration.http.lines import NOTIFICATIONS_OF_A_SALE, Lines
from tests.support.events import full_event

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER_TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER_PARENT = f"00-{OTHER_TRACE}-b7ad6b7169203331-00"


@asynccontextmanager
async def captured() -> AsyncIterator[Lines]:
    lines = Lines()
    with capture_logs(processors=[merge_contextvars, lines.watch]):
        yield lines


def trace_of(traceparent: str) -> str:
    return traceparent.split("-")[1]


def span_of(traceparent: str) -> str:
    return traceparent.split("-")[2]


async def effect_headers(api: Api) -> list[dict[str, str]]:
    async with api.container.orders.engine.connect() as connection:
        rows = await connection.scalars(
            text("SELECT headers::text FROM orders.outbox_event ORDER BY position")
        )
        return [json.loads(row) for row in rows]


async def test_a_request_is_followed_to_the_customers_notification(
    api: Api, make_settings: MakeSettings
) -> None:
    stop = asyncio.Event()
    async with captured() as lines, asyncio.TaskGroup() as tasks:
        tasks.create_task(run_relay(make_settings(), stop))
        tasks.create_task(run_worker(make_settings(), stop))
        order = await api.order()
        answer = await api.post(
            f"/v1/orders/{order['orderId']}/confirm",
            {"paymentMethodToken": "pm_card_visa"},
            key="confirm",
            headers={"traceparent": PARENT},
        )
        assert answer.status_code == 200, answer.text
        notifications = await lines.wait_for("notification", NOTIFICATIONS_OF_A_SALE)
        stop.set()

    (request,) = [line for line in lines.named("request") if line.get("trace_id") == TRACE]
    (event,) = (await api.get("/v1/events", OPERATOR)).json()["items"]
    effects = await effect_headers(api)

    # The event is of the request's span, the effects of the worker's, the notifications of a third.
    assert event["traceparent"] == request["traceparent"]
    told = [request["traceparent"], *(headers["traceparent"] for headers in effects)]
    told += [line["traceparent"] for line in notifications]
    assert [trace_of(traceparent) for traceparent in told] == [TRACE] * 5
    spans = {span_of(traceparent) for traceparent in [PARENT, *told]}
    assert len(spans) == 1 + 1 + 1 + NOTIFICATIONS_OF_A_SALE  # both effects are of one span
    assert {line["trace_id"] for line in notifications} == {TRACE}
    assert {line["event_id"] for line in notifications} == {line["idempotency_key"] for line in notifications}
    assert all("batch" not in line for line in notifications)


def stored(event: Any, traceparent: str | None) -> Event:
    return payment_events.encode(event, lambda: traceparent)


async def test_a_batch_of_several_traces_keeps_them_apart(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Two payments of two orders in one transaction; each effect goes on in its own event's trace."""
    orders = [await api.order() for _ in range(2)]
    amount = orders[0]["totalAmount"]
    money = {"amount": amount, "amount_captured": amount}
    first, second = (
        full_event(PaymentSucceeded, 1, order_id=order["orderId"], payment_id=f"pay_{n}", **money)
        for n, order in enumerate(orders)
    )
    inbox = payment_events_inbox(api.container)
    async with api.container.orders.engine.begin() as connection:
        await connection.execute(text("UPDATE orders.orders SET status = 'PENDING_PAYMENT'"))
    batch = [stored(first, PARENT), stored(second, OTHER_PARENT)]
    caplog.set_level(logging.DEBUG, "entrypoints.worker.consumers")
    async with captured() as lines:
        received = await inbox.receive(api.container.orders.engine, batch)

    assert received.applied == 2
    assert [line["trace_id"] for line in lines.named("event_applied")] == [TRACE, OTHER_TRACE]
    effects = [headers["traceparent"] for headers in await effect_headers(api)]
    assert [trace_of(traceparent) for traceparent in effects] == [TRACE, TRACE, OTHER_TRACE, OTHER_TRACE]
    assert {traceparent[-2:] for traceparent in effects[2:]} == {"00"}  # as sampled as its cause was


@pytest.mark.parametrize("given", [None, "garbage", PARENT.upper(), PARENT + "-more"])
async def test_an_event_without_a_valid_trace_begins_one(api: Api, given: str | None) -> None:
    order = await api.order()
    async with api.container.orders.engine.begin() as connection:
        await connection.execute(text("UPDATE orders.orders SET status = 'PENDING_PAYMENT'"))
    failed = full_event(PaymentFailed, order_id=order["orderId"])
    await payment_events_inbox(api.container).receive(api.container.orders.engine, [stored(failed, given)])

    (headers,) = await effect_headers(api)
    assert headers["traceparent"].startswith("00-")
    assert trace_of(headers["traceparent"]) != TRACE


async def test_a_line_about_one_event_bears_its_trace_alone(api: Api) -> None:
    foreign = [full_event(PaymentSucceeded, payment_id=f"pay_{n}", order_id=f"theirs_{n}") for n in range(2)]
    batch = [stored(foreign[0], PARENT), stored(foreign[1], OTHER_PARENT)]
    async with captured() as lines:
        with work_on_batch(batch):
            await payment_events_inbox(api.container).receive(api.container.orders.engine, batch)
            structlog.get_logger().info("about_all")

    told = lines.named("event_of_foreign_order")
    assert [(line["event_id"], line["trace_id"]) for line in told] == [
        (str(foreign[0].event_id), TRACE),
        (str(foreign[1].event_id), OTHER_TRACE),
    ]
    assert all("batch" not in line for line in told)
    (about_all,) = lines.named("about_all")
    assert about_all["batch"] == [
        {"event_id": str(foreign[0].event_id), "traceparent": PARENT},
        {"event_id": str(foreign[1].event_id), "traceparent": OTHER_PARENT},
    ]
    assert "trace_id" not in about_all
