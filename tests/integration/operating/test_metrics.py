"""`/metrics` says what is in the database, and survives one that is away."""

from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from adapters.postgres.audit import PostgresAuditReader
from adapters.postgres.engine import make_engine
from domain.orders.webhooks.ports import DeliveryCounts
from domain.payments.use_cases.read_payments import WaitingRefunds
from domain.reconciliation.finding import FindingType
from domain.reconciliation.use_cases.measure import Measured
from domain.shared.payment_events import PaymentFailed, PaymentSucceeded
from entrypoints.operating.logs import CONSUMERS, operations_of
from entrypoints.operating.metrics import SAMPLE_NAMES, Metrics
from tests.integration.operating.conftest import Shop
from tests.support.vault import VAULT

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def metrics(shop: Shop) -> Metrics:
    async def count_attentions() -> dict[str, int]:
        return {"AUTHORIZATION_EXPIRING": 2, "DISPUTED": 1}

    async def count_waiting_refunds() -> WaitingRefunds:
        return WaitingRefunds(number=6, oldest_seconds=7200.0)

    async def count_deliveries() -> DeliveryCounts:
        return DeliveryCounts(pending=4, failed=3, disabled_endpoints=2, oldest_overdue_seconds=1.5)

    async def measure() -> Measured:
        return Measured(
            drift_seconds=42.5,
            open={FindingType.ORDER_ALTERED: 2},
            completed_at={"orders": datetime.fromtimestamp(2000, UTC)},
        )

    return Metrics(
        operations_of(shop.engine, shop.engine),
        count_attentions,
        count_waiting_refunds=count_waiting_refunds,
        count_deliveries=count_deliveries,
        measure=measure,
        audit_logs={"payments": PostgresAuditReader(shop.engine, "payments")},
        kept_seconds=0.0,
    )


async def scraped(metrics: Metrics) -> Samples:
    families = text_string_to_metric_families((await metrics.exposition()).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("payonce_")
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the samples with these labels, whatever others they have."""
    found = [
        v
        for (n, given), v in samples.items()
        if n == f"payonce_{name}" and labels.items() <= dict(given).items()
    ]
    assert found, name
    return sum(found)


async def test_each_metric_says_what_is_there(shop: Shop, metrics: Metrics) -> None:
    shop.refuses.add(await shop.confirm(1))
    events = await shop.append(1, PaymentFailed, PaymentSucceeded)
    await shop.append(2, PaymentSucceeded)
    await shop.orders.receive(shop.engine, events)
    async with shop.engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE payments.outbox_event SET created_at = created_at - interval '99 s' WHERE stream = 'pay_2'"
            )
        )
        await connection.execute(text("UPDATE orders.inbox_stream SET forked = 'forked: by a test'"))
        await connection.execute(
            text(
                "INSERT INTO payments.outbox_round VALUES"
                " ('orders', 7, to_timestamp(1000), 0.25, 1, 2, 3, 4, 5, 100, 200, 300, 400, 500)"
            )
        )

    metrics.webhooks.labels(type_known="true", outcome="APPLIED").inc()

    samples = await scraped(metrics)

    names = {name for name, _ in samples if not name.endswith("_created")}
    assert names == SAMPLE_NAMES - {"payonce_outbox_window_edge_seconds"}
    orders = {"log": "payments", "consumer": "orders"}
    assert of(samples, "up") == 2 + len(CONSUMERS)  # and both logs
    assert of(samples, "outbox_unpublished_events", log="payments", publisher="dramatiq") == 3
    assert of(samples, "outbox_unpublished_events", log="orders") == 0
    assert of(
        samples, "outbox_oldest_unpublished_seconds", log="payments", publisher="dramatiq"
    ) == pytest.approx(99, abs=10)
    assert of(samples, "outbox_appended_events_total", log="payments") == 3
    assert of(samples, "outbox_published_events_total") == 0
    assert of(samples, "outbox_default_partition_used") == 0
    assert of(samples, "webhook_deliveries_pending") == 4
    assert of(samples, "webhook_deliveries_failed") == 3
    assert of(samples, "webhook_endpoints_disabled") == 2
    assert of(samples, "webhook_overdue_seconds") == 1.5
    assert of(samples, "outbox_lag_events", **orders) == 3
    assert of(samples, "outbox_lag_seconds", **orders) == pytest.approx(99, abs=10)
    assert of(samples, "outbox_unreceived_events", **orders) == 1
    assert of(samples, "outbox_behind_seconds", **orders) == pytest.approx(99, abs=10)
    assert of(samples, "outbox_waiting_events", **orders) == 1
    assert of(samples, "outbox_due_events", **orders) == 0
    assert of(samples, "outbox_parked_events", **orders) == 1
    assert of(samples, "outbox_forked_streams", **orders) == 1
    assert of(samples, "outbox_gap_events", **orders) == 0
    assert of(samples, "outbox_last_round_timestamp_seconds", **orders) == 1000
    assert of(samples, "outbox_last_round_duration_seconds", **orders) == 0.25
    assert of(samples, "outbox_compared_events_total", **orders) == 100
    assert of(samples, "outbox_missing_events_total", **orders) == 200
    assert of(samples, "outbox_closed_gaps_total", **orders) == 300
    assert of(samples, "outbox_republished_events_total", **orders) == 400
    assert of(samples, "outbox_found_forks_total", **orders) == 500
    assert of(samples, "payments_attention", attention="AUTHORIZATION_EXPIRING") == 2
    assert of(samples, "payments_attention", attention="DISPUTED") == 1
    assert of(samples, "refunds_pending_approval") == 6
    assert of(samples, "refunds_pending_approval_oldest_seconds") == 7200
    assert of(samples, "webhooks_total", outcome="APPLIED") == 1
    assert of(samples, "reconciliation_drift_seconds") == 42.5
    assert of(samples, "reconciliation_findings", type="ORDER_ALTERED") == 2
    assert of(samples, "reconciliation_findings") == 2
    assert of(samples, "reconciliation_completed_timestamp_seconds", books="orders") == 2000


async def test_a_scrape_within_a_few_seconds_asks_nobody(shop: Shop) -> None:
    metrics = Metrics(operations_of(shop.engine, shop.engine), kept_seconds=3600)
    first = await metrics.exposition()
    await shop.append(1, PaymentSucceeded)
    assert await metrics.exposition() == first


async def test_a_database_that_is_away_fails_no_scrape_and_leaves_its_metrics_out(shop: Shop) -> None:
    away = make_engine(
        "postgresql://nobody@127.0.0.1:1/nothing", pool_size=1, application="test", vault=VAULT
    )
    samples = await scraped(Metrics(operations_of(shop.engine, away)))
    await away.dispose()
    assert of(samples, "up", log="payments", consumer="") == 1
    assert of(samples, "up", log="payments", consumer="orders") == 0
    assert of(samples, "up", log="orders", consumer="") == 0
    assert {dict(labels)["log"] for name, labels in samples if name != "payonce_up"} == {"payments"}
    assert "payonce_outbox_lag_events" not in {name for name, _ in samples}
