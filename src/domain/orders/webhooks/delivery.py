"""A delivery: one event for one endpoint, sent until it is taken or given up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.shared.states import State, Transitions

RETRY_AFTER: Sequence[timedelta] = (
    *(timedelta(seconds=seconds) for seconds in (5, 30)),
    *(timedelta(minutes=minutes) for minutes in (2, 10, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 8, 12, 20, 24)),
)
"""How long after each failed attempt the next one is made: thirteen attempts within three days."""

SPREAD = (0.9, 1.0)
"""Each wait is multiplied by a random number between these, so that what failed together is not sent together."""

SEND_SECONDS = 15.0
"""How long one attempt may take, from the look-up of the name to the end of the answer."""

LEASE = timedelta(seconds=60)
"""How long an attempt belongs to who took it; longer than it takes. One that was cut off is made again then."""

LONGEST_RETRY_AFTER = timedelta(hours=24)
"""The most that a `Retry-After` puts off the delivery that it answers."""

KEPT_ATTEMPTS = 50
"""The latest attempts of a delivery are kept; it takes several replays to have more."""


class DeliveryStatus(State):
    PENDING = "PENDING", "It is to be sent at its time, and waits while its endpoint is disabled."
    DELIVERED = "DELIVERED", "The endpoint answered 2xx."
    FAILED = (
        "FAILED",
        "Every attempt failed, or there was nothing to be sent any more; an operator may replay it.",
    )


_D = DeliveryStatus

DELIVERY_TRANSITIONS: Transitions[DeliveryStatus] = {
    None: {_D.PENDING: "an endpoint wants the event"},
    _D.PENDING: {
        _D.DELIVERED: "2xx",
        _D.FAILED: "the last attempt failed, or its order is not to be shipped any more",
    },
    _D.DELIVERED: {_D.PENDING: "replayed"},
    _D.FAILED: {_D.PENDING: "replayed"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """What became of one attempt."""

    status: int | None
    """The HTTP status; None where there was no answer."""
    latency_ms: int
    error: str | None = None
    """Why there was no answer."""
    answer: str = ""
    """The beginning of the answer's body, at most 1 kB, without secrets."""
    retry_after: timedelta | None = None
    """What a 429 or 503 asked for."""

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        return self.status == 410


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    at: datetime
    """When it ended."""
    status: int | None
    latency_ms: int
    error: str | None
    answer: str


@dataclass(slots=True, kw_only=True)
class Delivery:
    """There is one for each endpoint and event, however often the event comes."""

    delivery_id: str
    endpoint_id: str
    event_id: str
    """The receiver's `webhook-id`: the same at each attempt and at each replay."""
    event_type: str
    order_id: str
    body: str = field(repr=False)
    """What is sent; of a fulfilment request, personal data."""
    created_at: datetime
    due_at: datetime | None
    """When it is sent next, or the lease of the attempt under way ends; None once it is finished."""
    status: DeliveryStatus = DeliveryStatus.PENDING
    tries: int = 0
    """Attempts since it was made or replayed."""
    attempts: tuple[DeliveryAttempt, ...] = ()
    finished_at: datetime | None = None

    def record(self, result: SendResult, now: datetime, spread: float) -> None:
        """Take the outcome of an attempt. `spread` is a random number between 0 and 1."""
        attempt = DeliveryAttempt(
            at=now,
            status=result.status,
            latency_ms=result.latency_ms,
            error=result.error,
            answer=result.answer,
        )
        self.attempts = (*self.attempts, attempt)[-KEPT_ATTEMPTS:]
        self.tries += 1
        if result.is_accepted:
            self._finish(DeliveryStatus.DELIVERED, now)
        elif self.tries > len(RETRY_AFTER):
            self._finish(DeliveryStatus.FAILED, now)
        else:
            shortest, longest = SPREAD
            wait = RETRY_AFTER[self.tries - 1] * (shortest + (longest - shortest) * spread)
            asked = min(result.retry_after or timedelta(), LONGEST_RETRY_AFTER)
            self.due_at = now + max(wait, asked)

    def withdraw(self, reason: str, now: datetime) -> SendResult:
        """End it unsent, for there is nothing to be sent any more."""
        unsent = SendResult(status=None, latency_ms=0, error=reason)
        self.record(unsent, now, spread=0)
        self._finish(DeliveryStatus.FAILED, now)
        return unsent

    def _finish(self, status: DeliveryStatus, now: datetime) -> None:
        self.status, self.finished_at, self.due_at = status, now, None

    def replay(self, now: datetime) -> bool:
        """Send it again from now on, with all attempts; whether it was finished, and so is replayed."""
        if self.status is DeliveryStatus.PENDING:
            return False
        self.status, self.finished_at, self.due_at, self.tries = DeliveryStatus.PENDING, None, now, 0
        return True
