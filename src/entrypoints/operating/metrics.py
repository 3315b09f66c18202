"""Prometheus metrics of the outbox and of payments, read from the database, and of the webhooks that this process received.

All of the outbox is state that lies in PostgreSQL, totals included, so one scrape of any HTTP process tells
everything, whatever number of relays and workers run and however often they were restarted; they need
no port of their own. A scrape costs little: the answer is kept for a few seconds. A database that is
away fails no scrape: `payonce_up` tells, and what only it knows is left out rather than guessed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.orders.webhooks.ports import DeliveryCounts
from domain.payments.use_cases.read_payments import WaitingRefunds
from domain.reconciliation.finding import FindingType
from domain.reconciliation.use_cases.measure import Measured
from domain.shared.audit import AuditReader
from outbox import Operations
from outbox.status import ConsumerStatus, LaneStatus, LogStatus, RoundStatus

logger = structlog.stdlib.get_logger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
KEPT_SECONDS = 5.0
ANSWER_SECONDS = 4.0  # what is asked is asked side by side; a scrape waits for 10 s by default

REFUSED = "REFUSED"  # the outcome of a webhook that is not rightly signed or no event

CountAttentions = Callable[[], Awaitable[Mapping[str, int]]]
"""How many payments have which attention."""
CountWaitingRefunds = Callable[[], Awaitable[WaitingRefunds]]
"""How many refunds wait for approval."""
CountDeliveries = Callable[[], Awaitable[DeliveryCounts]]
"""How the deliveries of our webhooks stand."""
Measure = Callable[[], Awaitable[Measured]]
"""How far the books are from agreeing."""

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kind(Generic[S]):
    """One metric: its name, what it says, and its value in a status; None leaves the sample out."""

    name: str
    help: str
    value: Callable[[S], float | None]
    is_total: bool = False

    def family(self, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], S]]) -> Metric:
        made = CounterMetricFamily if self.is_total else GaugeMetricFamily
        family = made(self.name, self.help, labels=labels)
        for values, status in samples:
            value = self.value(status)
            if value is not None:
                family.add_metric(values, value)
        return family

    @property
    def sample_name(self) -> str:
        return f"{self.name}_total" if self.is_total else self.name


def _of_round(value: Callable[[RoundStatus], float]) -> Callable[[ConsumerStatus], float | None]:
    def of(status: ConsumerStatus) -> float | None:
        last = status.window.last_round
        return None if last is None else value(last)

    return of


_P = "payonce_outbox_"
_LOG: Sequence[_Kind[LogStatus]] = (
    _Kind(
        _P + "appended_events",
        "Events appended to the log, those rolled back included.",
        lambda log: log.appended_total,
        is_total=True,
    ),
    _Kind(
        _P + "default_partition_used",
        "1 where events had to go into the default partition, for the days ahead ran out.",
        lambda log: log.is_default_partition_used,
    ),
)
_LANE: Sequence[_Kind[LaneStatus]] = (
    _Kind(
        _P + "unpublished_events",
        "Events that the publisher has not handed to the broker, counted up to 1000.",
        lambda lane: lane.unpublished.number,
    ),
    _Kind(
        _P + "oldest_unpublished_seconds",
        "Age of the oldest of them; 0 where there is none.",
        lambda lane: lane.oldest_seconds or 0.0,
    ),
    _Kind(
        _P + "published_events",
        "Events that the publisher has handed to the broker.",
        lambda lane: lane.published_total,
        is_total=True,
    ),
)
_CONSUMER: Sequence[_Kind[ConsumerStatus]] = (
    _Kind(_P + "lag_events", "Committed events that the consumer has not applied.", lambda c: c.lag.number),
    _Kind(
        _P + "lag_seconds", "Age of the oldest of them; 0 where there is none.", lambda c: c.lag_seconds or 0
    ),
    _Kind(
        _P + "behind_seconds",
        "Age of the oldest event not received, or how long a due one is overdue; 0 where neither is.",
        lambda c: c.behind_seconds or 0.0,
    ),
    _Kind(
        _P + "unreceived_events",
        "Events on their way to the consumer, or lost and to be sent again.",
        lambda c: c.unreceived.number,
    ),
    _Kind(
        _P + "waiting_events", "Events held until those before them are applied.", lambda c: c.waiting.number
    ),
    _Kind(_P + "due_events", "Events in hand, or to be tried again by schedule.", lambda c: c.due.number),
    _Kind(_P + "parked_events", "Events given up: an operator decides.", lambda c: c.parked.number),
    _Kind(_P + "forked_streams", "Streams in which log and consumer disagree.", lambda c: c.forked.number),
    _Kind(
        _P + "window_edge_seconds",
        "Time since the moment up to which everything is compared; none before the first.",
        lambda c: c.window.edge_seconds,
    ),
    _Kind(
        _P + "gap_events",
        "Events that the consumer lacked and has not been seen to have.",
        lambda c: c.window.gaps.number,
    ),
    _Kind(
        _P + "last_round_timestamp_seconds",
        "When anti-entropy last completed a round.",
        _of_round(lambda last: last.ended_at.timestamp()),
    ),
    _Kind(_P + "last_round_duration_seconds", "How long it took.", _of_round(lambda last: last.took_seconds)),
    *(
        _Kind(_P + name, help, _of_round(value), is_total=True)
        for name, help, value in (
            ("compared_events", "Events the consumer was asked about.", lambda last: last.total_compared),
            ("missing_events", "Of these, events that it lacked.", lambda last: last.total_missing),
            (
                "closed_gaps",
                "Of these, gaps that it was seen to have filled.",
                lambda last: last.total_closed,
            ),
            ("republished_events", "Events sent again.", lambda last: last.total_published),
            (
                "found_forks",
                "Streams found in which it was ahead of the log.",
                lambda last: last.total_forked,
            ),
        )
    ),
)
_UP: _Kind[float] = _Kind(
    "payonce_up", "1 where this log's (and its consumer's) database answered.", lambda up: up
)

_ATTENTION: _Kind[float] = _Kind(
    "payonce_payments_attention",
    "Payments that a person must look at, by what it is about.",
    lambda count: count,
)

_AUDIT: _Kind[float] = _Kind(
    "payonce_audit_position",
    "The number of the last entry of the audit log; it never falls.",
    lambda position: position,
)

_WAITING: Sequence[_Kind[WaitingRefunds]] = (
    _Kind(
        "payonce_refunds_pending_approval",
        "Refunds that wait for a second person.",
        lambda waiting: waiting.number,
    ),
    _Kind(
        "payonce_refunds_pending_approval_oldest_seconds",
        "How long the first of them has waited; 0 where there is none.",
        lambda waiting: waiting.oldest_seconds,
    ),
)

_DELIVERIES: Sequence[_Kind[DeliveryCounts]] = (
    _Kind(
        "payonce_webhook_deliveries_pending",
        "Deliveries of our webhooks that are to be sent, counted up to 1000.",
        lambda counts: counts.pending,
    ),
    _Kind(
        "payonce_webhook_deliveries_failed",
        "Deliveries that were given up and are kept to be replayed, counted up to 1000.",
        lambda counts: counts.failed,
    ),
    _Kind(
        "payonce_webhook_overdue_seconds",
        "How long the delivery of an enabled endpoint that waits longest has been due; 0 where none is.",
        lambda counts: counts.oldest_overdue_seconds,
    ),
    _Kind(
        "payonce_webhook_endpoints_disabled",
        "Endpoints that were disabled because they are gone or only failed.",
        lambda counts: counts.disabled_endpoints,
    ),
)

_R = "payonce_reconciliation_"
_DRIFT: _Kind[float] = _Kind(
    _R + "drift_seconds", "Age of the oldest open disagreement; 0 where there is none.", lambda drift: drift
)
_FINDINGS: _Kind[float] = _Kind(
    _R + "findings", "Open findings, by their type; a type without any is 0.", lambda count: count
)
_COMPARED: _Kind[float] = _Kind(
    _R + "completed_timestamp_seconds",
    "When the last round of a continuous comparison was completed.",
    lambda moment: moment,
)

_WEBHOOKS = "payonce_webhooks"

SAMPLE_NAMES = frozenset(
    (
        _UP.sample_name,
        _ATTENTION.sample_name,
        *(k.sample_name for k in (_DRIFT, _FINDINGS, _COMPARED)),
        _AUDIT.sample_name,
        f"{_WEBHOOKS}_total",
        *(k.sample_name for k in _WAITING),
        *(k.sample_name for k in _DELIVERIES),
        *(k.sample_name for k in _LOG),
        *(k.sample_name for k in _LANE),
        *(k.sample_name for k in _CONSUMER),
    )
)
"""What this module's metrics are called where they are read."""


@dataclass(slots=True)
class _Found:
    """What the databases answered."""

    ups: list[tuple[Sequence[str], float]] = field(default_factory=list)
    logs: list[tuple[Sequence[str], LogStatus]] = field(default_factory=list)
    consumers: list[tuple[Sequence[str], ConsumerStatus]] = field(default_factory=list)
    attentions: list[tuple[Sequence[str], float]] = field(default_factory=list)
    audit: list[tuple[Sequence[str], float]] = field(default_factory=list)
    waiting: list[tuple[Sequence[str], WaitingRefunds]] = field(default_factory=list)
    deliveries: list[tuple[Sequence[str], DeliveryCounts]] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)

    def families(self) -> list[Metric]:
        lanes = [
            ((log.schema, lane.publisher, str(lane.lane)), lane) for _, log in self.logs for lane in log.lanes
        ]
        return [
            _UP.family(("log", "consumer"), self.ups),
            *(kind.family(("log",), self.logs) for kind in _LOG),
            *(kind.family(("log", "publisher", "lane"), lanes) for kind in _LANE),
            *(kind.family(("log", "consumer"), self.consumers) for kind in _CONSUMER),
            _ATTENTION.family(("attention",), self.attentions),
            _AUDIT.family(("log",), self.audit),
            *(kind.family((), self.waiting) for kind in _WAITING),
            *(kind.family((), self.deliveries) for kind in _DELIVERIES),
            *(family for measured in self.measured for family in _reconciliation(measured)),
        ]


def _reconciliation(measured: Measured) -> Iterable[Metric]:
    yield _DRIFT.family((), [((), measured.drift_seconds)])
    yield _FINDINGS.family(("type",), [((type,), measured.open.get(type, 0)) for type in FindingType])
    completed = measured.completed_at.items()
    yield _COMPARED.family(("books",), [((name,), moment.timestamp()) for name, moment in completed])


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]):
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class Metrics:
    """What `/metrics` answers, asked of the databases at most once in `kept_seconds`."""

    def __init__(
        self,
        logs: Mapping[str, Operations],
        count_attentions: CountAttentions | None = None,
        *,
        count_waiting_refunds: CountWaitingRefunds | None = None,
        count_deliveries: CountDeliveries | None = None,
        measure: Measure | None = None,
        audit_logs: Mapping[str, AuditReader] | None = None,
        also: Sequence[Collector] = (),
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        """`count_attentions` is None where this process has no payments; `also` is what it tells of itself, besides."""
        self.webhooks = Counter(
            _WEBHOOKS,
            "Webhooks that this process received, by what became of them.",
            ["type_known", "outcome"],
            registry=None,
        )
        self._logs = logs
        self._also = also
        self._count_attentions = count_attentions
        self._count_waiting_refunds = count_waiting_refunds
        self._count_deliveries = count_deliveries
        self._measure = measure
        self._audit_logs = audit_logs or {}
        self._kept_seconds = kept_seconds
        self._asking = asyncio.Lock()
        self._kept: bytes | None = None
        self._asked_at = 0.0

    async def exposition(self) -> bytes:
        """The metrics in Prometheus' text format. Raises nothing for a database that is away."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._kept is None or now - self._asked_at >= self._kept_seconds:
                found = await self._ask()
                registry = CollectorRegistry()
                ProcessCollector(registry=registry)
                for collector in (self.webhooks, *self._also):
                    registry.register(collector)
                registry.register(_Families(found.families()))
                self._kept, self._asked_at = generate_latest(registry), now
        return self._kept

    async def _ask(self) -> _Found:
        found = _Found()

        async def ask_log(name: str, log: Operations) -> None:
            status = await _answer((name, ""), log.log_status(), found)
            if status is not None:
                found.logs.append(((name,), status))

        async def ask_consumer(name: str, log: Operations, consumer: str) -> None:
            status = await _answer((name, consumer), log.consumer_status(consumer), found)
            if status is not None:
                found.consumers.append(((name, consumer), status))

        async def ask_payments() -> None:
            if self._count_attentions is not None:
                counts = await _answer(("payments", ""), self._count_attentions(), found, tells_up=False)
                found.attentions += [((name,), count) for name, count in (counts or {}).items()]

        async def ask_refunds() -> None:
            if self._count_waiting_refunds is not None:
                asked = self._count_waiting_refunds()
                waiting = await _answer(("payments", ""), asked, found, tells_up=False)
                found.waiting += [((), waiting)] if waiting else []

        async def ask_deliveries() -> None:
            if self._count_deliveries is not None:
                counts = await _answer(("orders", ""), self._count_deliveries(), found, tells_up=False)
                found.deliveries += [((), counts)] if counts else []

        async def ask_reconciliation() -> None:
            if self._measure is not None:
                measured = await _answer(("reconciliation", ""), self._measure(), found, tells_up=False)
                found.measured += [measured] if measured else []

        async def ask_audit(name: str, log: AuditReader) -> None:
            async def position() -> int:
                head = await log.head()
                return head.position if head else 0

            at = await _answer((name, ""), position(), found, tells_up=False)
            if at is not None:
                found.audit.append(((name,), at))

        await asyncio.gather(
            ask_payments(),
            ask_refunds(),
            ask_deliveries(),
            ask_reconciliation(),
            *(ask_audit(name, log) for name, log in self._audit_logs.items()),
            *(ask_log(name, log) for name, log in self._logs.items()),
            *(ask_consumer(name, log, c) for name, log in self._logs.items() for c in log.followers),
        )
        return found


async def _answer(
    labels: tuple[str, str], asked: Awaitable[T], found: _Found, *, tells_up: bool = True
) -> T | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await asked
    except Exception as error:  # noqa: BLE001 - answered by payonce_up; asyncpg's errors know no bounds
        logger.warning("metrics_unanswered", log=labels[0], consumer=labels[1], error=type(error).__name__)
        if tells_up:
            found.ups.append((labels, 0.0))
        return None
    if tells_up:
        found.ups.append((labels, 1.0))
    return answer
