"""Webhook endpoints and deliveries: what both implementations must do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.orders.webhooks.delivery import Delivery, DeliveryStatus, SendResult
from domain.orders.webhooks.endpoint import DisabledReason, WebhookEndpoint
from domain.orders.webhooks.ports import DeliveryCounts
from tests.contract.repositories.conftest import Orders

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = NOW + timedelta(seconds=60)
REFUSED = SendResult(status=500, latency_ms=12, answer="no")
TAKEN = SendResult(status=204, latency_ms=12)


def an_endpoint(name: str = "whe_1", **changes: Any) -> WebhookEndpoint:
    fields: dict[str, Any] = {
        "url": "https://example.org/hook",
        "event_types": ("*",),
        "secret": "whsec_a",
        "created_at": NOW,
        "updated_at": NOW,
        **changes,
    }
    return WebhookEndpoint(endpoint_id=name, **fields)


def a_delivery(number: int = 1, endpoint_id: str = "whe_1", **changes: Any) -> Delivery:
    fields: dict[str, Any] = {
        "event_id": f"event-{number}",
        "event_type": "PaymentSucceeded",
        "order_id": "ord_1",
        "body": "{}",
        "created_at": NOW,
        "due_at": NOW,
        **changes,
    }
    return Delivery(delivery_id=f"whd_{endpoint_id}_{number}", endpoint_id=endpoint_id, **fields)


async def keep(orders: Orders, endpoints: list[WebhookEndpoint], deliveries: list[Delivery]) -> None:
    async with orders.unit_of_work() as uow:
        for endpoint in endpoints:
            await uow.endpoints.add(endpoint)
        if deliveries:
            await uow.deliveries.add(deliveries)
        await uow.commit()


async def claim(
    orders: Orders, *, now: datetime = NOW, limit: int = 10, per_endpoint: int = 4, **busy: int
) -> list[str]:
    async with orders.unit_of_work() as uow:
        taken = await uow.deliveries.claim(
            busy=busy, per_endpoint=per_endpoint, limit=limit, now=now, until=now + timedelta(seconds=60)
        )
        await uow.commit()
    return [one.delivery_id for one in taken]


async def get(orders: Orders, delivery_id: str) -> Delivery | None:
    async with orders.unit_of_work() as uow:
        return await uow.deliveries.get(delivery_id)


async def test_an_endpoint_is_kept_whole(orders: Orders) -> None:
    endpoint = an_endpoint(
        event_types=("PaymentFailed", "FulfilmentRequested"),
        description="ours",
        previous_secret="whsec_b",
        previous_secret_until=NOW,
        rotated_by="r1",
        disabled_at=NOW,
        disabled_reason=DisabledReason.GONE,
        failing_since=NOW,
        paused_until=NOW,
    )
    await keep(orders, [endpoint, an_endpoint("whe_2"), an_endpoint(url="https://other.example")], [])
    async with orders.unit_of_work() as uow:
        assert await uow.endpoints.get("whe_1") == endpoint
        assert await uow.endpoints.all() == [endpoint, an_endpoint("whe_2")]
        locked = await uow.endpoints.lock("whe_2")
        assert locked is not None
        locked.delete(NOW)
        await uow.endpoints.save(locked)
        assert await uow.endpoints.get("whe_2") is None
        assert await uow.endpoints.all() == [endpoint]


async def test_there_is_one_delivery_for_an_endpoint_and_an_event(orders: Orders) -> None:
    await keep(orders, [an_endpoint(), an_endpoint("whe_2")], [a_delivery()])
    again = replace(a_delivery(), delivery_id="whd_other")
    async with orders.unit_of_work() as uow:
        assert await uow.deliveries.add([again, a_delivery(2), a_delivery(1, "whe_2")]) == 2
        await uow.commit()
    assert await get(orders, "whd_whe_1_1") == a_delivery()
    assert await get(orders, "whd_other") is None


async def test_a_claim_is_one_process_s_until_its_lease_ends(orders: Orders) -> None:
    await keep(orders, [an_endpoint()], [a_delivery(1), a_delivery(2, due_at=LEASE)])
    async with orders.unit_of_work() as first, orders.unit_of_work() as second:
        arguments: dict[str, Any] = {"busy": {}, "per_endpoint": 4, "limit": 4, "now": NOW, "until": LEASE}
        assert [one.delivery_id for one in await first.deliveries.claim(**arguments)] == ["whd_whe_1_1"]
        assert await second.deliveries.claim(**arguments) == []
        await first.commit()
    assert await claim(orders) == []
    assert await claim(orders, now=LEASE) == ["whd_whe_1_1", "whd_whe_1_2"]


async def test_a_slow_endpoint_holds_nobody_up(orders: Orders) -> None:
    many = [a_delivery(number) for number in range(9)]
    other = a_delivery(1, "whe_2", due_at=NOW)
    await keep(orders, [an_endpoint(), an_endpoint("whe_2")], [*many, other])
    assert await claim(orders, whe_1=4) == ["whd_whe_2_1"]
    assert len(await claim(orders, whe_1=1)) == 3
    assert len(await claim(orders, limit=2)) == 2


async def test_disabled_paused_and_deleted_endpoints_are_left_alone(orders: Orders) -> None:
    endpoints = [
        an_endpoint("whe_1", disabled_at=NOW, disabled_reason=DisabledReason.FAILING),
        an_endpoint("whe_2", paused_until=LEASE),
        an_endpoint("whe_3", deleted_at=NOW),
    ]
    await keep(orders, endpoints, [a_delivery(1, one.endpoint_id) for one in endpoints])
    assert await claim(orders) == []
    assert await claim(orders, now=LEASE) == ["whd_whe_2_1"]


async def test_an_outcome_is_noted_under_its_own_lease_only(orders: Orders) -> None:
    await keep(orders, [an_endpoint()], [a_delivery()])
    await claim(orders)
    delivery = a_delivery()
    delivery.record(REFUSED, NOW, 0.5)
    async with orders.unit_of_work() as uow:
        assert not await uow.deliveries.conclude(delivery, NOW)
        assert await uow.deliveries.conclude(delivery, LEASE)
        await uow.commit()
    assert await get(orders, delivery.delivery_id) == delivery
    assert delivery.due_at is not None
    lease = delivery.due_at + timedelta(seconds=60)
    assert await claim(orders, now=delivery.due_at) == [delivery.delivery_id]
    delivery.record(TAKEN, NOW, 0.5)
    async with orders.unit_of_work() as uow:
        assert await uow.deliveries.conclude(delivery, lease)
        assert not await uow.deliveries.conclude(delivery, lease)
        await uow.commit()
    saved = await get(orders, delivery.delivery_id)
    assert saved == delivery
    assert [one.status for one in delivery.attempts] == [500, 204]


async def test_lists_and_replays(orders: Orders) -> None:
    deliveries = [
        a_delivery(number, created_at=NOW + timedelta(minutes=number), due_at=NOW) for number in range(4)
    ]
    await keep(orders, [an_endpoint()], deliveries)
    await claim(orders)
    outcomes = (TAKEN, REFUSED, REFUSED)
    async with orders.unit_of_work() as uow:
        for delivery, result in zip(deliveries, outcomes, strict=False):
            delivery.tries = 12
            delivery.record(result, NOW, 0.5)
            assert await uow.deliveries.conclude(delivery, LEASE)
        await uow.commit()
    async with orders.unit_of_work() as uow:

        async def listed(status: DeliveryStatus | None, after: str | None = None) -> list[str]:
            found = await uow.deliveries.list(endpoint_id="whe_1", status=status, after=after, limit=2)
            return [one.event_id for one in found]

        async def finished(*statuses: DeliveryStatus, minutes: int = 9, limit: int = 9) -> list[str]:
            ids = await uow.deliveries.finished_between(
                endpoint_id="whe_1",
                statuses=statuses,
                since=NOW,
                until=NOW + timedelta(minutes=minutes),
                finished_before=LEASE,
                limit=limit,
            )
            return [one.removeprefix("whd_whe_1_") for one in ids]

        assert await listed(None) == ["event-3", "event-2"]
        assert await listed(None, "whd_whe_1_2") == ["event-1", "event-0"]
        assert await listed(DeliveryStatus.FAILED) == ["event-2", "event-1"]
        assert await finished(DeliveryStatus.FAILED) == ["1", "2"]
        assert await finished(DeliveryStatus.FAILED, DeliveryStatus.DELIVERED) == ["0", "1", "2"]
        assert await finished(DeliveryStatus.FAILED, minutes=2) == ["1"]
        assert await finished(DeliveryStatus.FAILED, limit=1) == ["1"]
        assert await uow.deliveries.replay(["whd_whe_1_0", "whd_whe_1_1", "whd_whe_1_3"], NOW) == 2
        await uow.commit()
    assert await claim(orders) == ["whd_whe_1_0", "whd_whe_1_1"]
    replayed = await get(orders, "whd_whe_1_1")
    assert replayed is not None
    assert (replayed.tries, len(replayed.attempts), replayed.finished_at) == (0, 1, None)


async def test_what_is_forgotten(orders: Orders) -> None:
    later = NOW + timedelta(days=1)
    endpoints = [
        an_endpoint("whe_1"),
        an_endpoint("whe_2", disabled_at=NOW, disabled_reason=DisabledReason.OPERATOR),
        an_endpoint("whe_3", deleted_at=NOW),
    ]
    finished, open_ = a_delivery(1), a_delivery(2)
    await keep(
        orders,
        endpoints,
        [
            finished,
            open_,
            a_delivery(1, "whe_2"),
            a_delivery(2, "whe_2", created_at=later),
            a_delivery(1, "whe_3"),
        ],
    )
    await claim(orders)
    finished.record(TAKEN, NOW, 0.5)
    async with orders.unit_of_work() as uow:
        await uow.deliveries.conclude(finished, LEASE)
        assert await uow.deliveries.forget(finished_before=NOW, limit=10) == 1
        await uow.endpoints.remove_deleted()
        assert await uow.deliveries.forget(finished_before=later, limit=1) == 1
        assert await uow.deliveries.forget(finished_before=later, limit=10) == 1
        await uow.commit()
    left = [await get(orders, name) for name in ("whd_whe_1_1", "whd_whe_1_2", "whd_whe_2_1", "whd_whe_2_2")]
    assert [one is not None for one in left] == [False, True, False, True]


async def test_counts(orders: Orders) -> None:
    endpoints = [
        an_endpoint("whe_1"),
        an_endpoint("whe_2", disabled_at=NOW, disabled_reason=DisabledReason.GONE),
        an_endpoint("whe_3", disabled_at=NOW, disabled_reason=DisabledReason.OPERATOR),
    ]
    async with orders.unit_of_work() as uow:
        assert await uow.deliveries.counts(NOW) == DeliveryCounts(
            pending=0, failed=0, disabled_endpoints=0, oldest_overdue_seconds=0.0
        )
    await keep(
        orders,
        endpoints,
        [a_delivery(1, due_at=NOW + timedelta(seconds=10)), a_delivery(2), a_delivery(1, "whe_2")],
    )
    await claim(orders, limit=1)
    delivery = a_delivery(2)
    delivery.tries = 12
    delivery.record(REFUSED, NOW, 0.5)
    async with orders.unit_of_work() as uow:
        assert await uow.deliveries.conclude(delivery, LEASE)
        assert await uow.deliveries.counts(NOW + timedelta(seconds=30)) == DeliveryCounts(
            pending=2, failed=1, disabled_endpoints=1, oldest_overdue_seconds=20.0
        )
