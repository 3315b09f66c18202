"""The application over RabbitMQ in place of Redis: one setting, and nothing else changes."""

import asyncio

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.local.ports import free_port
from entrypoints.settings import UNSET, Secret
from entrypoints.worker.relay import run_relay
from entrypoints.worker.worker import run_worker
from tests.integration.http.conftest import Api, MakeSettings
from tests.integration.http.lines import NOTIFICATIONS_OF_A_SALE, Lines
from tests.support.fake_gateway import FakeGateway
from tests.support.rabbitmq import RabbitMQ

pytestmark = [
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.usefixtures("sockets_collected"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]


async def test_an_order_is_paid_over_rabbitmq(
    rabbitmq: RabbitMQ, make_settings: MakeSettings, gateway: FakeGateway
) -> None:
    rabbitmq.delete_queues("customer", "warehouse")
    settings = make_settings(redis_url=UNSET, broker_url=Secret(rabbitmq.url))
    container = build_container(settings, Outside(gateway=gateway))
    await container.start()
    api = Api(create_app_of(container), container)
    stop, lines = asyncio.Event(), Lines()
    with capture_logs(processors=[merge_contextvars, lines.watch]):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_relay(settings, stop))
            tasks.create_task(run_worker(settings, stop))
            assert (await api.http.get("/readyz")).json()["status"] == "ready"
            order = await api.order()
            body = {"paymentMethodToken": "pm_card_visa"}
            answer = await api.post(f"/v1/orders/{order['orderId']}/confirm", body, key="confirm")
            assert answer.status_code == 200, answer.text
            await lines.wait_for("notification", NOTIFICATIONS_OF_A_SALE)
            stop.set()

    paid = (await api.get(f"/v1/orders/{order['orderId']}")).json()
    assert (paid["status"], paid["amountPaid"]) == ("PROCESSING_FULFILLMENT", order["totalAmount"])
    await api.http.aclose()
    await container.stop()


async def test_it_is_not_ready_without_rabbitmq(make_settings: MakeSettings, gateway: FakeGateway) -> None:
    settings = make_settings(broker_url=Secret(f"amqp://127.0.0.1:{free_port()}"))
    container = build_container(settings, Outside(gateway=gateway))
    api = Api(create_app_of(container), container)
    answer = await api.http.get("/readyz")
    assert answer.status_code == 503
    (broker,) = (check for check in answer.json()["checks"] if check["name"] == "broker")
    assert broker == {"name": "broker", "ready": False, "reason": "AMQPConnectionError"}
    await api.http.aclose()
    await container.stop()
