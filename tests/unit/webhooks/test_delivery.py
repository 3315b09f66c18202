"""When a delivery is sent again, and when it and its endpoint are given up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.orders.webhooks.delivery import (
    DELIVERY_TRANSITIONS,
    KEPT_ATTEMPTS,
    LEASE,
    RETRY_AFTER,
    SEND_SECONDS,
    Delivery,
    DeliveryStatus,
    SendResult,
)
from domain.orders.webhooks.endpoint import (
    CONFIGURED_ID,
    DISABLE_AFTER,
    LONGEST_PAUSE,
    OFFERED_TYPES,
    DisabledReason,
    WebhookEndpoint,
)
from domain.orders.webhooks.errors import EndpointConfigured
from domain.shared.payment_events import EVENT_TYPES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = timedelta(days=1)


def a_delivery() -> Delivery:
    return Delivery(
        delivery_id="whd_1",
        endpoint_id="whe_1",
        event_id="e1",
        event_type="PaymentSucceeded",
        order_id="ord_1",
        body='{"secret": "address"}',
        created_at=NOW,
        due_at=NOW,
    )


def an_endpoint(**changes: Any) -> WebhookEndpoint:
    fields: dict[str, Any] = {"endpoint_id": "whe_1", "event_types": ("*",), "secret": "whsec_1", **changes}
    return WebhookEndpoint(url="https://example.org/", created_at=NOW, updated_at=NOW, **fields)


def why(endpoint: WebhookEndpoint) -> DisabledReason | None:
    """Why it is disabled."""
    return endpoint.disabled_reason


def answered(status: int | None, **changes: Any) -> SendResult:
    return SendResult(status=status, latency_ms=5, **changes)


def test_the_schedule_ends_within_three_days_and_an_attempt_before_its_lease() -> None:
    assert timedelta(days=2.9) < sum(RETRY_AFTER, timedelta()) <= timedelta(days=3)
    assert list(RETRY_AFTER) == sorted(RETRY_AFTER)
    assert LEASE.total_seconds() > 2 * SEND_SECONDS


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_each_failure_puts_it_off_until_the_last_one(spread: float) -> None:
    delivery, now = a_delivery(), NOW
    for number, wait in enumerate(RETRY_AFTER, start=1):
        delivery.record(answered(500), now, spread)
        assert delivery.status is DeliveryStatus.PENDING
        assert delivery.due_at is not None
        assert wait * 0.9 <= delivery.due_at - now <= wait
        assert delivery.tries == number
        now = delivery.due_at
    delivery.record(answered(None, error="refused"), now, spread)
    assert (delivery.status, delivery.due_at, delivery.finished_at) == (DeliveryStatus.FAILED, None, now)
    assert len(delivery.attempts) == len(RETRY_AFTER) + 1
    assert delivery.attempts[-1].error == "refused"


def test_retry_after_puts_off_further_but_not_for_ever() -> None:
    delivery = a_delivery()
    delivery.record(answered(503, retry_after=timedelta(minutes=7)), NOW, 0.5)
    assert delivery.due_at == NOW + timedelta(minutes=7)
    delivery.record(answered(429, retry_after=timedelta(seconds=1)), NOW, 1.0)
    assert delivery.due_at == NOW + RETRY_AFTER[1]
    delivery.record(answered(429, retry_after=100 * DAYS), NOW, 0.5)
    assert delivery.due_at == NOW + DAYS


results = st.builds(
    SendResult,
    status=st.sampled_from([None, 200, 204, 301, 404, 410, 429, 500, 503]),
    latency_ms=st.integers(0, 15_000),
    retry_after=st.none() | st.timedeltas(timedelta(0), 9 * DAYS),
)
steps = st.lists(st.one_of(results, st.just("replay")), max_size=80)


@given(steps, st.floats(0, 1))
def test_whatever_comes_it_moves_by_the_table_and_keeps_its_time(
    steps: list[SendResult | str], spread: float
) -> None:
    delivery, now = a_delivery(), NOW
    for step in steps:
        before, now = delivery.status, now + timedelta(seconds=1)
        if isinstance(step, str):
            assert delivery.replay(now) == (before is not DeliveryStatus.PENDING)
        elif before is DeliveryStatus.PENDING:
            delivery.record(step, now, spread)
            assert step.is_accepted == (delivery.status is DeliveryStatus.DELIVERED)
        assert delivery.status is before or delivery.status in DELIVERY_TRANSITIONS[before]
        is_open = delivery.status is DeliveryStatus.PENDING
        assert is_open == (delivery.due_at is not None) == (delivery.finished_at is None)
        assert delivery.tries <= len(RETRY_AFTER) + 1
        assert len(delivery.attempts) <= KEPT_ATTEMPTS


def test_neither_body_nor_secret_is_in_a_repr() -> None:
    assert "address" not in repr(a_delivery())
    assert "whsec" not in repr(an_endpoint(previous_secret="whsec_2"))


def test_what_an_endpoint_wants() -> None:
    everything, one = an_endpoint(), an_endpoint(event_types=("PaymentFailed",))
    assert [kind for kind in OFFERED_TYPES if everything.wants(kind)] == list(EVENT_TYPES)
    assert [kind for kind in OFFERED_TYPES if one.wants(kind)] == ["PaymentFailed"]
    # It holds an address, and its 2xx accepts the order: only those who name it get it.
    assert an_endpoint(event_types=("*", "FulfilmentRequested")).wants("FulfilmentRequested")
    assert not everything.wants("OrderTeleported")


def test_an_endpoint_that_only_fails_for_three_days_is_disabled() -> None:
    endpoint = an_endpoint()
    assert endpoint.follow(answered(500), NOW)
    assert not endpoint.follow(answered(None), NOW + 2 * DAYS)
    assert why(endpoint) is None
    assert endpoint.follow(answered(500), NOW + DISABLE_AFTER)
    assert why(endpoint) is DisabledReason.FAILING
    assert not endpoint.follow(answered(500), NOW + DISABLE_AFTER + DAYS)
    endpoint.change(NOW + 9 * DAYS, enabled=True)
    assert (endpoint.disabled_at, why(endpoint), endpoint.failing_since) == (None, None, None)
    endpoint.follow(answered(500), NOW + 9 * DAYS)
    assert why(endpoint) is None


def test_one_success_in_between_is_enough() -> None:
    endpoint = an_endpoint()
    endpoint.follow(answered(500), NOW)
    assert endpoint.follow(answered(200), NOW + 2 * DAYS)
    assert not endpoint.follow(answered(200), NOW + 2 * DAYS)
    endpoint.follow(answered(500), NOW + 4 * DAYS)
    assert why(endpoint) is None


def test_gone_disables_at_once_and_retry_after_pauses() -> None:
    endpoint = an_endpoint()
    assert endpoint.follow(answered(429, retry_after=timedelta(seconds=90)), NOW)
    assert endpoint.paused_until == NOW + timedelta(seconds=90)
    endpoint.follow(answered(503, retry_after=DAYS), NOW)
    assert endpoint.paused_until == NOW + LONGEST_PAUSE
    endpoint.follow(answered(200), NOW)
    assert not endpoint.paused_until
    endpoint.follow(answered(410), NOW)
    assert why(endpoint) is DisabledReason.GONE


def test_both_secrets_sign_for_a_day() -> None:
    endpoint = an_endpoint()
    assert endpoint.secrets_at(NOW) == ("whsec_1",)
    endpoint.rotate("whsec_2", NOW)
    assert endpoint.secrets_at(NOW + timedelta(hours=23)) == ("whsec_2", "whsec_1")
    assert endpoint.secrets_at(NOW + DAYS) == ("whsec_2",)


def test_what_the_settings_say_is_changed_there() -> None:
    endpoint = an_endpoint(endpoint_id=CONFIGURED_ID)
    with pytest.raises(EndpointConfigured):
        endpoint.change(NOW, url="https://elsewhere.example/")
    with pytest.raises(EndpointConfigured):
        endpoint.delete(NOW)
    endpoint.change(NOW, enabled=False)
    assert why(endpoint) is DisabledReason.OPERATOR
    endpoint.configure("https://new.example/", "whsec_2", NOW)
    assert why(endpoint) is DisabledReason.OPERATOR
    assert endpoint.secrets_at(NOW) == ("whsec_2", "whsec_1")
    endpoint.retire(NOW)
    assert not endpoint.wants("PaymentSucceeded")
    endpoint.configure("https://new.example/", "whsec_2", NOW)
    assert why(endpoint) is None
